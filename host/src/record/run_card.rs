//! The card of a policy that leaves its run: what it comes from, and its figures.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::directory::METRICS;
use super::hash::sha256_of;
use super::json::read_json;
use super::lock::LOCK;
use super::{RunError, RunPolicy};
use crate::input::{MOST_DATA, MOST_TEXT, read, read_text};
use crate::policy::{MODEL, PARAMETERS};

/// Figures of a step or epoch that are shown to readers: key in the metrics, words, unit.
pub(super) const FIGURES: [(&str, &str, &str); 9] = [
    ("objective_mean", "mean objective", ""),
    ("stable_fraction", "share of stable crystals (energy above hull below 0.1 eV/atom, unrelaxed)", ""),
    ("kl", "KL to the base", " nats"),
    ("unique_formulas", "share of different formulas", ""),
    ("failed_fraction", "share of failed crystals", ""),
    ("train_nll", "training NLL, with dropout", " nats per crystal"),
    ("valid_nll", "validation NLL", " nats per crystal"),
    ("valid_loss", "validation loss", " nats per pair"),
    ("valid_accuracy", "share of the held-out pairs that are ranked rightly", ""),
];

/// A Markdown page about the policy of a run, which stands in `folder` now.
///
/// # Errors
/// When a file of the run cannot be read.
pub fn run_card(run: &RunPolicy, folder: &Path) -> Result<String, RunError> {
    let directory = run.checkpoint.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    let config = directory.join("run.toml");
    let text = read_text(&config, MOST_TEXT).map_err(RunError::read(&config))?;
    let table: toml::Table = text.parse().map_err(|e| RunError::content(&config, format!("{e}")))?;
    let lock = read_lock(directory)?;
    let mut rows = Vec::new();
    let (kind, unit, number) = match table.get("objective").and_then(toml::Value::as_str) {
        Some(objective) => {
            rows.push(("objective".to_owned(), format!("`{}`", objective.replace('|', "\\|"))));
            ("fine-tuned by `temper finetune`", "steps", "step")
        }
        None => ("trained by `temper pretrain`", "epochs", "epoch"),
    };
    rows.push((unit.to_owned(), format!("{}: {}", run.done, run.reason)));
    for key in ["policy.model", "policy.base", "data.files", "data.keep", "dpo.chosen", "dpo.beta"] {
        rows.extend(value_of(&table, key).map(|value| (format!("`{key}`"), value)));
    }
    let line = line_of(directory, number, run.done)?;
    for (key, name, unit) in FIGURES {
        let figure = line.as_ref().and_then(|line| line.get(key)?.as_f64());
        // At a step, a batch is drawn before the policy learns from it.
        rows.extend(figure.map(|figure| (format!("{name} at {number} {}", run.done), format!("{figure:.4}{unit}"))));
    }
    for name in [PARAMETERS, MODEL] {
        let file = folder.join(name);
        let hash = sha256_of(&file).map_err(RunError::read(&file))?;
        rows.push((format!("SHA-256 of {name}"), format!("`{hash}`")));
    }
    rows.extend(lock.into_iter().map(|(key, hash)| (format!("{key}, as locked by the run"), format!("`{hash}`"))));
    let rows: String = rows.into_iter().map(|(name, value)| format!("| {name} | {value} |\n")).collect();
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!(
        "# {name}\n\nA CrystalFormer, {kind}.\n\n| | |\n|---|---|\n{rows}\nThe config of the run:\n\n```toml\n{text}```\n"
    ))
}

/// Everything that numbers of the run depended on. A pretraining of an earlier version has no lock.
fn read_lock(directory: &Path) -> Result<BTreeMap<String, String>, RunError> {
    let file = directory.join(LOCK);
    if !file.exists() {
        return Ok(BTreeMap::new());
    }
    let text = read(&file, MOST_DATA).map_err(RunError::read(&file))?;
    let mut lock: BTreeMap<String, String> = read_json(&file, "", &text)?;
    lock.retain(|key, _| !["format", "started_in", "config_file"].contains(&key.as_str()));
    Ok(lock)
}

fn value_of(table: &toml::Table, key: &str) -> Option<String> {
    let (first, rest) = key.split_once('.')?;
    table.get(first)?.as_table()?.get(rest).map(|value| format!("`{}`", value.to_string().replace('|', "\\|")))
}

/// The line of a step or epoch in the metrics, if it is there.
fn line_of(directory: &Path, key: &str, number: u64) -> Result<Option<Value>, RunError> {
    let file = directory.join(METRICS);
    let text = read_text(&file, MOST_DATA).map_err(RunError::read(&file))?;
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(lines.into_iter().find(|line| line.get(key).and_then(Value::as_u64) == Some(number)))
}
