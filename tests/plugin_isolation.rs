//! What becomes of plugins and programs that misbehave: recorded failures with reasons, and never a lost run.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::panic, reason = "a test that cannot do its work has failed")]

#[path = "support/rogue.rs"]
mod rogue;

use std::time::{Duration, Instant};

use rogue::{config, cubes, discovery, library, library_of, program, refs, shell, started, supervision, workers};
use serde_json::Map;
use temper::hint::Hint;
use temper::plugin::{
    Evaluator, OpenError, PluginError, PluginLibrary, ProbeResult, REWARD, Supervision, WorkerCommand, WorkerFailure,
    probe,
};

/// Three crystals of one, two and three atoms: the values that the plugin gives when it behaves.
const WELL: [Result<Option<f64>, PluginError>; 3] = [Ok(Some(1.0)), Ok(Some(2.0)), Ok(Some(3.0))];

fn evaluate(evaluator: &Evaluator) -> Vec<Result<Option<f64>, PluginError>> {
    evaluator.evaluate(&refs(&cubes(&[1, 2, 3])), None)
}

/// The one reason why all rows failed.
fn reason(evaluator: &Evaluator) -> String {
    let rows = evaluate(evaluator);
    let reasons: Vec<String> = rows.into_iter().map(|row| row.unwrap_err().to_string()).collect();
    assert!(reasons.iter().all(|reason| *reason == reasons[0]), "{reasons:?}");
    reasons[0].clone()
}

#[test]
fn one_that_behaves_gives_its_values_wherever_it_runs() {
    let library = PluginLibrary::open(&library()).unwrap();
    assert_eq!(evaluate(&Evaluator::in_process(&library, REWARD, &config("well")).unwrap()), WELL);
    assert_eq!(evaluate(&workers("well")), WELL);
    let three = Supervision { workers: 3, ..supervision() };
    assert_eq!(evaluate(&started("well", three).unwrap()), WELL);
    assert_eq!(evaluate(&workers("prints_to_stdout")), WELL);
    assert_eq!(evaluate(&workers("abstains")), [Ok(None), Ok(None), Ok(None)]);
}

#[test]
fn each_way_to_fail_has_its_reason_and_the_next_batch_is_served() {
    let ways = [
        ("panic", "it panicked: no score for 3 crystals (for the whole batch of 3 crystals)"),
        ("too_few", "it gave 2 outcomes for 3 crystals (for the whole batch of 3 crystals)"),
        ("nan", "the plugin returned NaN"),
        ("segfault", "the worker was killed by signal 11 (segmentation fault) before it answered"),
        ("abort", "the worker was killed by signal 6 (abort) before it answered"),
        ("exit", "the worker ended with exit code 7 before it answered"),
    ];
    for (how, expected) in ways {
        let evaluator = workers(how);
        // The second time it is another process that fails.
        assert_eq!((reason(&evaluator).as_str(), reason(&evaluator).as_str()), (expected, expected), "{how}");
    }
    let odd = evaluate(&workers("fails_every_second"));
    assert_eq!(odd, [Ok(Some(1.0)), Err(PluginError::Crystal("row 1 is odd".into())), Ok(Some(3.0))]);
}

#[test]
fn a_panic_in_this_process_is_a_failure_too() {
    let library = PluginLibrary::open(&library()).unwrap();
    let here = |how: &str| Evaluator::in_process(&library, REWARD, &config(how));
    assert_eq!(
        reason(&here("panic").unwrap()),
        "it panicked: no score for 3 crystals (for the whole batch of 3 crystals)"
    );
    assert_eq!(reason(&here("nan").unwrap()), "the plugin returned NaN");
    assert_eq!(here("panic_in_new").unwrap_err().to_string(), "rogue: it panicked: no instance today");
    // Would abort the process, did it cross the boundary.
    drop(here("panic_in_drop").unwrap());
}

