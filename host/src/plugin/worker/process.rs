//! One worker process: started, asked, watched and ended.

use std::collections::BTreeSet;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use temper_plugin_api::Descriptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::super::PluginError;
use super::super::frame::{Frame, FrameError, Lengths, Limits, PREFIX};
use super::super::message::{Hello, greeting};
use super::WorkerCommand;

/// How often a worker's memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(50);
/// How long a worker may take to end when its input is closed, or to be found dead when its output is.
const TO_END: Duration = Duration::from_secs(2);
/// How much of what a worker writes to standard error is kept.
const LAST_WORDS: usize = 2048;
/// How much of it stands in a message.
const SHOWN_WORDS: usize = 300;

/// The process groups of all workers, by their leaders.
static GROUPS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Kills every worker at once, for a program that ends without ceremony.
pub fn end_all_workers() {
    let groups = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    groups.iter().for_each(|group| kill_group(*group));
}

/// Set by who obeys signals himself.
static SIGNALS_ARE_HANDLED: AtomicBool = AtomicBool::new(false);

/// From now on the caller decides what a signal to end means, and calls [`end_all_workers`] when he ends at once.
pub fn leave_signals_to_the_caller() {
    SIGNALS_ARE_HANDLED.store(true, Ordering::Relaxed);
}

/// Ends the program and its workers at a signal, unless somebody else obeys it: the system would end the program alone, and leave
/// what its workers have started.
#[cfg(unix)]
async fn end_at_a_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] = kinds.map(signal);
    let [interrupt, terminate, hangup] = [interrupt.as_mut(), terminate.as_mut(), hangup.as_mut()];
    let (Ok(interrupt), Ok(terminate), Ok(hangup)) = (interrupt, terminate, hangup) else { return Ok(()) };
    loop {
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hangup.recv() => 1,
        };
        if !SIGNALS_ARE_HANDLED.load(Ordering::Relaxed) {
            end_all_workers();
            // As a shell names the end by a signal.
            std::process::exit(128 + number);
        }
    }
}

/// The thread that starts and watches workers. It lives as long as the program: the system kills workers with the thread that
/// started them.
pub(super) fn supervisor() -> std::io::Result<&'static tokio::runtime::Handle> {
    static SUPERVISOR: OnceLock<std::io::Result<tokio::runtime::Handle>> = OnceLock::new();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        #[cfg(unix)]
        runtime.spawn(end_at_a_signal());
        let forever = move || runtime.block_on(std::future::pending::<()>());
        std::thread::Builder::new().name("workers".into()).spawn(forever)?;
        Ok(handle)
    };
    SUPERVISOR.get_or_init(start).as_ref().map_err(|e| std::io::Error::new(e.kind(), e.to_string()))
}

/// A worker that has greeted. Dropping it kills its process group.
pub(in crate::plugin) struct Worker {
    child: Child,
    group: u32,
    input: Option<ChildStdin>,
    output: ChildStdout,
    said: Arc<Mutex<Vec<u8>>>,
    /// Batches that it has answered.
    answered: usize,
}

/// What a worker did when its input was closed.
pub(in crate::plugin) struct Ending {
    /// Whether it ended by itself, soon.
    pub in_time: bool,
    /// "ended with exit code 3".
    pub how: String,
    /// Whether that was a good end.
    pub well: bool,
    /// Whether other processes of its group were left.
    pub leaves_others: bool,
}

/// Why a worker is not there.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(in crate::plugin) enum StartError {
    /// The system's reason.
    #[error("{program}: {reason}")]
    Spawn { program: String, reason: String },
    /// The worker's own reason, and what it advises.
    #[error("{0}")]
    Refused(String, Option<String>),
    /// It died or hung.
    #[error("{0}")]
    PluginError(#[from] PluginError),
}

impl Worker {
    /// Starts a worker and waits for its greeting.
    pub async fn start(
        command: &WorkerCommand,
        hello: &Hello,
        deadline: Duration,
        memory: Option<u64>,
    ) -> Result<(Self, Descriptor), StartError> {
        let mut worker = Self::spawn(command).map_err(|error| StartError::Spawn {
            program: command.program.to_string_lossy().into_owned(),
            reason: error.to_string(),
        })?;
        let frame = worker.ask(&hello.to_frame().encode(), Limits::GREETING, deadline, memory).await?;
        match greeting(&frame) {
            Ok(Ok(descriptor)) => Ok((worker, descriptor)),
            Ok(Err(message)) => Err(StartError::Refused(message, frame.text("advice").map(str::to_owned))),
            Err(reason) => Err(PluginError::Protocol(reason).into()),
        }
    }

