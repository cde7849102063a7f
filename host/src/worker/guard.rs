//! A process between Temper and a worker, which outlives both for a moment and ends what the worker has started.
//!
//! A worker dies with Temper because the system is asked for it, but what the worker has started does not, and may have left its
//! process group. The guard is a subreaper: whatever loses its parent below it becomes its child, so that it can find all of it.

use std::ffi::OsString;
use std::process::Command;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Frame;
use super::process_tree::kill_descendants;

/// How a guarded program has ended.
pub enum GuardedExit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl GuardedExit {
    /// Ends this process as the program has ended.
    pub fn repeat(self) -> ! {
        use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(number) => {
                // The program has left its core already.
                let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
                // Twice: where Rust has a handler, that takes the first one and itself away.
                for signal in [Signal::from_named_raw(number); 2].into_iter().flatten() {
                    let _ = kill_process(getpid(), signal);
                }
                // As a shell reports an end by a signal.
                128 + number
            }
        };
        std::process::exit(code)
    }
}

/// Runs a program until it ends, or Temper does; then kills all that it has started. The program has the standard streams.
///
/// # Errors
/// When the system denies what a guard needs. A program that cannot be started is no error: it is reported on standard output as a
/// worker's refusal.
pub fn guard(program: &OsString, arguments: &[OsString]) -> std::io::Result<GuardedExit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let ended = runtime.block_on(run(program, arguments));
    kill_descendants(std::process::id());
    ended
}

async fn run(program: &OsString, arguments: &[OsString]) -> std::io::Result<GuardedExit> {
    use rustix::process::{Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal};
    let host = getppid();
    let mut terminated = signal(SignalKind::terminate())?;
    let mut child_ended = signal(SignalKind::child())?;
    let _ignored = ignored_signals()?;
    // Until here the host's end has killed this process, as the host has asked for.
    set_parent_process_death_signal(Some(Signal::TERM))?;
    set_child_subreaper(Some(getpid()))?;
    let mut worker = Command::new(program);
    worker.args(arguments);
    super::process::die_with_the_parent(&mut worker);
    let child = match worker.spawn() {
        Ok(child) => child.id(),
        Err(reason) => {
            let refusal = Frame::refusal(&format!("{}: {reason}", program.to_string_lossy()));
            refusal.write(&mut std::io::stdout().lock())?;
            return Ok(GuardedExit::Code(127));
        }
    };
    close_streams()?;
    loop {
        tokio::select! {
            _ = child_ended.recv() => if let Some(exit) = reap(child)? { return Ok(exit) },
            // A scheduler signals all processes of a run: only the end of the host counts.
            _ = terminated.recv() => if getppid() != host { return Ok(GuardedExit::Code(143)) },
        }
    }
}

/// Signals that are for the host; while these are held, they are ignored.
fn ignored_signals() -> std::io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?])
}

/// Takes note of ended children; how the program has ended, if it is among them.
fn reap(program: u32) -> std::io::Result<Option<GuardedExit>> {
    use rustix::process::{WaitOptions, wait};
    loop {
        let Some((pid, status)) = wait(WaitOptions::NOHANG)? else { return Ok(None) };
        if pid.as_raw_nonzero().get().cast_unsigned() == program {
            let by_signal = status.terminating_signal().map(GuardedExit::Signal);
            return Ok(Some(by_signal.unwrap_or(GuardedExit::Code(status.exit_status().unwrap_or(0)))));
        }
    }
}

/// The worker's end must close its streams: the guard keeps none of them.
fn close_streams() -> std::io::Result<()> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    Ok(dup2_stderr(&nothing)?)
}
