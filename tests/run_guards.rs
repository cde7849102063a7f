//! What watches over a run: judges, alarms, and what is looked at before a run starts.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::{accepted, density_run, json_lines, metrics, prepared, refused};

/// Steps of the run.
const STEPS: usize = 6;

fn config() -> String {
    density_run("steps = 6\ncheckpoint_every = 2\nkeep = 3")
}

/// The estimate of KL is above such a bound soon after the policy has moved.
const SLOWED: &str = r#"
[guards]
kl = "lower_learning_rate"
kl_bound = 1e-12
learning_rate_factor = 0.25
"#;

#[test]
fn any_term_can_judge_another() {
    let judge = "[rewards.sites.builtin]\nterm = \"n_sites\"\n[judge.builtin]\nterm = \"density\"\njudges = \"sites\"\nevery = 2\n";
    let folder = prepared(&format!("{}\n{judge}", config()));
    accepted(folder.path(), &["finetune", "run.toml", "--quiet", "--set", "sampling.batch=60"]);
    let lines = metrics(&folder.path().join("run"));
    for (line, due) in lines.iter().zip([false, true].into_iter().cycle()) {
        assert_eq!(line["judge"].is_null(), !due);
        assert_eq!(line["judge_gap"].is_null(), !due);
        if due {
            // The judge goes by the name of the term that it judges, and here computes what another term does as well.
            assert_eq!(line["judge"]["sites"], line["terms"]["density"]);
            let samples = json_lines(&folder.path().join(format!("run/samples/step-{}.jsonl.gz", line["step"])));
            let both = |row: &Value| Some(row["density"].as_f64()? - row["sites"].as_f64()?);
            let gaps: Vec<f64> = samples.iter().filter_map(both).collect();
            let (gap, expected) = (line["judge_gap"].as_f64().unwrap(), gaps.iter().sum::<f64>() / gaps.len() as f64);
            assert!((gap - expected).abs() < 1e-9 * expected.abs(), "{gap} {expected}");
            assert!(line["judge_gap_spread"].as_f64().unwrap() > 0.0);
        }
    }
    let said = refused(folder.path(), &["finetune", "run.toml", "--set", "judge.builtin.judges=site"], 2);
    assert!(said.contains("`judge.builtin.judges`: no reward term is called `site`"), "{said}");
    assert!(said.contains("did you mean `sites`?"), "{said}");
}

#[test]
fn an_alarm_lowers_the_learning_rate_once_resumed_or_not() {
    let folder = prepared(&(config() + SLOWED));
    let at = folder.path();
    let (_, said) = accepted(at, &["finetune", "run.toml"]);
    assert!(said.contains("the learning rate is multiplied by 0.25 from now on, as [guards] says"), "{said}");
    let whole = metrics(&at.join("run"));
    let kl = |lines: &[Value]| lines.iter().map(|line| line["kl"].as_f64().unwrap()).collect::<Vec<_>>();
    let rang = 1 + kl(&whole).iter().position(|kl| *kl > 1e-12).unwrap();
    assert!((2..STEPS).contains(&rang), "{:?}", kl(&whole));
    for line in &whole {
        let expected = if line["step"].as_u64().unwrap() <= rang as u64 { 0.01 } else { 0.0025 };
        assert_eq!(line["learning_rate"], expected);
    }
    // The same steps as without guards up to there, and other ones behind.
    fs::write(at.join("free.toml"), config()).unwrap();
    accepted(at, &["finetune", "free.toml", "--quiet", "--set", "run.dir=free"]);
    let free = kl(&metrics(&at.join("free")));
    let same = |steps: usize| free[..steps] == kl(&whole)[..steps];
    assert!(same(rang + 1) && !same(STEPS), "{free:?} {:?}", kl(&whole));

    let twice = |dir: &str, first: &str| {
        let dir = format!("run.dir={dir}");
        let arguments = ["finetune", "run.toml", "--set", dir.as_str()];
        accepted(at, &[&arguments[..], &["--set", first]].concat());
        accepted(at, &[&arguments[..], &["--resume"]].concat()).1
    };
    let said = twice("parts", &format!("run.steps={rang}"));
    assert!(!said.contains("KL to the base"), "it has rung: {said}");
    assert_eq!(metrics(&at.join("parts")), whole);
    for file in ["params.safetensors", "optimizer.safetensors", "state.json"] {
        let read = |run: &str| fs::read(at.join(run).join(format!("checkpoints/step-{STEPS}")).join(file)).unwrap();
        assert!(read("run") == read("parts"), "{file}");
    }
}