    fn spawn(command: &WorkerCommand) -> std::io::Result<Self> {
        let mut child = Command::new(&command.program);
        child.args(&command.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the host to obey, and killing the group leaves no grandchild.
        #[cfg(unix)]
        child.process_group(0);
        #[cfg(target_os = "linux")]
        die_with_the_host(&mut child);
        let mut child = child.kill_on_drop(true).spawn()?;
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let group = child.id().ok_or_else(gone)?;
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).insert(group);
        let said = Arc::default();
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or_else(gone)?);
        tokio::spawn(listen(child.stderr.take().ok_or_else(gone)?, Arc::clone(&said)));
        Ok(Self { child, group, input, output, said, answered: 0 })
    }

    /// Sends a message and waits for the answer, which is at most so long. If there is none in time, or too much
    /// memory is taken meanwhile, the worker is killed.
    pub async fn ask(
        &mut self,
        message: &[u8],
        most: Limits,
        deadline: Duration,
        memory: Option<u64>,
    ) -> Result<Frame, PluginError> {
        let group = self.group;
        let answer = tokio::select! {
            answer = self.answer(message, most) => answer,
            () = sleep(deadline) => Err(PluginError::Deadline(deadline)),
            (used, limit) = too_much_memory(group, memory) => Err(PluginError::Memory { used, limit }),
        };
        if matches!(answer, Err(PluginError::Deadline(_) | PluginError::Memory { .. })) {
            kill_group(group);
        }
        self.answered += usize::from(answer.is_ok());
        answer
    }

    /// The answer to a message, or how the worker came to its end.
    async fn answer(&mut self, message: &[u8], most: Limits) -> Result<Frame, PluginError> {
        match self.exchange(message, most).await {
            Ok(frame) => Ok(frame),
            Err(FrameError::Malformed(reason)) => Err(PluginError::protocol(reason)),
            Err(FrameError::Closed | FrameError::Io(_)) => Err(self.obituary().await),
        }
    }

    /// Writes and reads at once: a worker may say much before it has read all.
    async fn exchange(&mut self, message: &[u8], most: Limits) -> Result<Frame, FrameError> {
        let input = self.input.as_mut().ok_or(FrameError::Closed)?;
        let write = async {
            input.write_all(message).await?;
            input.flush().await
        };
        let read = read_frame(&mut self.output, most);
        tokio::pin!(write, read);
        tokio::select! {
            biased;
            answer = &mut read => {
                let frame = answer?;
                write.await?;
                Ok(frame)
            }
            // One that reads no more may still have answered.
            _ = &mut write => read.await,
        }
    }

    /// How it came to its end.
    async fn obituary(&mut self) -> PluginError {
        let how = match timeout(TO_END, self.child.wait()).await {
            Ok(Ok(status)) => ending(status),
            Ok(Err(error)) => format!("ended ({error})"),
            Err(_) => "closed its standard output".to_owned(),
        };
        // What it wrote may still be on its way.
        sleep(Duration::from_millis(5)).await;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).clone();
        PluginError::Died { how, said: last_words(&said) }
    }

    /// Whether the process is gone.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it ended well after it had answered something: such a worker may serve one batch at a time.
    pub fn has_served_and_ended_well(&mut self) -> bool {
        self.answered > 1 && matches!(self.child.try_wait(), Ok(Some(status)) if status.success())
    }

    /// Bytes that it has in memory, where the system tells.
    pub fn resident(&self) -> Option<u64> {
        resident(self.group)
    }

    /// Closes its input and sees what becomes of it and of its group.
    pub async fn watch_end(mut self) -> Ending {
        drop(self.input.take());
        let status = timeout(TO_END, self.child.wait()).await.ok().and_then(Result::ok);
        Ending {
            in_time: status.is_some(),
            well: status.is_some_and(|status| status.success()),
            how: status.map_or_else(String::new, ending),
            leaves_others: has_members(self.group),
        }
    }

    /// Closes its input and waits a little for it to end.
    pub async fn end(mut self) {
        drop(self.input.take());
        let _ = timeout(TO_END, self.child.wait()).await;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        kill_group(self.group);
        GROUPS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.group);
    }
}

