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

    /// Appends the next line, with its end, to `text`; false at the end of the file.
    pub fn read_line(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        let read = self.read_until(b'\n', text)?;
        self.line += usize::from(read > 0);
        Ok(read > 0)
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
