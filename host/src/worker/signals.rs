//! Signals that ask the program to end: its workers end with it.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set when the program handles signals itself.
static HANDLED_BY_THE_CALLER: AtomicBool = AtomicBool::new(false);

/// From now on the caller decides what a signal to end means, and calls [`end_all_workers`](super::end_all_workers) when it ends
/// at once.
pub fn leave_signals_to_the_caller() {
    HANDLED_BY_THE_CALLER.store(true, Ordering::Relaxed);
}

/// Whether this program was started so that the end of its terminal means nothing to it, as by `nohup`. To be asked before anybody
/// listens for the signal.
pub fn hangup_is_ignored() -> bool {
    // Linux: a mask of the signals that are ignored, as hexadecimal digits; SIGHUP is the lowest.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Ends the program and its workers at SIGINT, SIGTERM or SIGHUP, unless the caller handles them. The system would end the program
/// alone, and leave what its workers have started.
#[cfg(unix)]
pub(super) async fn end_workers_at_a_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut hangup = if hangup_is_ignored() { None } else { signal(SignalKind::hangup()).ok() };
    loop {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        let number = tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
            _ = hung_up => 1,
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