async fn read_frame(output: &mut ChildStdout, most: Limits) -> Result<Frame, FrameError> {
    let closed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => FrameError::Closed,
        _ => FrameError::Io(error),
    };
    let mut prefix = [0; PREFIX];
    let mut filled = 0;
    while filled < PREFIX {
        match output.read(&mut prefix[filled..]).await? {
            0 if filled == 0 => return Err(FrameError::Closed),
            // Less than a prefix, and then the end: shown as what it is.
            0 => break,
            n => filled += n,
        }
    }
    let lengths = Lengths::read(&prefix, most)?;
    let mut rest = Vec::new();
    // Memory grows with what has come, not with what was announced.
    output.take(lengths.rest() as u64).read_to_end(&mut rest).await.map_err(closed)?;
    if rest.len() < lengths.rest() { Err(FrameError::Closed) } else { Frame::decode(lengths, &rest) }
}

/// Keeps the end of what a worker writes to standard error.
async fn listen(mut stream: impl AsyncRead + Unpin, said: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1024];
    while let Ok(n @ 1..) = stream.read(&mut piece).await {
        tracing::debug!(text = %String::from_utf8_lossy(&piece[..n]), "a worker says");
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(&piece[..n]);
        let surplus = said.len().saturating_sub(LAST_WORDS);
        said.drain(..surplus);
    }
}

/// The end of a text, on one line.
fn last_words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let surplus = words.chars().count().saturating_sub(SHOWN_WORDS);
    words.chars().skip(surplus).filter(|c| !c.is_control()).collect()
}

#[cfg(unix)]
fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}{}", signal_name(signal)),
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(not(unix))]
fn ending(status: ExitStatus) -> String {
    format!("ended with {status}")
}

#[cfg(unix)]
fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (illegal instruction)",
        6 => " (abort)",
        7 => " (bus error)",
        8 => " (arithmetic error)",
        9 => " (kill)",
        11 => " (segmentation fault)",
        15 => " (terminate)",
        _ => "",
    }
}

#[cfg(unix)]
fn kill_group(leader: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // It may be gone already.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill_group(_: u32) {}

/// Whether a process of the group is there.
#[cfg(unix)]
fn has_members(leader: u32) -> bool {
    use rustix::process::{Pid, test_kill_process_group};
    let group = i32::try_from(leader).ok().and_then(Pid::from_raw);
    group.is_some_and(|group| test_kill_process_group(group).is_ok())
}

#[cfg(not(unix))]
fn has_members(_: u32) -> bool {
    false
}

/// If the host is killed, the system kills the worker.
#[cfg(target_os = "linux")]
fn die_with_the_host(command: &mut Command) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    #[allow(unsafe_code, reason = "code between fork and exec")]
    // SAFETY: the closure makes one system call, which is safe after a fork, and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

/// Ends when the processes of a group have more memory than their limit: what they have, and the limit.
async fn too_much_memory(group: u32, limit: Option<u64>) -> (u64, u64) {
    let Some(limit) = limit else { return std::future::pending().await };
    loop {
        sleep(MEMORY_EVERY).await;
        if let Some(used) = resident(group).filter(|used| *used > limit) {
            return (used, limit);
        }
    }
}

/// Whether this system tells how much memory a process has.
pub const MEMORY_IS_MEASURED: bool = cfg!(target_os = "linux");

/// Bytes in memory of all processes of a group, where the system tells: the leader may be a script that starts the worker.
#[cfg(target_os = "linux")]
fn resident(group: u32) -> Option<u64> {
    let processes = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pages: u64 = processes.filter_map(|process| pages_in_group(&process, group)).sum();
    Some(pages * rustix::param::page_size() as u64)
}

/// Pages of a process in memory, if it is of the group (proc(5): the fifth field of `stat`, the second of `statm`).
#[cfg(target_os = "linux")]
fn pages_in_group(process: &str, group: u32) -> Option<u64> {
    process.parse::<u32>().ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in brackets, and may hold blanks.
    let of: u32 = stat.rsplit(')').next()?.split_whitespace().nth(2)?.parse().ok()?;
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).ok().filter(|_| of == group)?;
    statm.split(' ').nth(1)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn resident(_: u32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_the_end_of_a_text_on_one_line() {
        assert_eq!(last_words(b"Traceback:\n  File x\nValueError: no\n"), "Traceback: File x ValueError: no");
        let long = "a".repeat(400) + " end";
        assert_eq!(last_words(long.as_bytes()), "a".repeat(296) + " end");
    }
}
