//! `temper sweep`: a run for every combination of values.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{accepted, assert_refused, density_run, metrics, prepared, refused};

const SWEEP: [&str; 6] = ["sweep", "run.toml", "--set", "run.seed=1,2", "--set", "ppo.kl_weight=0.25,0.5"];

fn runs(at: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A sweep of which one run was interrupted, with others before and behind it.
#[test]
fn every_combination_is_run_and_an_interrupted_sweep_goes_on() {
    let folder = prepared(&density_run("steps = 3\ncheckpoint_every = 1"));
    let (at, out) = (folder.path(), folder.path().join("runs/sweep"));
    let all = ["seed-1_kl_weight-0.25", "seed-1_kl_weight-0.5", "seed-2_kl_weight-0.25", "seed-2_kl_weight-0.5"];
    let (table, said) = accepted(at, &SWEEP);
    assert_eq!(runs(&out), all);
    assert!(said.contains("run 4 of 4: runs/sweep/seed-2_kl_weight-0.5\n"), "{said}");
    let (_, summary) = table.rsplit_once("the rest").unwrap();
    assert!(
        summary.contains("\nA: runs/sweep/seed-1_kl_weight-0.25 (3), runs/sweep/seed-2_kl_weight-0.25 (3)\n"),
        "{summary}"
    );
    assert!(summary.ends_with("\nppo.kl_weight: A 0.25, B 0.5\n"), "{summary}");
    // Each run is the one that finetune makes of these values.
    let alone =
        ["finetune", "run.toml", "--quiet", "--set", "run.seed=2", "--set", "ppo.kl_weight=0.25", "--set", "run.dir=x"];
    accepted(at, &alone);
    let whole: Vec<_> = all.iter().map(|name| metrics(&out.join(name))).collect();
    assert_eq!(whole[2], metrics(&at.join("x")));

    fs::remove_dir_all(out.join(all[3])).unwrap();
    fs::remove_dir_all(out.join(all[2]).join("checkpoints/step-3")).unwrap();
    let (_, said) = accepted(at, &SWEEP);
    assert_eq!(said.matches("nothing is left to do").count(), 2, "{said}");
    assert!(said.contains("resuming after step 2"), "{said}");
    assert_eq!(all.iter().map(|name| metrics(&out.join(name))).collect::<Vec<_>>(), whole);
}

#[test]
fn a_run_that_fails_does_not_keep_the_others_from_their_turn() {
    let folder = prepared(&density_run("steps = 1"));
    let at = folder.path();
    fs::create_dir_all(at.join("out")).unwrap();
    fs::write(at.join("out/seed-1"), "in the way").unwrap();
    let said = refused(at, &["sweep", "run.toml", "--set", "run.seed=1,2", "-o", "out"], 2);
    assert!(said.contains("error: cannot read out/seed-1/checkpoints: "), "{said}");
    assert!(
        said.ends_with(
            "error: 1 of 2 runs failed: out/seed-1 (exit code 2)\nhint: the same temper sweep tries those that failed again\n"
        ),
        "{said}"
    );
    assert_eq!(metrics(&at.join("out/seed-2")).len(), 1);
}

/// Steps of 0.1 in every parameter throw the policy far from its base.
#[test]
fn a_run_that_guards_ended_is_not_repeated() {
    let folder = prepared(&density_run("steps = 9"));
    let at = folder.path();
    let guards = ["--set", "guards.kl=stop", "--set", "guards.kl_bound=0.5"];
    let sweep = [&["sweep", "run.toml", "-o", "out", "--set", "ppo.learning_rate=0.1,1e-9"][..], &guards].concat();
    let said = refused(at, &sweep, 3);
    let end = "error: 1 of 2 runs stopped by [guards]: out/learning_rate-0.1\n\
        hint: temper finetune --resume DIR goes on past the stop of [guards]\n";
    assert!(said.contains("; the run ends, as [guards] says") && said.ends_with(end), "{said}");
    let first = metrics(&at.join("out/learning_rate-0.1"));
    assert!(first.len() < 9);

    let said = refused(at, &sweep, 3);
    let kept = format!("stopped by [guards] after step {}: not repeated\n", first.len());
    assert!(said.contains(&kept) && said.ends_with(end), "{said}");
    assert_eq!(metrics(&at.join("out/learning_rate-0.1")), first);
}

#[test]
fn mistakes_are_found_before_the_first_run() {
    let folder = prepared(&density_run("steps = 1"));
    let at = folder.path();
    let said = refused(at, &["sweep", "run.toml", "--set", "ppo.clip=0.2,2.0"], 2);
    assert!(said.contains("--set ppo.clip=2.0: `ppo.clip` = 2: must be between 0 and 1"), "{said}");
    let said = refused(at, &["sweep", "run.toml", "--set", "objective=min(density, 3),densty"], 2);
    assert!(said.contains("--set objective=densty: `objective`: ") && said.contains("densty"), "{said}");
    let seeds = "error: --seed would give every run the same seed\nhint: use --set run.seed=42,43,44";
    assert_refused(at, &["sweep", "run.toml", "--set", "run.seed=1,2", "--seed", "3"], 2, seeds);
    assert!(!at.join("runs").exists());
}

/// Each task of the script, run by a shell in the place of SLURM.
#[cfg(unix)]
#[test]
fn the_script_for_slurm_runs_each_combination() {
    let folder = prepared(&density_run("steps = 1"));
    let at = folder.path();
    let options = ["--plugin-dir", "my plugins", "--device", "cpu", "--isolation", "host", "--log", "temper=warn"];
    accepted(at, &[&SWEEP[..], &["-o", "it's", "--slurm", "sweep.sh"], &options].concat());
    assert!(!at.join("it's").exists());
    let script = fs::read_to_string(at.join("sweep.sh")).unwrap();
    assert!(script.contains("#SBATCH --array=0-3\n"), "{script}");
    assert!(script.contains("#SBATCH --signal=B:TERM@120\n") && !script.contains("gpus"), "{script}");
    let exec = "--threads \"$SLURM_CPUS_PER_TASK\" --device 'cpu' --isolation host --plugin-dir 'my plugins' --log 'temper=warn' \"$@\"\n";
    assert!(script.ends_with(exec), "{script}");
    accepted(at, &[&SWEEP[..], &["--slurm", "gpu.sh", "--device", "cuda:0", "--threads", "3"]].concat());
    let on_gpu = fs::read_to_string(at.join("gpu.sh")).unwrap();
    assert!(
        on_gpu.contains("#SBATCH --gpus-per-node=1\n") && on_gpu.contains(" --threads 3 --device 'cuda:0' "),
        "{on_gpu}"
    );
    let path = Path::new(env!("CARGO_BIN_EXE_temper")).parent().unwrap();
    let task = |number: &str| {
        let mut bash = Command::new("bash");
        bash.arg("sweep.sh").current_dir(at).env("SLURM_ARRAY_TASK_ID", number).env("SLURM_CPUS_PER_TASK", "1");
        bash.env("PATH", format!("{}:{}", path.display(), std::env::var("PATH").unwrap()));
        bash.output().unwrap()
    };
    let output = task("2");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(runs(&at.join("it's")), ["seed-2_kl_weight-0.25"]);
    assert_eq!(task("4").status.code(), Some(2));
}

#[test]
fn the_seed_may_name_the_directory() {
    let folder = prepared(&density_run("steps = 1"));
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.dir=runs/{seed}", "--seed", "5"]);
    let config = fs::read_to_string(at.join("runs/5/run.toml")).unwrap();
    assert!(config.contains("dir = \"runs/5\""), "{config}");
    let said = refused(at, &["finetune", "run.toml", "--set", "run.dir=runs/{sed}"], 2);
    assert!(said.contains("`run.dir`: {sed} stands for nothing; {seed} does"), "{said}");
}
