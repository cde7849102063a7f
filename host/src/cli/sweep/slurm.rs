//! The runs of a sweep as a job array of SLURM.

use std::path::Path;

use super::combinations::Combination;
use crate::cli::arguments::LogFormat;
use crate::cli::{Failure, Globals};
use crate::config::ModelIsolation;

/// A script with one task for each run, which has the same global options as the sweep; `on_gpu`: and a GPU. A task that is queued
/// again goes on from its newest checkpoint.
pub(super) fn script(
    command: &str,
    config: &Path,
    combinations: &[Combination],
    globals: &Globals,
    on_gpu: bool,
) -> Result<String, Failure> {
    let last = combinations.len().saturating_sub(1);
    let case = |(number, combination): (usize, &Combination)| {
        let set: Vec<String> = combination.set.iter().map(|set| format!("--set {}", quoted(set))).collect();
        format!("    {number}) set -- {} ;;\n", set.join(" "))
    };
    let cases: String = combinations.iter().enumerate().map(case).collect();
    let (config, options) = (word(config)?, options(globals)?);
    let gpu = if on_gpu { "#SBATCH --gpus-per-node=1\n" } else { "" };
    // B: to the shell of the task, which becomes temper; else to its steps alone, of which there are none.
    Ok(format!(
        r#"#!/bin/bash
#SBATCH --job-name=temper-sweep
#SBATCH --array=0-{last}
#SBATCH --nodes=1
#SBATCH --cpus-per-task=16
{gpu}#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=B:TERM@120
#SBATCH --open-mode=append

# Queue it in the folder in which temper sweep was called. When all tasks are done: temper compare
case "$SLURM_ARRAY_TASK_ID" in
{cases}    *) echo "no run of this number: $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;
esac

exec temper {command} {config} --resume --quiet {options} "$@"
"#
    ))
}

/// The global options of each task.
fn options(globals: &Globals) -> Result<String, Failure> {
    let Globals { device, threads, isolation, plugin_dirs, log, log_format, alone, seed: _, quiet: _ } = globals;
    let threads = threads.map_or_else(|| r#""$SLURM_CPUS_PER_TASK""#.to_owned(), |threads| threads.to_string());
    let mut options = vec![format!("--threads {threads}")];
    options.extend(device.as_ref().map(|device| format!("--device {}", quoted(device))));
    options.extend(isolation.map(|isolation| match isolation {
        ModelIsolation::Host => "--isolation host".to_owned(),
        ModelIsolation::Process => "--isolation process".to_owned(),
    }));
    for folder in plugin_dirs {
        options.push(format!("--plugin-dir {}", word(folder)?));
    }
    options.push(format!("--log {}", quoted(log)));
    options.extend(matches!(log_format, LogFormat::Json).then(|| "--log-format json".to_owned()));
    options.extend(alone.then(|| "--alone".to_owned()));
    Ok(options.join(" "))
}

/// A path as a word of the shell.
fn word(path: &Path) -> Result<String, Failure> {
    let text = path
        .to_str()
        .ok_or_else(|| Failure::user(format!("{}: the name of a file in a script must be UTF-8", path.display())))?;
    Ok(quoted(text))
}

/// A word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
