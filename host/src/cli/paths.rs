//! Where relative paths of models and hulls are looked for.
//!
//! In this order, the first that exists wins: the current folder; the folder of the config that names the path; the folder
//! `TEMPER_MODELS` (in which `models/NAME` is found as `NAME`); the folder of the program, where a bundle has its models; Temper's
//! data folder; `share/temper` beside the program's folder, where a wheel puts them; the source checkout that this binary was built
//! from. For the config that a run has recorded, the folders of the run's start come first. What Temper writes (runs, tables) always goes into the current folder.

use std::path::{Path, PathBuf};

use super::Failure;
use crate::crystal::files_at;
use crate::record::Lock;

/// The folders to look in, and what each is called in messages.
#[derive(Clone, Debug)]
pub struct Search {
    roots: Vec<Root>,
    /// How many of them belong to the user's work: the current folder and the config's.
    near: usize,
}

#[derive(Clone, Debug)]
struct Root {
    folder: PathBuf,
    /// Holds what is inside `models/` elsewhere.
    is_models: bool,
}

impl Search {
    /// The search for paths of the command line (`config` absent) or of the file `config`.
    pub fn new(config: Option<&Path>) -> Self {
        let plain = |folder: PathBuf| Root { folder, is_models: false };
        let mut roots = vec![plain(PathBuf::new())];
        roots.extend(config.and_then(Path::parent).map(|folder| plain(folder.to_owned())));
        Self::beginning(roots)
    }

    /// The search for paths of a config. That of a run's directory records names that were first looked for where the run was
    /// started.
    pub fn of_config(file: &Path) -> Self {
        let is_record = file.file_name().is_some_and(|name| name == "run.toml");
        let run = file.parent().filter(|_| is_record);
        let origin = run.and_then(|run| Lock::origin(if run == Path::new("") { Path::new(".") } else { run }));
        let Some(origin) = origin else { return Self::new(Some(file)) };
        let plain = |folder: PathBuf| Root { folder, is_models: false };
        let first = origin.config.as_deref().and_then(Path::parent).map(Path::to_owned);
        let folders = [Some(origin.folder), first, Some(PathBuf::new()), file.parent().map(Path::to_owned)];
        Self::beginning(folders.into_iter().flatten().map(plain).collect())
    }

    fn beginning(mut roots: Vec<Root>) -> Self {
        let plain = |folder: PathBuf| Root { folder, is_models: false };
        let near = roots.len();
        roots.extend(std::env::var_os("TEMPER_MODELS").map(|f| Root { folder: f.into(), is_models: true }));
        let program = std::env::current_exe().ok();
        let beside = program.as_deref().and_then(Path::parent);
        roots.extend(beside.map(|beside| plain(beside.to_owned())));
        roots.extend(directories::ProjectDirs::from("", "", "temper").map(|dirs| plain(dirs.data_dir().to_owned())));
        roots.extend(beside.and_then(Path::parent).map(|prefix| plain(prefix.join("share/temper"))));
        roots.extend(Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|checkout| plain(checkout.to_owned())));
        Self { roots, near }
    }

    /// The folders in which models are looked for, whether they exist or not.
    pub fn model_folders(&self) -> Vec<PathBuf> {
        self.roots
            .iter()
            .map(|root| if root.is_models { root.folder.clone() } else { root.folder.join("models") })
            .collect()
    }

    /// What `path` names in the current folder or beside the config, if it is there.
    pub fn near(&self, path: &Path) -> Option<PathBuf> {
        let near = self.roots.iter().take(self.near);
        near.filter_map(|root| root.candidate(path)).find(|candidate| candidate.exists())
    }

    /// As [`Self::find`], where `path` may also be a pattern, such as `mine/*.cif`, that some file matches.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_data(&self, what: &str, path: &Path) -> Result<PathBuf, Failure> {
        let is_there =
            |place: &PathBuf| !place.exists() && files_at(place, |_| true).is_ok_and(|files| files[0] != *place);
        self.find(what, path).or_else(|failure| {
            let mut patterns = self.roots.iter().filter_map(|root| root.candidate(path));
            patterns.find(is_there).ok_or(failure)
        })
    }

    /// The file or folder that `path` names; `what` is called so in the message, such as "`policy.model`".
    ///
    /// # Errors
    /// When there is none; the hint lists where it was looked for.
    pub fn find(&self, what: &str, path: &Path) -> Result<PathBuf, Failure> {
        let candidates: Vec<PathBuf> = self.roots.iter().filter_map(|root| root.candidate(path)).collect();
        if let Some(found) = candidates.iter().find(|candidate| candidate.exists()) {
            return Ok(found.clone());
        }
        let mut places: Vec<String> = candidates.iter().map(|candidate| candidate.display().to_string()).collect();
        places.dedup();
        let failure = Failure::user(format!("{what}: no such file or folder: {}", path.display()))
            .hint(format!("looked for {}", places.join(", ")));
        Err(match path.starts_with("models") && !self.roots.iter().any(|root| root.is_models) {
            true => failure.hint("TEMPER_MODELS names the folder in which models/NAME is looked for as NAME"),
            false => failure,
        })
    }
}

