//! Several ranks of one command: what one rank gives, whatever happens to one of them. With the feature `mpi` (`.ci/run` builds these
//! tests with it) and mpirun; without them, that a program that cannot share its work says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{SMALL_CRYSTALFORMER, json_lines, prepared, write_charge_model};

const PROGRAM: &str = env!("CARGO_BIN_EXE_temper");

/// Batches of several chunks for the sampler, the graphs and the models.
const CONFIG: &str = r#"
objective = "charge / 100 - density / 10 + fresh"

[policy]
model = "policy"

[run]
dir = "run"
steps = 2
seed = 7
threads = 1
checkpoint_every = 1
max_failed = 1.0

[sampling]
batch = 100
elements = { exclude = ["radioactive"] }

[ppo]
learning_rate = 1e-3
epochs = 1

[rewards.density.builtin]
term = "density"
on_failure = { value = 30.0 }

[rewards.charge.onnx]
model = "sum.onnx"
on_failure = { value = 0.0 }

[rewards.fresh.builtin]
term = "uniqueness"
"#;

#[cfg(not(feature = "mpi"))]
#[test]
fn a_program_without_mpi_does_not_do_the_same_work_several_times() {
    let folder = prepared(CONFIG);
    let set = |variables: &[(&str, &str)]| {
        let mut command = support::command(folder.path(), &["finetune", "run.toml"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for variables in [
        &[("OMPI_COMM_WORLD_SIZE", "2")][..],
        &[("PMI_SIZE", "2")],
        &[("SLURM_NTASKS", "2"), ("SLURM_PROCID", "1"), ("SLURM_STEP_ID", "0")],
    ] {
        let (code, said) = set(variables);
        let expected =
            "error: started as one of 2 tasks, but this program was built without MPI: each would do the same work\n";
        assert!(code == Some(2) && said.starts_with(expected) && said.contains("--features mpi"), "{said}");
        assert!(said.contains("`--alone`"), "{said}");
    }
    // What shares nothing is done by every task, and so is what is said to be its own.
    let step = [("SLURM_NTASKS", "4"), ("SLURM_PROCID", "1"), ("SLURM_STEP_ID", "0")];
    let of_step = |arguments: &[&str]| support::command(folder.path(), arguments).envs(step).output().unwrap();
    assert!(of_step(&["completions", "bash"]).status.success());
    let said = String::from_utf8(of_step(&["finetune", "run.toml", "--alone"]).stderr).unwrap();
    assert!(said.contains("sum.onnx"), "{said}");
    // A batch script whose job has room for two tasks is one process: it gets as far as the model that is not there.
    let (code, said) = set(&[("SLURM_NTASKS", "2"), ("SLURM_PROCID", "0")]);
    assert!(code == Some(2) && said.contains("sum.onnx"), "{said}");
}

/// A folder with a policy, a model and a config; `None`, with a line that says why, where no ranks can be started.
fn folder() -> Option<tempfile::TempDir> {
    if cfg!(not(feature = "mpi")) {
        println!("skipped: built without the feature mpi");
        return None;
    }
    if Command::new("mpirun").arg("--version").output().is_err() {
        println!("skipped: no mpirun");
        return None;
    }
    let folder = prepared(CONFIG);
    write_charge_model(folder.path(), "add");
    Some(folder)
}

/// `temper` as `ranks` processes; as one without a launcher.
fn on(ranks: usize, at: &Path, arguments: &[&str]) -> Command {
    let mut command = match ranks {
        1 => Command::new(PROGRAM),
        _ => launched(ranks, at),
    };
    if ranks > 1 {
        command.arg(PROGRAM);
    }
    command.current_dir(at).args(arguments);
    command
}

/// mpirun for so many ranks; what they run is to be added.
fn launched(ranks: usize, at: &Path) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--allow-run-as-root", "--bind-to", "none", "-n", &ranks.to_string()]);
    command.current_dir(at);
    command
}

fn run(ranks: usize, at: &Path, arguments: &[&str]) -> Output {
    let output = on(ranks, at, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{ranks} ranks, temper {arguments:?}: {said}");
    output
}

fn finetune(ranks: usize, at: &Path, dir: &str, more: &[&str]) {
    let set = format!("run.dir={dir}");
    run(ranks, at, &[&["finetune", "run.toml", "--set", &set][..], more].concat());
}

/// A line of the metrics without what depends on the clock and on the sum of gradients.
fn rewarded(run: &Path, line: usize) -> Value {
    let mut line = json_lines(&run.join("metrics.jsonl"))[line].clone();
    for key in ["time", "grad_norms"] {
        line.as_object_mut().unwrap().remove(key);
    }
    line
}

fn parameters(file: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |data: &[u8]| data.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
    tensors.tensors().into_iter().map(|(name, tensor)| (name, numbers(tensor.data()))).collect()
}

/// Adam divides by the size of a gradient: where that is nothing but rounding, a step has any length up to the learning rate.
fn assert_close(a: &Path, b: &Path, most: f32) {
    let (a, b) = (parameters(a), parameters(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let differences: Vec<f32> = a.values().flatten().zip(b.values().flatten()).map(|(a, b)| (a - b).abs()).collect();
    let mean = differences.iter().sum::<f32>() / differences.len() as f32;
    let largest = differences.iter().copied().fold(0.0, f32::max);
    assert!(largest <= most && mean <= 1e-3 * most, "largest {largest}, mean {mean}");
}

#[test]
fn any_number_of_ranks_draws_and_rewards_the_same_crystals() {
    let Some(folder) = folder() else { return };
    let at = folder.path();
    let dir = |ranks: usize| at.join(format!("on{ranks}"));
    // Its crystals, unlike those of one that was not trained, are fit for a model.
    let policy = concat!("policy.model=", env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
    let steps = |ranks: usize| if ranks == 3 { "run.steps=2" } else { "run.steps=1" };
    // What a run remembers besides its parameters, every rank must know.
    let remembered =
        ["--set", "ppo.composition_prior=0.5", "--set", "ppo.kl_target=0.5", "--set", "ppo.replay.crystals=5"];
    let finetuned = |ranks: usize, dir: &str, more: &[&str]| {
        finetune(ranks, at, dir, &[&["--set", policy][..], &remembered, more].concat());
    };
    (1..=4).for_each(|n| finetuned(n, &format!("on{n}"), &["--set", steps(n)]));
    let samples =
        |ranks: usize, step: usize| fs::read(dir(ranks).join(format!("samples/step-{step}.jsonl.gz"))).unwrap();
    let charges =
        json_lines(&dir(1).join("samples/step-1.jsonl.gz")).iter().filter(|row| row["charge"].is_number()).count();
    assert!(charges > 50, "a model is asked about {charges} crystals only");
    for ranks in 2..=4 {
        assert!(samples(ranks, 1) == samples(1, 1), "{ranks} ranks draw or reward other crystals than one");
        assert_eq!(rewarded(&dir(ranks), 0), rewarded(&dir(1), 0), "{ranks} ranks");
        let checkpoint = "checkpoints/step-1/params.safetensors";
        assert_close(&dir(ranks).join(checkpoint), &dir(1).join(checkpoint), 1e-3);
    }
    // As many ranks give the same bytes. Three: the sum of two numbers does not depend on their order.
    finetuned(3, "again", &[]);
    for file in ["samples/step-2.jsonl.gz", "checkpoints/step-2/params.safetensors", "checkpoints/step-2/state.json"] {
        assert!(fs::read(dir(3).join(file)).unwrap() == fs::read(at.join("again").join(file)).unwrap(), "{file}");
    }
    // From a checkpoint on, another number of ranks draws and rewards the same.
    let resumed = |ranks: usize| {
        let name = format!("resumed{ranks}");
        let copied = Command::new("cp").args(["-r", "on3", &name]).current_dir(at).status().unwrap();
        assert!(copied.success());
        finetuned(ranks, &name, &["--resume", "--set", "run.steps=3"]);
        (fs::read(at.join(&name).join("samples/step-3.jsonl.gz")).unwrap(), rewarded(&at.join(&name), 2))
    };
    let one = resumed(1);
    assert!(resumed(2) == one);
    let [one, two] = [1, 2].map(|ranks| at.join(format!("resumed{ranks}/checkpoints/step-3/params.safetensors")));
    assert_close(&one, &two, 1e-3);
}

#[test]
fn the_other_commands_share_their_rows() {
    let Some(folder) = folder() else { return };
    let at = folder.path();
    fs::write(at.join("pretrain.toml"), format!("{PRETRAIN}{SMALL_CRYSTALFORMER}")).unwrap();
    fs::write(at.join("further.toml"), format!("{PRETRAIN}[policy]\nmodel = \"learnt-1\"\n")).unwrap();
    for ranks in [1, 2, 3] {
        let file = |name: &str| format!("{name}-{ranks}.jsonl");
        run(ranks, at, &["sample", "-m", "policy", "-n", "150", "-o", &file("drawn"), "--threads", "1"]);
        let table = format!("scores-{ranks}.csv");
        run(ranks, at, &["score", "drawn-1.jsonl", "--model", "sum.onnx", "-o", &table]);
        let salts = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/old-runs/salts.jsonl");
        let hull = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/hulls/mp-chgnet.hull");
        let chgnet = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0");
        run(ranks, at, &["relax", salts, "--model", chgnet, "--steps", "2", "-o", &file("relaxed")]);
        let out = format!("evaluated-{ranks}");
        run(ranks, at, &["evaluate", salts, "--model", chgnet, "--hull", hull, "-o", &out]);
        let out = format!("train.out=learnt-{ranks}");
        let dir = format!("run.dir=taught-{ranks}");
        let files = format!("data.files={salts}");
        run(ranks, at, &["pretrain", "pretrain.toml", "--set", &out, "--set", &dir, "--set", &files]);
        // All take part in the validation of the policy that it starts from.
        let [out, dir] = [format!("train.out=further-{ranks}"), format!("run.dir=further-run-{ranks}")];
        run(ranks, at, &["pretrain", "further.toml", "--set", &out, "--set", &dir, "--set", &files]);
    }
    let same = |name: &dyn Fn(usize) -> String, ranks: usize| {
        assert!(fs::read(at.join(name(1))).unwrap() == fs::read(at.join(name(ranks))).unwrap(), "{}", name(ranks));
    };
    for ranks in [2, 3] {
        same(&|ranks| format!("drawn-{ranks}.jsonl"), ranks);
        same(&|ranks| format!("scores-{ranks}.csv"), ranks);
        same(&|ranks| format!("relaxed-{ranks}.jsonl"), ranks);
        same(&|ranks| format!("evaluated-{ranks}/structures.csv"), ranks);
        for name in ["learnt", "further"] {
            let learnt = |ranks: usize| at.join(format!("{name}-{ranks}/params.safetensors"));
            assert_close(&learnt(1), &learnt(ranks), 1e-3);
        }
    }
}

const PRETRAIN: &str = r#"
[data]
files = ["salts.jsonl"]
holdout = 0.2

[train]
out = "learnt"
epochs = 2
batch = 4
learning_rate = 1e-3
warmup_steps = 0

[run]
dir = "taught"
threads = 1
"#;

#[test]
fn a_mistake_is_said_once() {
    let Some(folder) = folder() else { return };
    let output =
        on(3, folder.path(), &["finetune", "run.toml", "--set", "rewards.charge.onnx.model=nowhere.onnx"]).output();
    let output = output.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.matches("error: ").count()), (Some(2), 1), "{said}");
}

#[test]
fn ranks_that_end_because_of_another_leave_no_scratch_folders() {
    let Some(folder) = folder() else { return };
    let (at, scratch) = (folder.path(), folder.path().join("scratch"));
    fs::create_dir(&scratch).unwrap();
    // Rank 0 alone looks at the directory of the run, and fails.
    fs::write(at.join("run"), "a file").unwrap();
    let output = on(2, at, &["finetune", "run.toml"]).env("TMPDIR", &scratch).output().unwrap();
    assert!(!output.status.success());
    let left: Vec<String> =
        fs::read_dir(&scratch).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    // Those of mpirun have its own names.
    assert!(!left.iter().any(|name| name.starts_with(".tmp")), "{left:?}");
}

#[test]
fn commands_that_share_nothing_and_tasks_that_are_alone_run_each_by_themselves() {
    let Some(folder) = folder() else { return };
    let at = folder.path();
    run(2, at, &["schema"]);
    let each = "exec \"$0\" score salts.jsonl --model sum.onnx --alone -o $OMPI_COMM_WORLD_RANK.csv";
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/old-runs/salts.jsonl"), at.join("salts.jsonl")).unwrap();
    let output = launched(2, at).args(["sh", "-c", each, PROGRAM]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(at.join("0.csv")).unwrap() == fs::read(at.join("1.csv")).unwrap());
}

#[test]
fn ranks_that_see_other_files_or_are_another_program_are_refused() {
    let Some(folder) = folder() else { return };
    let at = folder.path();
    let salts = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/old-runs/salts.jsonl")).unwrap();
    for (node, kept) in [("node0", 2), ("node1", 1)] {
        fs::create_dir(at.join(node)).unwrap();
        let lines: Vec<&str> = salts.lines().take(kept).collect();
        fs::write(at.join(node).join("salts.jsonl"), lines.join("\n")).unwrap();
        fs::copy(at.join("sum.onnx"), at.join(node).join("sum.onnx")).unwrap();
    }
    let refused = |script: &str, expected: &str| {
        let output = launched(2, at).args(["sh", "-c", script, PROGRAM]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(expected), "{said}");
    };
    let score = "cd node$OMPI_COMM_WORLD_RANK; exec \"$0\" score";
    let options = "--model sum.onnx -o scores.csv";
    refused(&format!("{score} salts.jsonl {options}"), "error: rank 1 has another salts.jsonl than rank 0");
    fs::copy(at.join("node0/salts.jsonl"), at.join("node1/salts.jsonl")).unwrap();
    // With a doc string, which changes no number.
    let model = fs::read(at.join("sum.onnx")).unwrap();
    fs::write(at.join("node1/sum.onnx"), [&model[..], &[0x32, 1, b'x']].concat()).unwrap();
    refused(&format!("{score} salts.jsonl {options}"), "error: rank 1 has another sum.onnx than rank 0");
    // A byte at its end changes nothing but the file.
    fs::write(at.join("temper"), [&fs::read(PROGRAM).unwrap()[..], b"x"].concat()).unwrap();
    fs::set_permissions(at.join("temper"), fs::metadata(PROGRAM).unwrap().permissions()).unwrap();
    let other = "[ $OMPI_COMM_WORLD_RANK = 1 ] && set -- ./temper; exec \"${1:-$0}\" score node0/salts.jsonl";
    let other = format!("{other} --model node0/sum.onnx -o scores.csv");
    refused(&other, "error: rank 1 runs another program than rank 0");
}

#[cfg(target_os = "linux")]
mod endings {
    use std::process::{Child, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    /// A run of two ranks without an end, which is killed when the test ends.
    struct Running(Child);

    impl Running {
        fn start(at: &Path) -> Self {
            let endless = ["finetune", "run.toml", "--set", "run.steps=1000000"];
            let child = on(2, at, &endless).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            Self(child)
        }

        /// The process of a rank.
        fn rank(&self, rank: usize) -> u32 {
            let mark = format!("OMPI_COMM_WORLD_RANK={rank}");
            let parent = format!("PPid:\t{}", self.0.id());
            let is_it = |id: &u32| {
                let read = |file: &str| fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
                let is_marked = read("environ").split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
                is_marked && String::from_utf8_lossy(&read("status")).lines().any(|line| line == parent)
            };
            let mut ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
            ids.find(is_it).unwrap()
        }

        fn signal_rank(&self, signal: &str, rank: usize) {
            let id = self.rank(rank).to_string();
            assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        }

        /// The exit code and what was said.
        fn end(mut self) -> (Option<i32>, String) {
            let started = Instant::now();
            while self.0.try_wait().unwrap().is_none() {
                assert!(started.elapsed() < Duration::from_secs(60), "the others go on without it");
                std::thread::sleep(Duration::from_millis(20));
            }
            let mut said = String::new();
            std::io::Read::read_to_string(&mut self.0.stderr.take().unwrap(), &mut said).unwrap();
            (self.0.wait().unwrap().code(), said)
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn lines(at: &Path) -> usize {
        fs::read_to_string(at.join("run/metrics.jsonl")).unwrap_or_default().lines().count()
    }

    fn wait_for_steps(at: &Path, steps: usize) {
        let started = Instant::now();
        while lines(at) < steps {
            assert!(started.elapsed() < Duration::from_secs(120), "no {steps} steps after two minutes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_rank_that_dies_ends_the_job_and_the_run_goes_on_with_another_number() {
        let Some(folder) = folder() else { return };
        let at = folder.path();
        let running = Running::start(at);
        wait_for_steps(at, 2);
        running.signal_rank("-KILL", 1);
        let (code, said) = running.end();
        assert!(code != Some(0) && said.contains("signal 9"), "{code:?}: {said}");
        let steps = format!("run.steps={}", lines(at) + 1);
        finetune(3, at, "run", &["--resume", "--set", &steps]);
    }

    #[test]
    fn a_signal_to_one_rank_stops_all_after_the_same_step() {
        let Some(folder) = folder() else { return };
        let at = folder.path();
        let running = Running::start(at);
        wait_for_steps(at, 2);
        running.signal_rank("-TERM", 1);
        let (code, said) = running.end();
        assert_eq!((code, said.matches("error: interrupted after step").count()), (Some(4), 1), "{said}");
        let newest = at.join(format!("run/checkpoints/step-{}/state.json", lines(at)));
        assert!(newest.is_file(), "{said}");
    }
}