#[test]
fn a_hang_is_cut_at_its_deadline() {
    let deadline = Duration::from_millis(300);
    let evaluator = started("hang", Supervision { deadline, ..supervision() }).unwrap();
    let began = Instant::now();
    assert_eq!(reason(&evaluator), "no answer within the deadline of 0.3 s; the worker was killed");
    let over = began.elapsed() - deadline;
    // 50 ms on an idle machine; tests share theirs.
    assert!(over < Duration::from_millis(500), "{over:?}");
}

#[test]
fn a_slow_start_and_a_panic_in_it_are_told_before_the_run() {
    let start_deadline = Duration::from_millis(300);
    let slow = started("slow_start", Supervision { start_deadline, ..supervision() });
    let text = slow.unwrap_err().to_string();
    assert!(text.ends_with("no answer within the deadline of 0.3 s; the worker was killed"), "{text}");
    let panics = started("panic_in_new", supervision()).unwrap_err();
    assert!(
        matches!(&panics, OpenError::Refused { reason, .. } if reason == "it panicked: no instance today"),
        "{panics}"
    );
    let unknown = started("badly", supervision()).unwrap_err().to_string();
    assert!(unknown.contains("unknown variant `badly`, expected one of `well`"), "{unknown}");
}

#[test]
fn memory_has_a_limit() {
    let limit = 256 << 20;
    let evaluator = started("memory", Supervision { memory: Some(limit), ..supervision() }).unwrap();
    let rows = evaluate(&evaluator);
    assert!(
        matches!(rows[0], Err(PluginError::Worker(WorkerFailure::Memory { used, limit: allowed })) if used > limit && allowed == limit && used < 4 * limit),
        "{rows:?}"
    );
}

/// The process that was started may be a script, and what it started may take the memory, in a session of its own as well.
#[cfg(target_os = "linux")]
#[test]
fn memory_of_what_a_script_starts_counts_too() {
    for session in ["", "setsid "] {
        let script = format!("{session}{:?} plugin serve {:?}; true", program(), library());
        let limit = 256 << 20;
        let bounded = Supervision { memory: Some(limit), ..supervision() };
        let evaluator = Evaluator::in_workers("sh", shell(&script), REWARD, &config("memory"), bounded).unwrap();
        let rows = evaluate(&evaluator);
        assert!(
            matches!(rows[0], Err(PluginError::Worker(WorkerFailure::Memory { used, .. })) if used > limit && used < 4 * limit),
            "{session}{rows:?}"
        );
    }
}

/// The guard reports the end of what it guards as its own.
#[cfg(target_os = "linux")]
#[test]
fn a_guarded_worker_ends_as_any_other() {
    let start = |command: WorkerCommand, how: &str| {
        Evaluator::in_workers("rogue", command.guarded_by(&program()), REWARD, &config(how), supervision())
    };
    let ends = [
        ("segfault", "the worker was killed by signal 11 (segmentation fault) before it answered"),
        ("abort", "the worker was killed by signal 6 (abort) before it answered"),
        ("exit", "the worker ended with exit code 7 before it answered"),
    ];
    let served = || WorkerCommand::new(program(), vec!["plugin".into(), "serve".into(), library().into()]);
    for (how, expected) in ends {
        assert_eq!(reason(&start(served(), how).unwrap()), expected, "{how}");
    }
    let well = start(served(), "exit_well_after_one").unwrap();
    assert!((0..3).all(|_| evaluate(&well) == WELL));
    let missing = WorkerCommand::new("no-such-program", vec![]);
    let missing = start(missing, "well").unwrap_err().to_string();
    assert_eq!(missing, "rogue: no-such-program: No such file or directory (os error 2)");
}

