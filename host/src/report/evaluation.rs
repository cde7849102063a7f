//! What `temper evaluate` wrote beside a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::input::read;
use crate::metrics::{Histogram, Proportion};

/// Most bytes of a metrics.json.
const MOST: u64 = 64 << 20;
/// The file by which the folder of an evaluation is known.
const FILE: &str = "metrics.json";

/// The folder of an evaluation.
#[derive(Debug)]
pub struct EvaluationFolder {
    /// Where it is.
    pub path: PathBuf,
    /// Its figures.
    pub figures: EvaluationFigures,
}

/// What is read of a metrics.json.
#[derive(Debug, Deserialize)]
pub struct EvaluationFigures {
    /// Of settings and files.
    pub protocol_id: String,
    /// Every setting, and the hash of every file.
    #[serde(default)]
    pub protocol: Value,
    /// Shares by name.
    pub metrics: BTreeMap<String, Proportion>,
    /// Energies above hull.
    #[serde(default)]
    pub e_hull: Option<Histogram>,
    /// Shares of the samples of each space group.
    #[serde(default)]
    pub space_groups: Option<BTreeMap<u8, BTreeMap<String, Proportion>>>,
    /// The space groups of the figure.
    #[serde(default)]
    pub two_per_system: Vec<u8>,
    /// The same figures of the relaxed samples.
    #[serde(default)]
    pub relaxed: Option<RelaxedFigures>,
}

/// Of relaxed samples.
#[derive(Debug, Deserialize)]
pub struct RelaxedFigures {
    /// Shares by name.
    #[serde(default)]
    pub metrics: BTreeMap<String, Proportion>,
}

/// Evaluations in the folder of a run, and in folders beside it whose names begin with that of the run, such as `run-evaluation`.
/// Where the names of several runs fit, the folder belongs to the longest: `s-22-evaluation` to `s-22`, not to `s`.
pub fn evaluations_of(run: &Path, notes: &mut Vec<String>) -> Vec<EvaluationFolder> {
    let mut folders = folders_in(run);
    if let Some(name) = run.file_name().and_then(|name| name.to_str()) {
        let parent = run.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        folders.extend(folders_named_after(name, parent));
    }
    let mut found = Vec::new();
    for path in folders.into_iter().filter(|folder| folder.join(FILE).is_file() && !folder.join("run.toml").exists()) {
        let file = path.join(FILE);
        let figures = read(&file, MOST).map_err(|error| error.to_string());
        match figures.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
            Ok(figures) => found.push(EvaluationFolder { path, figures }),
            Err(error) => notes.push(format!("{}: {error}", file.display())),
        }
    }
    found
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Folders that are named after a run, and after none beside it whose name is longer.
fn folders_named_after(run: &str, parent: &Path) -> Vec<PathBuf> {
    let (runs, mut folders): (Vec<_>, Vec<_>) =
        folders_in(parent).into_iter().partition(|folder| folder.join("run.toml").exists());
    let names = runs.iter().filter_map(|path| path.file_name()?.to_str());
    let longer: Vec<&str> = names.filter(|name| name.len() > run.len()).collect();
    folders.retain(|folder| is_named_after(folder, run) && !longer.iter().any(|name| is_named_after(folder, name)));
    folders
}

/// Whether a folder is called as the run, with more behind a sign: `stability-2` is no evaluation of `stability-22`.
fn is_named_after(folder: &Path, run: &str) -> bool {
    let rest = folder.file_name().and_then(|name| name.to_str()?.strip_prefix(run));
    rest.is_some_and(|rest| rest.starts_with(['-', '_', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_lie_in_the_run_or_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let text = r#"{"protocol_id":"x","metrics":{"stable":{"count":1,"of":4,"value":0.25,"interval":[0.04,0.7]}}}"#;
        for name in ["run/evaluation", "run-judged", "run2-judged", "run_broken", "run-other", "run/samples"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        for name in ["run/evaluation", "run-judged", "run2-judged", "run-other"] {
            std::fs::write(at(name).join(FILE), text).unwrap();
        }
        std::fs::write(at("run_broken").join(FILE), "{").unwrap();
        std::fs::write(at("run-other/run.toml"), "").unwrap();
        let mut notes = Vec::new();
        let found = evaluations_of(&at("run"), &mut notes);
        let paths: Vec<PathBuf> = found.iter().map(|evaluation| evaluation.path.clone()).collect();
        assert_eq!(paths, [at("run/evaluation"), at("run-judged")]);
        assert_eq!(found[0].figures.metrics["stable"].count, 1);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].contains("run_broken"), "{notes:?}");
    }

    #[test]
    fn an_evaluation_belongs_to_the_run_whose_name_fits_best() {
        let folder = tempfile::tempdir().unwrap();
        for run in ["s", "s-22", "kl_weight-0", "kl_weight-0.1"] {
            let evaluation = folder.path().join(format!("{run}-evaluation"));
            std::fs::create_dir_all(&evaluation).unwrap();
            std::fs::write(evaluation.join(FILE), r#"{"protocol_id":"x","metrics":{}}"#).unwrap();
            std::fs::create_dir(folder.path().join(run)).unwrap();
            std::fs::write(folder.path().join(run).join("run.toml"), "").unwrap();
        }
        for run in ["s", "s-22", "kl_weight-0", "kl_weight-0.1"] {
            let found = evaluations_of(&folder.path().join(run), &mut Vec::new());
            let paths: Vec<PathBuf> = found.into_iter().map(|evaluation| evaluation.path).collect();
            assert_eq!(paths, [folder.path().join(format!("{run}-evaluation"))]);
        }
    }
}
