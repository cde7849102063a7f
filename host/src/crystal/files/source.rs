//! The text of a file, line by line.

use std::io::{self, BufRead, Read};

/// Bytes that one row may have.
const MAX_ROW: usize = 64 << 20;

/// Text that is read row by row, each row within [`MAX_ROW`], with the number of the line.
pub(super) struct Source {
    inner: Box<dyn BufRead + Send>,
    left: usize,
    line: usize,
}

impl Source {
    /// Skips a byte order mark.
    pub fn new(mut inner: Box<dyn BufRead + Send>) -> io::Result<Self> {
        if inner.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            inner.consume(3);
        }
        Ok(Self { inner, left: MAX_ROW, line: 0 })
    }

    /// A new row begins.
    pub fn begin_row(&mut self) {
        self.left = MAX_ROW;
    }

    /// Number of the line read last, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Appends the next line to `text`; false at the end of the file. Lines end with `\n`, `\r\n` or `\r`, in `text`
    /// always with `\n`.
    pub fn read_line(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        let mut is_there = false;
        loop {
            let buffer = self.fill_buf()?;
            if buffer.is_empty() {
                self.line += usize::from(is_there);
                return Ok(is_there);
            }
            is_there = true;
            // Both searches are by words of the machine, one that looks for either is not.
            let length = { buffer }.skip_until(b'\n')?;
            let at = match buffer[..length].contains(&b'\r') {
                true => buffer.iter().position(|c| *c == b'\r'),
                false => Some(length - 1).filter(|last| buffer[*last] == b'\n'),
            };
            let Some(at) = at else {
                let length = buffer.len();
                text.extend_from_slice(buffer);
                self.consume(length);
                continue;
            };
            let end = buffer[at];
            text.extend_from_slice(&buffer[..at]);
            text.push(b'\n');
            self.consume(at + 1);
            if end == b'\r' && self.left > 0 && self.fill_buf()?.first() == Some(&b'\n') {
                self.consume(1);
            }
            self.line += 1;
            return Ok(true);
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row of more than 64 MiB"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}
