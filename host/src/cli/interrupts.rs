//! Ctrl-C and a scheduler's request to end: noticed at once, obeyed after the current step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Context, Failure};
use crate::plugin::{end_all_workers, hangup_is_ignored, leave_signals_to_the_caller};

/// Whether the process was asked to end.
#[derive(Clone, Debug, Default)]
pub struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Whether to end at the next chance.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Context {
    /// Listens for the end. The first signal asks for it; a second one ends the process at once.
    ///
    /// # Errors
    /// When the system lets no one listen.
    pub fn interrupts(&self) -> Result<Interrupts, Failure> {
        leave_signals_to_the_caller();
        let interrupts = Interrupts::default();
        let flag = interrupts.clone();
        let quiet = self.globals.quiet;
        let failed = |e: std::io::Error| Failure::user(format!("cannot listen for signals: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    if next_signal().await.is_ok() {
                        flag.0.store(true, Ordering::Relaxed);
                        if !quiet {
                            use std::io::Write;
                            let _ = writeln!(
                                std::io::stderr().lock(),
                                "stopping after this step; send the signal again to stop at once"
                            );
                        }
                    }
                    if next_signal().await.is_ok() {
                        end_all_workers();
                        std::process::exit(super::Exit::Interrupted as i32);
                    }
                });
            })
            .map_err(failed)?;
        Ok(interrupts)
    }
}

/// Waits for a signal that asks for the end. The end of the terminal is one, unless the program was started to outlive it.
#[cfg(unix)]
async fn next_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut user) = (signal(SignalKind::terminate())?, signal(SignalKind::user_defined1())?);
    let mut hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    let hung_up = async {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome,
        _ = term.recv() => Ok(()),
        _ = user.recv() => Ok(()),
        _ = hung_up => Ok(()),
    }
}

#[cfg(not(unix))]
async fn next_signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
