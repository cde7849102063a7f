//! Signals that ask the program to end: its workers end with it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set when the program handles signals itself.
static HANDLED_BY_THE_CALLER: AtomicBool = AtomicBool::new(false);

/// From now on the caller decides what a signal to end means, and calls [`end_all_workers`](super::end_all_workers) when it ends
/// at once.
pub fn leave_signals_to_the_caller() {
    HANDLED_BY_THE_CALLER.store(true, Ordering::Relaxed);
}

/// Ends the program and its workers at SIGINT, SIGTERM or SIGHUP, unless the caller handles them. The system would end the program
/// alone, and leave what its workers have started.
#[cfg(unix)]
pub(super) async fn end_workers_at_a_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else { return };
    loop {
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hangup.recv() => 1,
        };
        if !HANDLED_BY_THE_CALLER.load(Ordering::Relaxed) {
            super::end_all_workers();
            // A shell reports an end by a signal so.
            std::process::exit(128 + number);
        }
    }
}

#[cfg(not(unix))]
pub(super) async fn end_workers_at_a_signal() {}
