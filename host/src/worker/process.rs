//! One worker process: start, requests, supervision, end.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{sleep, timeout};

use super::frame::{Frame, FrameError, Lengths, Limits, PREFIX};
use super::process_tree::{self, too_much_memory};
use super::stderr::StderrTail;
use super::{StartError, WorkerCommand, WorkerFailure, exit};

/// How long a worker may take to end when its input is closed, or to be found dead when its output is.
const TO_END: Duration = Duration::from_secs(2);

/// A worker that has greeted. Dropping it kills its process group.
pub struct Worker {
    child: Child,
    group: u32,
    input: Option<ChildStdin>,
    output: ChildStdout,
    stderr: StderrTail,
    /// Batches that it has answered.
    answered: usize,
}

/// What a worker did when its input was closed.
pub struct Ending {
    /// Whether it ended by itself, soon.
    pub in_time: bool,
    /// "ended with exit code 3".
    pub how: String,
    /// Whether that was a good end.
    pub well: bool,
    /// Whether other processes of its group were left.
    pub leaves_others: bool,
}

impl Worker {
    /// Starts a worker, sends it the encoded message `hello` and waits for its greeting.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        command: &WorkerCommand,
        hello: &[u8],
        deadline: Duration,
        memory: Option<u64>,
    ) -> Result<(Self, Frame), StartError> {
        let mut worker = Self::spawn(command).map_err(|error| StartError::Spawn {
            program: command.program.to_string_lossy().into_owned(),
            reason: error.to_string(),
        })?;
        let frame = worker.ask(hello, Limits::GREETING, Some(deadline), memory).await?;
        Ok((worker, frame))
    }

    fn spawn(command: &WorkerCommand) -> std::io::Result<Self> {
        let mut child = Command::new(&command.program);
        child
            .args(&command.arguments)
            .envs(&command.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A group of its own: Ctrl-C is for the host to obey, and killing the group leaves no grandchild.
        #[cfg(unix)]
        child.process_group(0);
        #[cfg(target_os = "linux")]
        die_with_the_parent(child.as_std_mut());
        let mut child = child.kill_on_drop(true).spawn()?;
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let group = child.id().ok_or_else(gone)?;
        process_tree::register(group);
        let stderr = StderrTail::default();
        let (input, output) = (child.stdin.take(), child.stdout.take().ok_or_else(gone)?);
        tokio::spawn(stderr.clone().read(child.stderr.take().ok_or_else(gone)?));
        Ok(Self { child, group, input, output, stderr, answered: 0 })
    }

    /// Sends a message and waits for the answer, which is at most so long. If there is none in time, or too much
    /// memory is taken meanwhile, the worker is killed.
    ///
    /// # Errors
    /// [`WorkerFailure`].
    pub async fn ask(
        &mut self,
        message: &[u8],
        most: Limits,
        deadline: Option<Duration>,
        memory: Option<u64>,
    ) -> Result<Frame, WorkerFailure> {
        let group = self.group;
        let answer = tokio::select! {
            answer = self.answer(message, most) => answer,
            deadline = passed(deadline) => Err(WorkerFailure::Deadline(deadline)),
            (used, limit) = too_much_memory(group, memory) => Err(WorkerFailure::Memory { used, limit }),
        };
        if matches!(answer, Err(WorkerFailure::Deadline(_) | WorkerFailure::Memory { .. })) {
            process_tree::kill(group);
        }
        self.answered += usize::from(answer.is_ok());
        answer
    }

    /// The answer to a message, or how the worker came to its end.
    async fn answer(&mut self, message: &[u8], most: Limits) -> Result<Frame, WorkerFailure> {
        match self.exchange(message, most).await {
            Ok(frame) => Ok(frame),
            Err(FrameError::Malformed(reason)) => Err(WorkerFailure::protocol(reason)),
            Err(FrameError::Closed | FrameError::Io(_)) => Err(self.exit_reason().await),
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
                // One that has answered may have ended before it read all.
                let _unread = write.await;
                Ok(frame)
            }
            // One that reads no more may still have answered.
            _ = &mut write => read.await,
        }
    }

    /// How it came to its end.
    async fn exit_reason(&mut self) -> WorkerFailure {
        let how = match timeout(TO_END, self.child.wait()).await {
            Ok(Ok(status)) => exit::describe(status),
            Ok(Err(error)) => format!("ended ({error})"),
            Err(_) => "closed its standard output".to_owned(),
        };
        // What it wrote may still be on its way.
        sleep(Duration::from_millis(5)).await;
        WorkerFailure::Exited { how, stderr: self.stderr.shown() }
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
        process_tree::resident(self.group)
    }

    /// Closes its input and sees what becomes of it and of its group.
    pub async fn watch_end(mut self) -> Ending {
        drop(self.input.take());
        let status = timeout(TO_END, self.child.wait()).await.ok().and_then(Result::ok);
        Ending {
            in_time: status.is_some(),
            well: status.is_some_and(|status| status.success()),
            how: status.map_or_else(String::new, exit::describe),
            leaves_others: process_tree::has_members(self.group),
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
        process_tree::end(self.group);
    }
}

/// Ends when a deadline has passed, with the deadline.
async fn passed(deadline: Option<Duration>) -> Duration {
    let Some(deadline) = deadline else { return std::future::pending().await };
    sleep(deadline).await;
    deadline
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

/// If the parent is killed, the system kills the process.
#[cfg(target_os = "linux")]
pub(super) fn die_with_the_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;

    use rustix::process::{Signal, set_parent_process_death_signal};
    #[allow(unsafe_code, reason = "code between fork and exec")]
    // SAFETY: the closure makes one system call, which is safe after a fork, and touches no memory of the parent.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// `cat` answers with a file and ends, without having read anything: a refusal counts also if it comes so early.
    #[test]
    fn an_answer_counts_though_the_worker_has_ended() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), Frame::refusal("no such program").encode()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            let mut worker = Worker::spawn(&WorkerCommand::new("cat", vec![file.path().into()])).unwrap();
            while !worker.has_ended() {
                sleep(Duration::from_millis(10)).await;
            }
            worker.ask(&[0; 1 << 20], Limits::GREETING, Some(Duration::from_secs(60)), None).await
        });
        assert_eq!(answer.unwrap().header["message"], "no such program");
    }
}
