//! `temper compare`: the figures of runs side by side, over their seeds.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure, Output};
use crate::config::{apart_from_seed, changed_keys};
use crate::record::RecentSteps;
use crate::report::letter;

/// Compare runs: means over their last ten steps, with the spread over seeds, and what differs between their configs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper compare runs/weak-* runs/strong-*\n\n\
    Runs whose configs differ only in run.seed, run.dir, run.threads, train.out and [record] are one group.")]
pub struct Compare {
    /// Directories of runs, of temper finetune or temper pretrain
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
}

/// Runs that differ in their seeds alone.
struct Group {
    config: toml::Table,
    unit: &'static str,
    runs: Vec<Run>,
}

struct Run {
    directory: PathBuf,
    /// Steps or epochs done.
    done: u64,
    means: Vec<(&'static str, f64)>,
}

impl Compare {
    pub(super) fn run(&self, _: &Context) -> Result<(), Failure> {
        let text = table(&self.runs)?;
        let mut output = Output::create(Path::new("-"))?;
        output.write_all(text.as_bytes()).map_err(|error| output.failed(&error))?;
        output.finish()
    }
}

/// The figures of runs side by side.
pub(super) fn table(runs: &[PathBuf]) -> Result<String, Failure> {
    let mut groups = Vec::<Group>::new();
    for path in runs {
        let recent = RecentSteps::read(path)?;
        if recent.done() == 0 {
            return Err(Failure::user(format!("{}: no {} is done yet", path.display(), recent.unit)));
        }
        let (config, unit) = (apart_from_seed(recent.config.clone()), recent.unit);
        let run = Run { directory: path.clone(), done: recent.done(), means: recent.means() };
        match groups.iter_mut().find(|group| group.config == config) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { config, unit, runs: vec![run] }),
        }
    }
    Ok([figures(&groups), members(&groups), differences(&groups)?].join("\n"))
}

/// A column for each group, a line for each figure.
fn figures(groups: &[Group]) -> String {
    let mut keys = Vec::<&str>::new();
    for (key, _) in groups.iter().flat_map(|group| &group.runs).flat_map(|run| &run.means) {
        if !keys.contains(key) {
            keys.push(key);
        }
    }
    let width = keys.iter().map(|key| key.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}", "");
    (0..groups.len()).for_each(|group| text += &format!("  {:>20}", letter(group)));
    text += "\n";
    for key in keys {
        text += &format!("{key:width$}");
        groups.iter().for_each(|group| text += &format!("  {:>20}", group.spread(key)));
        text += "\n";
    }
    let units: Vec<&str> = groups.iter().map(|group| group.unit).collect();
    let unit = if units.windows(2).all(|pair| pair[0] == pair[1]) { units[0] } else { "step or epoch" };
    text + &format!("Means over the last ten {unit}s; +- is the standard deviation over the runs of a group.\n")
}

/// The runs of each group.
fn members(groups: &[Group]) -> String {
    let run = |run: &Run| format!("{} ({})", run.directory.display(), run.done);
    let runs = |group: &Group| group.runs.iter().map(run).collect::<Vec<_>>().join(", ");
    groups.iter().enumerate().map(|(i, group)| format!("{}: {}\n", letter(i), runs(group))).collect()
}

/// The keys in which the configs of the groups differ from that of the first.
fn differences(groups: &[Group]) -> Result<String, Failure> {
    let mut text = String::new();
    for (i, group) in groups.iter().enumerate().skip(1) {
        let changed = changed_keys(&groups[0].config, &group.config).map_err(|e| Failure::user(e.to_string()))?;
        for (key, first, other) in changed {
            let value = |value: Option<String>| value.unwrap_or_else(|| "absent".to_owned());
            text += &format!("{key}: {} {}, {} {}\n", letter(0), value(first), letter(i), value(other));
        }
    }
    Ok(text)
}

impl Group {
    /// Mean of a figure over the runs that have it, and its standard deviation where there are several.
    fn spread(&self, key: &str) -> String {
        let values: Vec<f64> =
            self.runs.iter().flat_map(|run| &run.means).filter(|(name, _)| *name == key).map(|(_, x)| *x).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        match values.len() {
            0 => "-".to_owned(),
            1 => format!("{mean:.4}"),
            _ => {
                let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
                format!("{mean:.4} +- {:.4}", variance.sqrt())
            }
        }
    }
}
