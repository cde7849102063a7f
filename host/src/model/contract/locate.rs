//! Finds the model file that a path refers to.

use std::path::{Path, PathBuf};

use super::ContractError;

/// The `.onnx` file that `path` means: itself, or in a folder `model.onnx`, or the only `.onnx` there.
///
/// # Errors
/// [`ContractError::Read`] or [`ContractError::Folder`].
pub fn locate_model(path: &Path) -> Result<PathBuf, ContractError> {
    let unreadable = |source| ContractError::Read { path: path.into(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(path.into());
    }
    let named = path.join("model.onnx");
    if named.is_file() {
        return Ok(named);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "onnx") {
            found.push(file);
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([only]) => Ok(only),
        Err(found) => Err(ContractError::Folder { path: path.into(), found: found.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_the_model_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let found = || locate_model(dir.path()).map(|path| path.file_name().unwrap().to_owned());
        assert!(found().unwrap_err().to_string().ends_with("this one holds 0"));
        std::fs::write(dir.path().join("a.onnx"), "").unwrap();
        assert_eq!(found().unwrap(), "a.onnx");
        std::fs::write(dir.path().join("b.onnx"), "").unwrap();
        assert!(found().unwrap_err().to_string().ends_with("this one holds 2"));
        std::fs::write(dir.path().join("model.onnx"), "").unwrap();
        assert_eq!(found().unwrap(), "model.onnx");
        assert!(matches!(locate_model(&dir.path().join("none")), Err(ContractError::Read { .. })));
    }
}