impl Root {
    fn candidate(&self, path: &Path) -> Option<PathBuf> {
        if path.is_absolute() {
            return Some(path.to_owned());
        }
        let inside = if self.is_models { path.strip_prefix("models").unwrap_or(path) } else { path };
        // An empty root is the current folder, an empty path nothing at all.
        (!inside.as_os_str().is_empty()).then(|| self.folder.join(inside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(folders: &[(&Path, bool)]) -> Search {
        let root = |(folder, is_models): &(&Path, bool)| Root { folder: folder.to_path_buf(), is_models: *is_models };
        Search { roots: folders.iter().map(root).collect(), near: 1 }
    }

    #[test]
    fn the_first_folder_that_has_it_wins() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let search = search(&[(first.path(), false), (second.path(), true)]);
        let path = Path::new("models/small");
        std::fs::create_dir_all(second.path().join("small")).unwrap();
        assert_eq!(search.find("x", path).unwrap(), second.path().join("small"));
        std::fs::create_dir_all(first.path().join("models/small")).unwrap();
        assert_eq!(search.find("x", path).unwrap(), first.path().join("models/small"));
    }

    #[test]
    fn a_pattern_is_there_if_a_file_matches() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(second.path().join("a.cif"), "").unwrap();
        let search = search(&[(first.path(), false), (second.path(), false)]);
        assert_eq!(search.find_data("x", Path::new("*.cif")).unwrap(), second.path().join("*.cif"));
        assert_eq!(search.find_data("x", Path::new("a.cif")).unwrap(), second.path().join("a.cif"));
        for path in ["*.vasp", "b.cif"] {
            let said = search.find_data("x", Path::new(path)).unwrap_err().to_string();
            assert!(said.starts_with(&format!("error: x: no such file or folder: {path}\n")), "{said}");
        }
    }

    #[test]
    fn the_checkout_is_searched_last() {
        let search = Search::new(Some(Path::new("somewhere/run.toml")));
        assert_eq!(search.roots[1].folder, Path::new("somewhere"));
        let found = search.find("x", Path::new("host/Cargo.toml")).unwrap();
        assert!(found.is_file(), "{}", found.display());
    }

    #[test]
    fn where_models_are_missing_the_variable_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let said = |folders: &[(&Path, bool)], path: &str| {
            search(folders).find("x", Path::new(path)).unwrap_err().to_string().contains("TEMPER_MODELS")
        };
        assert!(said(&[(folder.path(), false)], "models/none"));
        assert!(!said(&[(folder.path(), false)], "none") && !said(&[(folder.path(), true)], "models/none"));
    }

    #[test]
    fn a_missing_path_is_named_with_the_places() {
        let folder = tempfile::tempdir().unwrap();
        let failure = search(&[(folder.path(), false)]).find("`policy.model`", Path::new("nowhere")).unwrap_err();
        let expected = format!(
            "error: `policy.model`: no such file or folder: nowhere\nhint: looked for {}",
            folder.path().join("nowhere").display()
        );
        assert_eq!(failure.to_string(), expected);
    }
}
