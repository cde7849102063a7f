//! The files of a run's directory. The first line of an input names the file, the others are its contents.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use temper::policy::ModelToml;
use temper::record::{
    AlarmSettings, FinetuneRun, Lock, PretrainRun, Reaction, RecordSettings, RunDirectory, SampleChoice, Start,
    run_policy,
};

use super::{folder, repository, said};

/// The files that an input may stand for. Those of an old run have no checksums, which an input could not guess.
const FILES: [&str; 7] = [
    "finetuned/lock.json",
    "finetuned/metrics.jsonl",
    "finetuned/run.toml",
    "finetuned/checkpoints/step-2/state.json",
    "finetuned/checkpoints/step-2/checksums.json",
    "pretrained/metrics.jsonl",
    "pretrained/checkpoints/step-2/state.json",
];

pub fn run_files(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let Some(name) = FILES.iter().find(|name| name.as_bytes() == &data[..end]) else { return };
    let runs = folder().join("runs");
    for (path, bytes) in OLD_RUNS.iter() {
        let path = runs.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    std::fs::write(runs.join(name), &data[end + 1..]).unwrap();
    for run in ["finetuned", "pretrained"].map(|run| runs.join(run)) {
        said(run_policy(&run));
        Lock::origin(&run);
    }
    resumed(&runs);
    std::fs::remove_dir_all(&runs).unwrap();
}

/// The files of `tests/old-runs`, each with its place there.
static OLD_RUNS: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let root = repository("tests/old-runs");
    let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.strip_prefix(&root).unwrap().to_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files
});

/// Both runs are resumed, whatever has changed since.
fn resumed(runs: &Path) {
    let model = ModelToml::read(&runs.join("policy/model.toml")).unwrap();
    let accepted = ["program", "config", "policy.model", "model.toml of policy.model"].map(str::to_owned);
    let lock = Lock::new("1.0.0");
    let start = || Start { config: "", lock: &lock, changes: Vec::new(), accepted: &accepted };
    if let Some(directory) = said(RunDirectory::open(&runs.join("finetuned"), true, "steps")) {
        said(directory.recorded_config());
        let settings = RecordSettings {
            checkpoint_every: 1,
            keep: 1,
            tensorboard: true,
            samples: SampleChoice::All,
            samples_limit: 1,
            candidates: 1,
            computed_by: Arc::default(),
        };
        said(FinetuneRun::open(directory, &start(), model.clone(), settings, QUIET, None));
    }
    if let Some(directory) = said(RunDirectory::open(&runs.join("pretrained"), true, "epochs")) {
        said(PretrainRun::open(directory, &start(), &model.hyper, 1, true, runs.join("out")));
    }
}

const QUIET: AlarmSettings = AlarmSettings {
    unique_formulas: Reaction::Ignore,
    space_groups: Reaction::Ignore,
    entropy: Reaction::Ignore,
    elements: Reaction::Ignore,
    distance: Reaction::Ignore,
    density: Reaction::Ignore,
    clip_fraction: Reaction::Ignore,
    kl: Reaction::Ignore,
    kl_bound: None,
    judge_gap: Reaction::Ignore,
    judge_gap_bound: None,
    composition: Reaction::Ignore,
    composition_bound: None,
    plateau: Reaction::Ignore,
    plateau_steps: None,
    learning_rate_factor: 0.5,
};
