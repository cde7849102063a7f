//! Readers of files that may be compressed: a megabyte of gzip can hold one row of gigabytes.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// Bytes that one row, or one value that is kept, may have.
const MOST: usize = 1 << 20;

/// How many bytes may still be read.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Rc<Cell<usize>>);

impl Allowance {
    /// What is read next is kept.
    pub fn renew(&self) {
        self.0.set(MOST);
    }

    /// What is read next is passed over, however long it is.
    pub fn lift(&self) {
        self.0.set(usize::MAX);
    }
}

/// A reader that stops with an error when its allowance is used up.
pub(super) struct Bounded<R> {
    inner: R,
    left: Allowance,
}

impl<R> Bounded<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, left: Allowance(Rc::new(Cell::new(MOST))) }
    }

    pub fn allowance(&self) -> &Allowance {
        &self.left
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left.0.get() == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row of more than 1 MiB"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left.0.set(self.left.0.get().saturating_sub(amount));
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}
