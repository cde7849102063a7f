//! `{seed}` in the paths that a run writes to stands for its seed.

use std::path::{Path, PathBuf};

use super::Problem;

const SEED: &str = "{seed}";

/// The path of a run with this seed.
pub fn with_seed(path: &Path, seed: u64) -> PathBuf {
    path.to_string_lossy().replace(SEED, &seed.to_string()).into()
}

/// Refuses other names in braces: a misspelt one would be the name of a folder.
pub(super) fn check_braces(key: &str, path: &Path) -> Result<(), Problem> {
    let text = path.to_string_lossy();
    let named = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    match named.into_iter().find(|name| *name != "seed") {
        None => Ok(()),
        Some(name) => Err(Problem::new(key, format!("`{key}`: {{{name}}} stands for nothing; {SEED} does"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_takes_its_place() {
        assert_eq!(with_seed(Path::new("runs/a-{seed}/{seed}"), 42), Path::new("runs/a-42/42"));
        assert!(check_braces("run.dir", Path::new("runs/{seed}-}{")).is_ok());
        let said = check_braces("run.dir", Path::new("runs/{sed}")).unwrap_err().message;
        assert_eq!(said, "`run.dir`: {sed} stands for nothing; {seed} does");
    }
}
