//! What the errors of each module mean to the user: exit code and advice.

use super::{Exit, Failure};
use crate::crystal::{ReadError, TokenFileError, WriteError};
use crate::evaluate::GoldenError;
use crate::hull::HullError;
use crate::model::{ContractError, ModelError};
use crate::plugin::{LoadError, NotFound, OpenError};
use crate::policy::{ImportError, LikelihoodError, ModelTomlError, ParameterError, PolicyDirectoryError};
use crate::record::RunError;
use crate::reward::{CorrectionError, HullTermError, KnownError, PluginTermError};
use crate::runtime;
use crate::train::{FinetuneError, PretrainError};

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<TokenFileError> for Failure {
    fn from(error: TokenFileError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<HullError> for Failure {
    fn from(error: HullError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<runtime::Error> for Failure {
    fn from(error: runtime::Error) -> Self {
        let exit = if matches!(error, runtime::Error::Run { .. }) { Exit::Model } else { Exit::Usage };
        let failure = Self::from_error(exit, &error);
        match error.advice() {
            Some(advice) => failure.hint(advice),
            None => failure,
        }
    }
}

impl From<runtime::LocateError> for Failure {
    fn from(error: runtime::LocateError) -> Self {
        Self::from(runtime::Error::from(error))
    }
}

impl From<GoldenError> for Failure {
    fn from(error: GoldenError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<KnownError> for Failure {
    fn from(error: KnownError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<ContractError> for Failure {
    fn from(error: ContractError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Contract(error) => error.into(),
            ModelError::Runtime(error) => error.into(),
            error => Self::from_error(Exit::Usage, &error),
        }
    }
}

impl From<HullTermError> for Failure {
    fn from(error: HullTermError) -> Self {
        match error {
            HullTermError::Model(error) => error.into(),
            error => Self::from_error(Exit::Usage, &error),
        }
    }
}

impl From<CorrectionError> for Failure {
    fn from(error: CorrectionError) -> Self {
        let failure = Self::from_error(Exit::Usage, &error);
        match error {
            CorrectionError::Unknown { nearest: Some(nearest), .. } => failure.hint(format!("did you mean {nearest}?")),
            CorrectionError::Unknown { nearest: None, .. } => failure,
            CorrectionError::Potential { to, potential, .. } if to == potential => {
                failure.hint("the energies are already on that scale: leave the correction out")
            }
            CorrectionError::Potential { .. } | CorrectionError::NoScales { .. } => failure,
            CorrectionError::NoReference { from, sidecar, .. } => failure.hint(format!(
                "if the potential was trained on such energies, add `energy_reference = \"{from}\"` to {sidecar}"
            )),
            CorrectionError::Hull { to, .. } => failure.hint(format!("use a hull on \"{to}\", or no correction")),
        }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let failure = Self::from_error(Exit::Usage, &error);
        match error {
            OpenError::Load(error) => error.advice().into_iter().fold(failure, Self::hint),
            OpenError::Refused { advice, .. } => advice.into_iter().fold(failure, Self::hint),
            OpenError::Start { .. } | OpenError::Interface { .. } => failure,
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        OpenError::from(error).into()
    }
}

impl From<NotFound> for Failure {
    fn from(error: NotFound) -> Self {
        let failure = Self::from_error(Exit::Usage, &error);
        match error {
            NotFound::Name { searched, unusable, .. } => {
                let searched: Vec<String> = searched.iter().map(|folder| folder.display().to_string()).collect();
                let advice = format!("looked in {}; --plugin-dir names another folder", searched.join(", "));
                failure.hint(match unusable {
                    0 => advice,
                    n => format!("{advice}; `temper plugin list` says why {n} libraries there cannot be used"),
                })
            }
            NotFound::Unusable { advice, .. } => advice.into_iter().fold(failure, Self::hint),
            NotFound::File { .. } => failure,
        }
    }
}

impl From<PluginTermError> for Failure {
    fn from(error: PluginTermError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<ModelTomlError> for Failure {
    fn from(error: ModelTomlError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<ParameterError> for Failure {
    fn from(error: ParameterError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<PolicyDirectoryError> for Failure {
    fn from(error: PolicyDirectoryError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Parameters(error) => error.into(),
            error => Self::from_error(Exit::Usage, &error),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match error {
            RunError::Write { .. } | RunError::Policy(_) => Exit::Write,
            _ => Exit::Usage,
        };
        Self::with_hints(exit, &error)
    }
}

impl From<toml::ser::Error> for Failure {
    fn from(error: toml::ser::Error) -> Self {
        Self::from_error(Exit::Internal, &error)
    }
}

impl From<LikelihoodError> for Failure {
    fn from(error: LikelihoodError) -> Self {
        match error {
            LikelihoodError::Runtime(error) => error.into(),
            LikelihoodError::Crystal { .. } => Self::from_error(Exit::Usage, &error),
            error => Self::from_error(Exit::Internal, &error),
        }
    }
}

impl From<PretrainError> for Failure {
    fn from(error: PretrainError) -> Self {
        match error {
            PretrainError::Likelihood(error) => error.into(),
            error => Self::from_error(Exit::Usage, &error),
        }
    }
}

impl From<FinetuneError> for Failure {
    fn from(error: FinetuneError) -> Self {
        match error {
            FinetuneError::Likelihood(error) => error.into(),
            error => Self::from_error(Exit::Model, &error),
        }
    }
}