/// The reward is the same for every crystal that the policy can draw, but for the KL term: the mean of ten steps never grows.
#[test]
fn a_run_that_leads_nowhere_ends() {
    let guards = "[guards]\nplateau = \"stop\"\nplateau_steps = 3\n";
    let folder = prepared(&format!("{}\n{guards}", density_run("steps = 30\ncheckpoint_every = 5")));
    let at = folder.path();
    let flat = ["finetune", "run.toml", "--set", "objective=\"1 - 1e-300 * density\"", "--set", "sampling.batch=4"];
    let said = refused(at, &flat, 3);
    assert!(
        said.contains("step 13: the mean objective of 10 steps has not been above 1.0000e0 for 3 steps; the run ends"),
        "{said}"
    );
    assert_eq!(metrics(&at.join("run")).len(), 13);
    assert!(at.join("run/checkpoints/step-13").exists());
    // The alarm has rung: a run that is to go on does.
    accepted(at, &[&flat[..], &["--resume", "--quiet", "--set", "run.steps=14"]].concat());
}

/// A bound is enough for the elements to be counted, which changes no number, and may be given when a run is resumed.
#[test]
fn elements_are_watched_with_a_bound_alone() {
    let folder = prepared(&config());
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let run = ["finetune", "run.toml", "--set", "run.dir=watched", "--set", "guards.composition_bound=1e-6"];
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.dir=watched", "--set", "run.steps=2"]);
    let (_, said) = accepted(at, &[&run[..], &["--resume"]].concat());
    assert!(said.contains("nats from those of the base, above guards.composition_bound = 0.000001"), "{said}");
    let mut watched = metrics(&at.join("watched"));
    let kl: Vec<Option<f64>> =
        watched.iter_mut().map(|line| line.as_object_mut().unwrap().remove("composition_kl")?.as_f64()).collect();
    assert!(kl[..2] == [None, None] && kl[2..].iter().all(|kl| kl.is_some_and(|kl| kl > 1e-6)), "{kl:?}");
    assert_eq!(watched, metrics(&at.join("run")));
    for (key, message) in [
        ("guards.composition=stop", "`guards.composition` can never ring without `guards.composition_bound`"),
        ("guards.plateau=warn", "`guards.plateau` can never ring without `guards.plateau_steps`"),
        ("guards.plateau_steps=0", "`guards.plateau_steps` = 0: must be at least 1"),
        ("guards.composition_bound=inf", "`guards.composition_bound` = inf: must be more than 0"),
        ("ppo.composition_prior=0.0", "`ppo.composition_prior` = 0: must be more than 0"),
        ("ppo.composition_prior=nan", "`ppo.composition_prior` = NaN: must be more than 0"),
    ] {
        let said = refused(at, &["finetune", "run.toml", "--set", key], 2);
        assert!(said.contains(message), "{said}");
    }
}