#[test]
fn a_library_that_is_built_again_is_not_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.so");
    std::fs::copy(library(), &own).unwrap();
    let discovery = discovery(folder.path());
    let found = discovery.open(&own).unwrap();
    let workers = Some((supervision(), Default::default()));
    let evaluator = discovery.start(&found, REWARD, &config("exit_well_after_one"), workers).unwrap();
    assert_eq!(evaluate(&evaluator), WELL);
    let mut bytes = std::fs::read(&own).unwrap();
    bytes.extend(b"changed");
    std::fs::remove_file(&own).unwrap();
    std::fs::write(&own, bytes).unwrap();
    // The old one serves this batch or ends before it; the next worker would have been the new one.
    let rows = [evaluate(&evaluator), evaluate(&evaluator)].concat();
    let changed = |row: &Result<Option<f64>, PluginError>| matches!(row, Err(PluginError::Worker(WorkerFailure::Start(reason))) if reason.contains("has changed since the run began"));
    assert!(rows.iter().any(changed), "{rows:?}");
}

#[test]
fn one_that_ends_between_batches_is_started_again() {
    let well = workers("exit_well_after_one");
    assert!((0..4).all(|_| evaluate(&well) == WELL));
    let badly = workers("exit_after_one");
    assert_eq!(evaluate(&badly), WELL);
    assert_eq!(reason(&badly), "the worker ended with exit code 7 before it answered");
    assert_eq!(evaluate(&badly), WELL);
}

#[test]
fn it_is_given_up_after_too_many_failures_in_a_row() {
    let evaluator = started("abort", Supervision { max_restarts: 2, ..supervision() }).unwrap();
    for _ in 0..3 {
        assert_eq!(reason(&evaluator), "the worker was killed by signal 6 (abort) before it answered");
    }
    let expected =
        "given up after 3 failures in a row; the last: the worker was killed by signal 6 (abort) before it answered";
    // Said again, not failed again.
    assert_eq!((reason(&evaluator).as_str(), reason(&evaluator).as_str()), (expected, expected));
}

#[test]
fn programs_that_speak_something_else_are_told_so() {
    let start = |script: &str| {
        Evaluator::in_workers("sh", shell(script), REWARD, &Map::new(), supervision()).unwrap_err().to_string()
    };
    let greets = start("echo Loading weights from the cache; sleep 5");
    assert!(greets.contains("a frame begins with TMPR, this with \"Loading weights \""), "{greets}");
    let ends = start("echo no licence >&2; exit 3");
    assert!(ends.contains("ended with exit code 3 before it answered; its standard error ends: no licence"), "{ends}");
    let echoes = start("cat");
    assert!(echoes.contains("a message of type \"hello\" where \"ready\" must come"), "{echoes}");
    let mut missing = shell("");
    missing.program = "no-such-program".into();
    let missing =
        Evaluator::in_workers("no-such-program", missing, REWARD, &Map::new(), supervision()).unwrap_err().to_string();
    assert_eq!(missing, "no-such-program: no-such-program: No such file or directory (os error 2)");
}

/// The rows of the batches that it crashed in have failed, and no others.
#[test]
fn ten_thousand_batches_survive_a_hundred_crashes() {
    let evaluator = workers("sometimes");
    let mut crystals = cubes(&[1, 2]);
    let (mut crashes, mut random) = (0, 12_345_u64);
    for batch in 0..10_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = (random >> 11) as f64 / (1_u64 << 53) as f64;
        crystals[0].frac[0][0] = x;
        crystals[1].frac[0][0] = 0.5;
        let rows = evaluator.evaluate(&refs(&crystals), None);
        if x < 0.01 {
            crashes += 1;
            assert!(
                rows.iter().all(|row| matches!(row, Err(PluginError::Worker(WorkerFailure::Exited { .. })))),
                "batch {batch}: {rows:?}"
            );
        } else {
            assert_eq!(rows, WELL[..2], "batch {batch}");
        }
    }
    assert!((50..200).contains(&crashes), "{crashes}");
}

