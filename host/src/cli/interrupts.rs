//! Ctrl-C and a scheduler's signals: noticed at once, obeyed after the current step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::context::remove_scratch;
use super::{Context, Failure, terminal};
use crate::ranks::Ranks;
use crate::worker::{end_all_workers, hangup_is_ignored, leave_signals_to_the_caller};

/// What this process was asked for, or another rank.
#[derive(Clone, Debug)]
pub struct Interrupts {
    own: Arc<Asked>,
    ranks: Ranks,
}

#[derive(Debug, Default)]
struct Asked {
    end: AtomicBool,
    checkpoint: AtomicBool,
}

/// What a signal asks for.
#[derive(Clone, Copy)]
enum Signal {
    /// The end, by the signal of this number.
    End(i32),
    /// A checkpoint, and to go on.
    Checkpoint,
}

impl Interrupts {
    /// Whether to end at the next chance: all ranks ask, and hear the same.
    pub fn requested(&self) -> bool {
        self.ranks.any(self.own.end.load(Ordering::Relaxed))
    }

    /// Whether a checkpoint was asked for since this was last called: all ranks ask, and hear the same.
    pub fn take_checkpoint(&self) -> bool {
        self.ranks.any(self.own.checkpoint.swap(false, Ordering::Relaxed))
    }

    /// The processes that agree on it.
    pub fn ranks(&self) -> Ranks {
        self.ranks
    }
}

impl Asked {
    /// Takes note of signals, until the second one that asks for the end; its number is returned.
    async fn listen(&self, quiet: bool) -> std::io::Result<i32> {
        let mut signals = Signals::listen()?;
        let say = |text: &str| {
            if !quiet {
                terminal::line(text);
            }
        };
        loop {
            match signals.next().await? {
                Signal::Checkpoint => {
                    self.checkpoint.store(true, Ordering::Relaxed);
                    say("writing a checkpoint after this step");
                }
                Signal::End(number) if self.end.load(Ordering::Relaxed) => return Ok(number),
                Signal::End(_) => {
                    self.end.store(true, Ordering::Relaxed);
                    say("stopping after this step; send the signal again to stop at once, without a checkpoint");
                }
            }
        }
    }
}

impl Context {
    /// Listens for signals. SIGUSR1 asks for a checkpoint. The first of the others asks for the end; a second one ends the process
    /// at once, with the exit code that a shell reports for its signal.
    ///
    /// # Errors
    /// When the system lets no one listen.
    pub fn interrupts(&self) -> Result<Interrupts, Failure> {
        if let Some(listening) = self.interrupts.get() {
            return Ok(listening.clone());
        }
        leave_signals_to_the_caller();
        let own = Arc::new(Asked::default());
        let listening = Arc::clone(&own);
        let quiet = self.globals.quiet;
        let failed = |e: std::io::Error| Failure::user(format!("cannot listen for signals: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                if let Ok(number) = runtime.block_on(listening.listen(quiet)) {
                    end_all_workers();
                    remove_scratch();
                    std::process::exit(128 + number);
                }
            })
            .map_err(failed)?;
        let interrupts = Interrupts { own, ranks: self.ranks };
        Ok(self.interrupts.get_or_init(|| interrupts).clone())
    }
}

/// The signals that are listened for. The end of the terminal is one, unless the program was started to outlive it.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    user: tokio::signal::unix::Signal,
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate, user: signal(SignalKind::user_defined1())?, hangup })
    }

    async fn next(&mut self) -> std::io::Result<Signal> {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            _ = self.interrupt.recv() => Signal::End(2),
            _ = self.terminate.recv() => Signal::End(15),
            _ = hung_up => Signal::End(1),
            _ = self.user.recv() => Signal::Checkpoint,
        })
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> std::io::Result<Signal> {
        tokio::signal::ctrl_c().await.map(|()| Signal::End(2))
    }
}
