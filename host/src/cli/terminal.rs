//! Lines on standard error. Whoever reads them, or no longer does, never holds up the work: where it is no terminal, a thread of
//! its own writes them, and lines that find no room are counted and dropped.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// Lines that may wait.
const WAITING: usize = 10_000;
/// How long the end of the program waits for them to be read.
const LAST_WAIT: Duration = Duration::from_secs(2);

static LINES: OnceLock<Option<SyncSender<String>>> = OnceLock::new();
/// Lines that were taken and are not written yet.
static PENDING: AtomicUsize = AtomicUsize::new(0);
/// Lines that found no room since the last one that did.
static LOST: AtomicUsize = AtomicUsize::new(0);

/// A text without the characters by which files and programs could speak to the terminal: they are shown as escapes.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    let speaks = |c: char| c.is_control() && c != '\n' && c != '\t';
    match text.contains(speaks) {
        false => Cow::Borrowed(text),
        true => text.chars().map(|c| if speaks(c) { c.escape_default().to_string() } else { c.to_string() }).collect(),
    }
}

/// Writes a line, now or soon.
pub(super) fn line(text: &str) {
    let text = &*shown(text);
    // The bars of a terminal are drawn between the lines.
    if std::io::stderr().is_terminal() {
        return write(text);
    }
    match LINES.get_or_init(start) {
        Some(lines) => {
            PENDING.fetch_add(1, Ordering::SeqCst);
            if lines.try_send(text.to_owned()).is_err() {
                PENDING.fetch_sub(1, Ordering::SeqCst);
                LOST.fetch_add(1, Ordering::SeqCst);
            }
        }
        None => write(text),
    }
}

/// Waits until what was said is written, but not for long: whoever should read it may have stopped.
pub fn end_output() {
    let end = Instant::now() + LAST_WAIT;
    while PENDING.load(Ordering::SeqCst) > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn start() -> Option<SyncSender<String>> {
    let (sender, receiver) = sync_channel(WAITING);
    let thread = std::thread::Builder::new().name("stderr".into()).spawn(move || write_all(&receiver));
    thread.ok().map(|_| sender)
}

fn write_all(lines: &Receiver<String>) {
    while let Ok(text) = lines.recv() {
        write(&text);
        let lost = LOST.swap(0, Ordering::SeqCst);
        if lost > 0 {
            write(&format!("({lost} more lines were lost, because standard error was not read)"));
        }
        PENDING.fetch_sub(1, Ordering::SeqCst);
    }
}

fn write(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_lines_stay() {
        assert_eq!(shown("a\tb\nA"), "a\tb\nA");
        assert_eq!(shown("\u{1b}[2J\u{7}\r\u{9b}1m"), "\\u{1b}[2J\\u{7}\\r\\u{9b}1m");
    }
}