#[test]
fn libraries_that_are_no_plugins_are_told_why_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.so");
    std::fs::write(&text, "no library at all").unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let cases = [
        (library_of("rogue_no_root"), "it does not have the symbol `temper_plugin_root`".to_owned()),
        (library_of("rogue_wrong_version"), "built with version 2.0.0 of temper-plugin-api".to_owned()),
        (
            library_of("rogue_wrong_layout"),
            "mismatched package, expected temper-plugin-api, found temper-rogue-plugin".to_owned(),
        ),
        (
            library_of("rogue_panics_at_load"),
            "the plugin refuses to load: it panicked: I do not know who I am".to_owned(),
        ),
        (text, "not a shared library that can be loaded: ".to_owned()),
    ];
    for (path, expected) in cases {
        let error = PluginLibrary::open(&path).err().unwrap();
        let said = error.to_string();
        assert!(said.contains(&expected) && said.lines().count() == 1 && said.len() < 500, "{version}: {said}");
        assert!(said.starts_with(&path.display().to_string()) && !error.hints().is_empty());
    }
}

#[test]
fn what_crashed_is_set_aside_until_somebody_asks() {
    let cache = tempfile::tempdir().unwrap();
    let discovery = discovery(cache.path());
    let aborts = library_of("rogue_aborts_at_load");
    let verdict = |again| probe(&discovery.probe, &aborts, again).unwrap().1;
    assert!(matches!(verdict(false), ProbeResult::Crashed { reason } if reason.contains("signal 6")));
    // As if it had been mended without a change of the file: only a new load can tell.
    let kept = std::fs::read_dir(cache.path().join("plugins")).unwrap().next().unwrap().unwrap().path();
    let mended = std::fs::read_to_string(&kept).unwrap().replace("signal 6", "signal 99");
    std::fs::write(&kept, mended).unwrap();
    assert!(matches!(verdict(false), ProbeResult::Crashed { reason } if reason.contains("signal 99")));
    assert!(matches!(verdict(true), ProbeResult::Crashed { reason } if reason.contains("signal 6")));
    assert!(discovery.open(&aborts).unwrap_err().to_string().contains("set aside"));
    let hangs = probe(&discovery.probe, &library_of("rogue_hangs_at_load"), false).unwrap().1;
    assert!(matches!(hangs, ProbeResult::Crashed { reason } if reason.contains("deadline of 2 s")));
}

#[cfg(target_os = "linux")]
mod orphans {
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A run whose plugin hangs, and the process of its worker.
    fn hanging(folder: &Path) -> (Child, u32) {
        let library = library();
        let config = format!(
            "objective = \"x\"\n[policy]\nmodel = \"models/crystalformer-small\"\n[run]\ndir = \"run\"\nsteps = 1\nthreads = 1\n\
             [sampling]\nbatch = 8\nspacegroups = [225]\n[rewards.x.plugin]\nlibrary = \"{}\"\ndeadline = \"10m\"\nconfig = {{ how = \"hang\" }}\n",
            library.display()
        );
        fs::write(folder.join("run.toml"), config).unwrap();
        let mut run = Command::new(program());
        run.args(["finetune", "run.toml"]).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        let host = run.spawn().unwrap();
        let worker = worker_at_work(host.id());
        (host, worker)
    }

