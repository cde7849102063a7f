//! The runs of a sweep as a job array of SLURM.

use std::path::Path;

use super::combinations::Combination;

/// A script with one task for each run. A task that is queued again goes on from its newest checkpoint.
pub(super) fn script(command: &str, config: &Path, combinations: &[Combination]) -> String {
    let last = combinations.len().saturating_sub(1);
    let case = |(number, combination): (usize, &Combination)| {
        let set: Vec<String> = combination.set.iter().map(|set| format!("--set {}", quoted(set))).collect();
        format!("    {number}) set -- {} ;;\n", set.join(" "))
    };
    let cases: String = combinations.iter().enumerate().map(case).collect();
    let config = quoted(&config.to_string_lossy());
    format!(
        r#"#!/bin/bash
#SBATCH --job-name=temper-sweep
#SBATCH --array=0-{last}
#SBATCH --nodes=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
#SBATCH --open-mode=append

# Queue it in the folder in which temper sweep was called. When all tasks are done: temper compare
case "$SLURM_ARRAY_TASK_ID" in
{cases}    *) echo "no run of this number: $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;
esac

exec temper {command} {config} --resume --quiet --threads "$SLURM_CPUS_PER_TASK" "$@"
"#
    )
}

/// A word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
