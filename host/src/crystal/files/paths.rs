//! Paths that stand for several files: folders and patterns.

use super::read::ReadError;
use std::io;
use std::path::{Path, PathBuf};

/// The files that a path stands for, in the order of their names: itself, the `wanted` files in a folder (not in the folders
/// inside), or those that match a pattern such as `runs/*/CONTCAR`. Hidden files are passed over.
///
/// # Errors
/// [`ReadError::Io`] for a folder that cannot be listed, [`ReadError::NoFiles`] for one, or a pattern, without a file.
pub fn files_at(path: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, ReadError> {
    let unreadable = |source| ReadError::Io { path: path.to_owned(), source };
    let mut files: Vec<PathBuf> = if path.is_dir() {
        let entries = path.read_dir().map_err(unreadable)?.map(|entry| entry.map(|entry| entry.path()));
        let entries = entries.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
        entries.into_iter().filter(|file| wanted(file) && !is_hidden(file)).collect()
    } else {
        // A file may have the characters of a pattern in its name.
        match path.to_str().filter(|text| text.contains(['*', '?', '[']) && !path.exists()) {
            None => return Ok(vec![path.to_owned()]),
            Some(pattern) => {
                let found = glob::glob(pattern).map_err(|error| unreadable(io::Error::other(error)))?;
                found.collect::<Result<_, _>>().map_err(|error| unreadable(error.into()))?
            }
        }
    };
    files.retain(|file| !file.is_dir());
    files.sort();
    if files.is_empty() { Err(ReadError::NoFiles { path: path.to_owned() }) } else { Ok(files) }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_patterns_stand_for_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("deep.cif")).unwrap();
        for name in ["b.cif", "a.cif", "c.txt", ".d.cif", "deep.cif/e.cif", "x[1].cif"] {
            std::fs::write(at(name), "").unwrap();
        }
        let names = |path: PathBuf| {
            let files = files_at(&path, |file| file.extension().is_some_and(|e| e == "cif")).unwrap();
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(folder.path().to_owned()), ["a.cif", "b.cif", "x[1].cif"]);
        assert_eq!(names(at("[ab].*")), ["a.cif", "b.cif"]);
        assert_eq!(names(at("*/*.cif")), ["e.cif"]);
        assert_eq!(names(at("x[1].cif")), ["x[1].cif"]);
        assert_eq!(names(at("missing.cif")), ["missing.cif"]);
        for path in [at("deep.cif").join("z*"), at("***")] {
            assert!(files_at(&path, |_| true).is_err(), "{}", path.display());
        }
        assert!(matches!(files_at(&at("deep.cif"), |_| false), Err(ReadError::NoFiles { .. })));
    }
}