    /// The worker of a process, once it stays: that of a first load goes at once.
    fn worker_at_work(host: u32) -> u32 {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(120), "no worker was started");
            let worker = worker_of(host);
            std::thread::sleep(Duration::from_millis(500));
            if let (Some(worker), Some(later)) = (worker, worker_of(host))
                && worker == later
            {
                return worker;
            }
        }
    }

    /// The worker that a process has started, itself or by a guard.
    fn worker_of(host: u32) -> Option<u32> {
        let processes =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let child = processes.into_iter().find(|process: &u32| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
            parent == Some(host) && command_line(*process).contains("serve")
        })?;
        if command_line(child).contains("guard") { worker_of(child) } else { Some(child) }
    }

    fn command_line(process: u32) -> String {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).into_owned()
    }

    fn signal(process: u32, name: &str) {
        assert!(Command::new("kill").args([name, &process.to_string()]).status().unwrap().success());
    }

    fn assert_gone(process: u32) {
        let began = Instant::now();
        let is_there = || {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while is_there() {
            assert!(began.elapsed() < Duration::from_secs(5), "the worker {process} is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn no_worker_outlives_its_host() {
        for signals in [&["-KILL"][..], &["-INT", "-INT"], &["-TERM", "-TERM"]] {
            let folder = tempfile::tempdir().unwrap();
            let (mut host, worker) = hanging(folder.path());
            for name in signals {
                // The worker is under way to its hang, or in it.
                std::thread::sleep(Duration::from_millis(500));
                signal(host.id(), name);
            }
            let ended = host.wait().unwrap();
            assert!(!ended.success(), "it should have hung: {ended}");
            assert_gone(worker);
        }
    }

    /// Nor does what a worker has started, in commands that do not wait for the end of a step.
    #[test]
    fn nothing_that_a_worker_started_outlives_its_host() {
        for name in ["-INT", "-TERM", "-HUP"] {
            let folder = tempfile::tempdir().unwrap();
            let script = "sleep 600 & echo $! > started.tmp; mv started.tmp started; wait";
            let mut check = Command::new(program());
            check.args(["plugin", "check", "--deadline", "10m", "--", "sh", "-c", script]).current_dir(folder.path());
            let mut host = check.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let grandchild = started_process(folder.path());
            signal(host.id(), name);
            assert!(!host.wait().unwrap().success());
            assert_gone(grandchild);
        }
    }

    /// Nor does what has left its process group and lost its parent, whatever ends the host.
    #[test]
    fn nothing_that_has_left_its_group_outlives_the_host() {
        for name in ["-KILL", "-QUIT", "-ABRT", "-TERM"] {
            let folder = tempfile::tempdir().unwrap();
            // The inner shell ends at once; the outer one never greets, and the host waits for it.
            let script = "setsid sh -c 'sleep 600 & echo $! > started.tmp; mv started.tmp started'; sleep 600";
            let config = format!(
                "objective = \"x\"\n[policy]\nmodel = \"models/crystalformer-small\"\n\
                 [rewards.x.process]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n"
            );
            fs::write(folder.path().join("run.toml"), config).unwrap();
            let mut run = Command::new(program());
            run.args(["finetune", "run.toml"]).current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut host = run.spawn().unwrap();
            let orphan = started_process(folder.path());
            signal(host.id(), name);
            assert!(!host.wait().unwrap().success());
            assert_gone(orphan);
        }
    }

    /// The process whose number a script has written.
    fn started_process(folder: &Path) -> u32 {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < Duration::from_secs(60), "nothing was started");
            if let Ok(text) = fs::read_to_string(folder.join("started")) {
                return text.trim().parse().unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A scheduler signals every process of a run, which wants its batch before it obeys.
    #[test]
    fn a_worker_ignores_signals_that_are_for_its_host() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own.so");
        fs::copy(library(), &own).unwrap();
        let command = discovery(folder.path()).probe.command(&own, None);
        let evaluator = Evaluator::in_workers("rogue", command, REWARD, &config("well"), supervision()).unwrap();
        let worker = || {
            let processes =
                fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
            let serves = |process: &u32| {
                let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&command).contains(own.to_str().unwrap())
            };
            processes.into_iter().find(serves)
        };
        let before: u32 = worker().unwrap();
        ["-TERM", "-INT", "-HUP", "-USR1"].iter().for_each(|name| signal(before, name));
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(evaluate(&evaluator), WELL);
        assert_eq!(worker(), Some(before), "another worker has answered");
    }

    #[test]
    fn threads_that_a_plugin_leaves_behind_end_with_their_worker() {
        let evaluator = workers("leaves_a_thread");
        assert_eq!(evaluate(&evaluator), WELL);
        let worker = worker_of(std::process::id());
        drop(evaluator);
        worker.into_iter().for_each(assert_gone);
    }
}
