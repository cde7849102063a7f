//! The last lines that a worker writes to standard error.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are kept.
const KEPT: usize = 4096;
/// Characters that stand in a message.
const SHOWN: usize = 600;

/// The last bytes that a worker has written to standard error.
#[derive(Clone, Default)]
pub(super) struct StderrTail(Arc<Mutex<VecDeque<u8>>>);

impl StderrTail {
    /// Reads until the stream ends, and keeps its end.
    pub async fn read(self, mut stream: impl AsyncRead + Unpin) {
        let mut piece = [0; 1024];
        while let Ok(n @ 1..) = stream.read(&mut piece).await {
            tracing::debug!(text = %one_line(&piece[..n]), "standard error of a worker");
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&piece[..n]);
            let surplus = kept.len().saturating_sub(KEPT);
            kept.drain(..surplus);
        }
    }

    /// The end of the text for a message: one line, without control characters.
    pub fn shown(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        let line = one_line(&bytes);
        let surplus = line.chars().count().saturating_sub(SHOWN);
        line.chars().skip(surplus).collect()
    }
}

fn one_line(bytes: &[u8]) -> String {
    let words = String::from_utf8_lossy(bytes).split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &'static [u8]) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let tail = StderrTail::default();
        runtime.block_on(tail.clone().read(bytes));
        tail.shown()
    }

    #[test]
    fn the_end_of_a_text_is_shown_on_one_line() {
        assert_eq!(shown(b"Traceback:\n  File x\nValueError: no\n"), "Traceback: File x ValueError: no");
        assert_eq!(shown(b"\x1b[31mred\x07 \xff"), "[31mred \u{fffd}");
        let long: &'static [u8] = Box::leak(("a".repeat(9000) + " end").into_bytes().into_boxed_slice());
        assert_eq!(shown(long), "a".repeat(596) + " end");
    }
}
