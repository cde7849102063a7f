//! What each module's errors are to the user: whose fault, and what to do about it.

use super::{Exit, Failure};
use crate::crystal::{ReadError, TokenFileError, WriteError};
use crate::hull::HullError;
use crate::matching::IndexError;
use crate::model::{ContractError, GoldenError, ModelError};
use crate::plugin::{LoadError, NotFound, OpenError};
use crate::policy::{ImportError, LikelihoodError, ModelTomlError, ParameterError, PolicyDirectoryError};
use crate::ranks::RanksError;
use crate::record::RunError;
use crate::report::ReportError;
use crate::reward::{CorrectionError, HullTermError, KnownError, PluginTermError};
use crate::runtime;
use crate::train::{FinetuneError, PreferenceError, PretrainError};

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

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<runtime::Error> for Failure {
    fn from(error: runtime::Error) -> Self {
        let exit = if matches!(error, runtime::Error::Run { .. }) { Exit::Model } else { Exit::Usage };
        Self::with_hints(exit, &error)
    }
}

impl From<runtime::LocateError> for Failure {
    fn from(error: runtime::LocateError) -> Self {
        Self::from(runtime::Error::from(error))
    }
}

impl From<RanksError> for Failure {
    fn from(error: RanksError) -> Self {
        Self::with_hints(Exit::Usage, &error)
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
        Self::with_hints(Exit::Usage, &error)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Runtime(error) => error.into(),
            error => Self::with_hints(Exit::Usage, &error),
        }
    }
}

impl From<HullTermError> for Failure {
    fn from(error: HullTermError) -> Self {
        match error {
            HullTermError::Model(error) => error.into(),
            error => Self::with_hints(Exit::Usage, &error),
        }
    }
}

impl From<CorrectionError> for Failure {
    fn from(error: CorrectionError) -> Self {
        Self::with_hints(Exit::Usage, &error)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::with_hints(Exit::Usage, &error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::with_hints(Exit::Usage, &error)
    }
}

impl From<NotFound> for Failure {
    fn from(error: NotFound) -> Self {
        Self::with_hints(Exit::Usage, &error)
    }
}

impl From<PluginTermError> for Failure {
    fn from(error: PluginTermError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<ModelTomlError> for Failure {
    fn from(error: ModelTomlError) -> Self {
        Self::with_hints(Exit::Usage, &error)
    }
}

impl From<ParameterError> for Failure {
    fn from(error: ParameterError) -> Self {
        Self::from_error(Exit::Usage, &error)
    }
}

impl From<PolicyDirectoryError> for Failure {
    fn from(error: PolicyDirectoryError) -> Self {
        Self::with_hints(Exit::Usage, &error)
    }
}

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        Self::with_hints(Exit::Usage, &error)
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

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Run(error) => error.into(),
            error => Self::with_hints(Exit::Usage, &error),
        }
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
            PretrainError::TooFew { train, valid, batch, .. } => {
                let failure = Self::from_error(Exit::Usage, &error);
                match (train < batch && train > 0, valid) {
                    (true, _) => failure.hint(format!("train.batch can be at most {train} here")),
                    (false, 0) => failure.hint("a larger data.holdout holds some out"),
                    (false, _) => failure,
                }
            }
            error @ PretrainError::NothingLearned { .. } => Self::from_error(Exit::Model, &error),
        }
    }
}

impl From<PreferenceError> for Failure {
    fn from(error: PreferenceError) -> Self {
        match error {
            PreferenceError::Likelihood(error) => error.into(),
            error => Self::from_error(Exit::Model, &error),
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
