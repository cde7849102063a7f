//! Progress: a bar on a terminal, an occasional line elsewhere, nothing when quiet.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal::line;

/// Between two states of the bar's clock.
const TICK: Duration = Duration::from_secs(1);
/// Between two lines where there is no terminal.
const PAUSE: Duration = Duration::from_secs(10);

/// The progress of one piece of work; may be advanced from several threads.
#[derive(Debug)]
pub struct Progress(Shown);

#[derive(Debug)]
enum Shown {
    Nothing,
    Bar(ProgressBar),
    Lines(Mutex<Lines>),
}

#[derive(Debug)]
struct Lines {
    label: String,
    done: u64,
    total: u64,
    last: Instant,
}

impl Progress {
    pub(super) fn silent() -> Self {
        Self(Shown::Nothing)
    }

    pub(super) fn bar(label: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total).with_prefix(label.to_owned()).with_style(style(total));
        // A step may take minutes: the clock goes on.
        bar.enable_steady_tick(TICK);
        Self(Shown::Bar(bar))
    }

    pub(super) fn lines(label: &str, total: u64) -> Self {
        Self(Shown::Lines(Mutex::new(Lines { label: label.to_owned(), done: 0, total, last: Instant::now() })))
    }

    /// `n` more pieces are done.
    pub fn advance(&self, n: u64) {
        match &self.0 {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.inc(n),
            // A thread that panicked while printing leaves nothing half done.
            Shown::Lines(lines) => lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).advance(n),
        }
    }

    /// `done` of `total` pieces are done; for work that learns its size on the way.
    pub fn set(&self, done: u64, total: u64) {
        match &self.0 {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                if bar.length() != Some(total) {
                    bar.set_length(total);
                    bar.set_style(style(total));
                }
                bar.set_position(done);
            }
            Shown::Lines(lines) => lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).set(done, total),
        }
    }

    /// So much was done before: the rate is that of what follows.
    pub fn begin_at(&self, done: u64) {
        match &self.0 {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_position(done);
                bar.reset_eta();
            }
            Shown::Lines(lines) => lines.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).done = done,
        }
    }

    /// What stands beside the bar from now on.
    pub fn message(&self, text: &str) {
        if let Shown::Bar(bar) = &self.0 {
            bar.set_message(text.to_owned());
        }
    }

    /// Says something without disturbing the bar.
    pub fn say(&self, text: &str) {
        match &self.0 {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.suspend(|| line(text)),
            Shown::Lines(_) => line(text),
        }
    }
}

impl Lines {
    fn advance(&mut self, n: u64) {
        self.set(self.done + n, self.total);
    }

    fn set(&mut self, done: u64, total: u64) {
        // Threads may report out of order; another total is another piece of work.
        self.done = if total == self.total { self.done.max(done) } else { done };
        self.total = total;
        if self.last.elapsed() >= PAUSE {
            self.last = Instant::now();
            let of = if self.total > 0 { format!(" of {}", self.total) } else { String::new() };
            line(&format!("{}: {}{of}", self.label, self.done));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A bar, or without a known total (0) a count.
fn style(total: u64) -> ProgressStyle {
    let template = match total {
        0 => "{prefix}: {pos} ({elapsed})",
        _ => "{prefix} [{bar:30}] {pos}/{len} {elapsed} (left: {eta})  {wide_msg}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
