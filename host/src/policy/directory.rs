//! A policy directory: `model.toml` and `params.safetensors`.

use std::path::{Path, PathBuf};

use super::{ModelToml, ModelTomlError, ParameterError, Parameters};
use crate::hint::Hint;

/// The file of the hyper-parameters and their kin.
pub const MODEL: &str = "model.toml";
/// The file of the parameters.
pub const PARAMETERS: &str = "params.safetensors";

/// A policy as it is kept on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyDirectory {
    /// What `model.toml` says.
    pub model: ModelToml,
    /// What `params.safetensors` holds; fits the hyper-parameters.
    pub parameters: Parameters,
}

/// Why a directory holds no policy.
#[derive(Debug, thiserror::Error)]
pub enum PolicyDirectoryError {
    /// Not a directory at all.
    #[error("{}: not a folder", path.display())]
    NoDirectory {
        /// What is there, or nothing.
        path: PathBuf,
    },
    /// One of the files is not there.
    #[error("{}: no {file} in this folder", directory.display())]
    Missing {
        /// The directory.
        directory: PathBuf,
        /// Name of the file.
        file: &'static str,
    },
    /// The directory cannot be made.
    #[error("cannot create the folder {}: {source}", path.display())]
    Create {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// `model.toml` cannot be used.
    #[error(transparent)]
    Model(#[from] ModelTomlError),
    /// `params.safetensors` cannot be used, or does not fit.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
}

impl Hint for PolicyDirectoryError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::NoDirectory { .. } | Self::Missing { .. } => {
                vec![format!("a policy is a folder with {MODEL} and {PARAMETERS}")]
            }
            Self::Model(error) => error.hints(),
            Self::Create { .. } | Self::Parameters(_) => Vec::new(),
        }
    }
}

impl PolicyDirectory {
    /// Reads both files and checks that they fit.
    ///
    /// # Errors
    /// Any [`PolicyDirectoryError`].
    pub fn open(path: &Path) -> Result<Self, PolicyDirectoryError> {
        if !path.is_dir() {
            return Err(PolicyDirectoryError::NoDirectory { path: path.into() });
        }
        if let Some(file) = [MODEL, PARAMETERS].into_iter().find(|file| !path.join(file).exists()) {
            return Err(PolicyDirectoryError::Missing { directory: path.into(), file });
        }
        let model = ModelToml::read(&path.join(MODEL))?;
        let parameters = Parameters::load(&path.join(PARAMETERS), &model.hyper)?;
        Ok(Self { model, parameters })
    }

    /// Writes both files into a directory, which is made where there is none.
    ///
    /// # Errors
    /// Any [`PolicyDirectoryError`] of writing.
    pub fn save(&self, path: &Path) -> Result<(), PolicyDirectoryError> {
        std::fs::create_dir_all(path).map_err(|source| PolicyDirectoryError::Create { path: path.into(), source })?;
        self.parameters.save(&path.join(PARAMETERS))?;
        Ok(self.model.write(&path.join(MODEL))?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hyper::tests::tiny;
    use super::*;

    #[test]
    fn a_directory_opens_when_both_files_are_there_and_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let refusal = || PolicyDirectory::open(path).unwrap_err().to_string();
        let expected = |file| format!("{}: no {file} in this folder", path.display());
        assert!(refusal().starts_with(&expected("model.toml")), "{}", refusal());
        let model = ModelToml { hyper: tiny(), spacegroups: None, provenance: None };
        model.write(&path.join("model.toml")).unwrap();
        assert!(refusal().starts_with(&expected("params.safetensors")), "{}", refusal());
        let parameters = Parameters::initialise(&model.hyper, 3);
        let policy = PolicyDirectory { model, parameters };
        policy.save(path).unwrap();
        assert_eq!(PolicyDirectory::open(path).unwrap(), policy);
        let mut other = policy.model;
        other.hyper.embed_size += 1;
        other.write(&path.join("model.toml")).unwrap();
        assert!(refusal().contains("`~/g_embeddings` has shape [230, 8], but the hyper-parameters ask for [230, 9]"));
        let file = PolicyDirectory::open(&path.join("model.toml")).unwrap_err().to_string();
        assert!(file.contains("not a folder"), "{file}");
    }
}