/// Along half a cosine over the six steps. A run whose learning rate falls is another one if it has more steps.
#[test]
fn a_learning_rate_may_fall_over_the_steps() {
    let folder = prepared(&config());
    let at = folder.path();
    let falling = ["finetune", "run.toml", "--quiet", "--set", "ppo.schedule=cosine"];
    accepted(at, &falling);
    let lines = metrics(&at.join("run"));
    for (done, line) in lines.iter().enumerate() {
        let expected = 0.01 * 0.5 * (1.0 + (std::f64::consts::PI * done as f64 / STEPS as f64).cos());
        let found = line["learning_rate"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-15, "{found} {expected}");
    }
    let longer = [&falling[..], &["--resume", "--set", "run.steps=7"]].concat();
    let said = refused(at, &longer, 2);
    assert!(said.contains("run.steps"), "{said}");
    accepted(at, &[&longer[..], &["--accept-changed", "run.steps"]].concat());
    let constant = ["finetune", "run.toml", "--quiet", "--set", "run.dir=constant"];
    accepted(at, &constant);
    accepted(at, &[&constant[..], &["--resume", "--set", "run.steps=7", "--set", "ppo.schedule=constant"]].concat());
}

#[test]
fn guards_that_change_numbers_are_not_changed_unasked() {
    let folder = prepared(&(config() + SLOWED));
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.steps=2"]);
    let warn = ["finetune", "run.toml", "--quiet", "--resume", "--set", "guards.kl=warn"];
    let said = refused(at, &warn, 2);
    assert!(said.contains("`guards.kl` was \"lower_learning_rate\", is absent"), "{said}");
    accepted(at, &[&warn[..], &["--accept-changed", "guards"]].concat());
    // Those that change none may change.
    fs::write(at.join("free.toml"), config()).unwrap();
    let free = ["finetune", "free.toml", "--quiet", "--set", "run.dir=free"];
    accepted(at, &[&free[..], &["--set", "run.steps=2"]].concat());
    accepted(at, &[&free[..], &["--resume", "--set", "guards.entropy=stop"]].concat());
    let said = refused(at, &["finetune", "run.toml", "--set", "guards.learning_rate_factor=1.0"], 2);
    assert!(said.contains("`guards.learning_rate_factor` = 1: must be between 0 and 1"), "{said}");
}

#[test]
fn another_runtime_or_device_is_refused_with_both_values() {
    let folder = prepared(&config());
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.steps=2"]);
    let file = at.join("run/lock.json");
    let mut lock: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert!(lock["device"] == "cpu" && lock["runtime"].as_str().unwrap().contains("commit "), "{lock}");
    (lock["device"], lock["runtime"]) = (json!("cuda"), json!("rel-1.20.0, commit 0"));
    fs::write(&file, lock.to_string()).unwrap();
    let resume = ["finetune", "run.toml", "--quiet", "--resume"];
    let said = refused(at, &resume, 2);
    assert!(said.contains("`device` was cuda, is cpu; `runtime` was rel-1.20.0, commit 0, is "), "{said}");
    assert!(said.contains("--accept-changed runtime"), "{said}");
    accepted(at, &[&resume[..], &["--accept-changed", "runtime", "--accept-changed", "device"]].concat());
    let changes = json_lines(&at.join("run/changes.jsonl"));
    assert_eq!(changes.iter().map(|change| change["key"].clone()).collect::<Vec<_>>(), ["device", "runtime"]);
}

const PRETRAIN: &str = r#"
[data]
files = ["salts.jsonl"]
holdout = 0.2

[policy]
model = "policy"

[run]
dir = "trained"
threads = 1

[train]
batch = 8
epochs = 2
out = "out"
"#;

/// Rock salts in a file, and a config to learn from them.
fn salts(at: &Path) {
    let salt = |(i, cation): (usize, &str)| {
        let h = 2.0 + 0.1 * i as f64;
        let lattice = [[0.0, h, h], [h, 0.0, h], [h, h, 0.0]];
        let coordinates = [[0.0; 3], [0.5; 3]];
        json!({"id": i.to_string(), "lattice": lattice, "species": [cation, "O"], "frac_coords": coordinates})
    };
    let cations = ["Mg", "Ca", "Sr", "Ba", "Mn", "Fe", "Co", "Ni", "Cd", "Ti"];
    let lines: String =
        cations.iter().cycle().take(30).copied().enumerate().map(|c| format!("{}\n", salt(c))).collect();
    fs::write(at.join("salts.jsonl"), lines).unwrap();
    fs::write(at.join("pretrain.toml"), PRETRAIN).unwrap();
}

#[test]
fn a_dry_run_of_a_pretraining_looks_at_everything_and_writes_nothing() {
    let folder = prepared("");
    let at = folder.path();
    salts(at);
    let files = || fs::read_dir(at).unwrap().count();
    let before = files();
    let dry = ["pretrain", "pretrain.toml", "--dry-run"];
    let (printed, said) = accepted(at, &dry);
    assert!(printed.contains("everything checks out: 2 epochs of 3 steps of 8"), "{printed}");
    assert!(said.contains("30 rows: "), "{said}");
    assert_eq!(files(), before, "nothing was written");
    fs::write(at.join("file"), "").unwrap();
    for (key, code, part) in [
        ("train.batch=1000", 2, "`train.batch` = 1000"),
        ("policy.model=nowhere", 2, "nowhere"),
        ("data.files=[\"none.jsonl\"]", 2, "none.jsonl"),
        ("run.device=gpu", 2, "unknown device `gpu`"),
        ("train.out=file/out", 74, "cannot write file/out"),
        ("run.dir=/proc/run", 74, "cannot write /proc/run"),
    ] {
        let said = refused(at, &[&dry[..], &["--set", key]].concat(), code);
        assert!(said.contains(part), "{key}: {said}");
    }
    let (_, said) = accepted(at, &[&dry[..], &["--set", "run.memory=1 B"]].concat());
    assert!(said.contains("warning: `run.memory` is 1 B, but the gradient of a crystal"), "{said}");
    accepted(at, &["pretrain", "pretrain.toml", "--quiet"]);
    let said = refused(at, &dry, 2);
    assert!(said.contains("trained"), "the directory has a run: {said}");
    let said = refused(at, &[&dry[..], &["--resume", "--set", "train.batch=4"]].concat(), 2);
    assert!(said.contains("`train.batch` was 8, is 4"), "{said}");
}

#[test]
fn a_budget_that_one_crystal_exceeds_is_said() {
    let folder = prepared(&config());
    let dry = ["finetune", "run.toml", "--dry-run"];
    let (_, said) = accepted(folder.path(), &dry);
    assert!(!said.contains("run.memory"), "{said}");
    let (_, said) = accepted(folder.path(), &[&dry[..], &["--set", "run.memory=1 KiB"]].concat());
    assert!(said.contains("warning: `run.memory` is 1 KiB, but the gradient of a crystal"), "{said}");
}

#[test]
fn a_run_is_a_base_and_a_pretraining_begins_with_it() {
    let folder = prepared(&config());
    let at = folder.path();
    salts(at);
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let (_, said) = accepted(
        at,
        &["finetune", "run.toml", "--set", "policy.base=run", "--set", "run.dir=second", "--set", "run.steps=1"],
    );
    assert!(said.contains("run/checkpoints/step-"), "which checkpoint is said: {said}");
    let kl = metrics(&at.join("second"))[0]["kl"].as_f64().unwrap();
    assert!(kl.abs() > 1e-4, "KL is measured against the run, from which the start differs: {kl}");

    let trained = |model: &str| {
        let arguments = [format!("policy.model={model}"), format!("run.dir={model}-t"), format!("train.out={model}-o")];
        let set: Vec<&str> = arguments.iter().flat_map(|set| ["--set", set.as_str()]).collect();
        accepted(at, &[&["pretrain", "pretrain.toml"][..], &set].concat());
        let lock: Value = serde_json::from_slice(&fs::read(at.join(format!("{model}-t/lock.json"))).unwrap()).unwrap();
        (metrics(&at.join(format!("{model}-t")))[0]["train_nll"].as_f64().unwrap(), lock["policy.model"].clone())
    };
    let ((of_run, run_hash), (of_policy, policy_hash)) = (trained("run"), trained("policy"));
    assert!(of_run != of_policy && run_hash != policy_hash, "{of_run} {of_policy}");
}
