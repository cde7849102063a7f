//! Files that a subcommand writes: aside first, then renamed, so that a name never stands for half a result.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Exit, Failure};
use crate::atomic::WholeFile;

/// A file in the making, gzipped where its name ends in `.gz`. Dropped without [`Output::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    File(WholeFile),
    /// Of the path `-`.
    Standard(io::Stdout),
}

impl Output {
    /// Begins a file that will stand at `path`, replacing what stands there; `-` is standard output.
    ///
    /// # Errors
    /// When its folder does not exist or cannot be written to.
    pub fn create(path: &Path) -> Result<Self, Failure> {
        let target = match path == Path::new("-") {
            true => Target::Standard(io::stdout()),
            false => Target::File(WholeFile::create(path).map_err(|error| uncreatable(path, &error))?),
        };
        Ok(Self { path: path.to_owned(), target })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// When the disk is full, or the place cannot be written to.
    pub fn finish(self) -> Result<(), Failure> {
        let finished = match self.target {
            Target::File(file) => file.finish(),
            Target::Standard(mut stdout) => stdout.flush(),
        };
        finished.map_err(|error| unwritable(&self.path, &error))
    }

    /// The failure of a write to this file.
    pub fn failed(&self, error: &io::Error) -> Failure {
        unwritable(&self.path, error)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::File(file) => file.write(bytes),
            Target::Standard(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file) => file.flush(),
            Target::Standard(stdout) => stdout.flush(),
        }
    }
}

/// A CSV table in the making, as [`Output`] is a file.
#[derive(Debug)]
pub struct Table {
    csv: csv::Writer<Output>,
    path: PathBuf,
}

impl Table {
    /// Begins a table with the names of its columns.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn create<S: AsRef<str>>(path: &Path, columns: &[S]) -> Result<Self, Failure> {
        let mut table = Self { csv: csv::Writer::from_writer(Output::create(path)?), path: path.to_owned() };
        table.row(columns)?;
        Ok(table)
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row<S: AsRef<str>>(&mut self, cells: &[S]) -> Result<(), Failure> {
        let cells = cells.iter().map(|cell| cell.as_ref().as_bytes());
        self.csv.write_record(cells).map_err(|error| unwritable(&self.path, &error.into()))
    }

    /// Puts the table in its place.
    ///
    /// # Errors
    /// As [`Output::finish`].
    pub fn finish(self) -> Result<(), Failure> {
        let Self { csv, path } = self;
        csv.into_inner().map_err(|error| unwritable(&path, error.error()))?.finish()
    }
}

/// A file that cannot begin where the user wants it.
fn uncreatable(path: &Path, error: &io::Error) -> Failure {
    Failure::from_error(Exit::Usage, error).about(format!("cannot write {}", path.display()))
}

/// A file that cannot be gone on with.
fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::from_error(Exit::Write, error).about(format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_is_named() {
        let failure = Output::create(Path::new("no/such/folder.csv")).unwrap_err();
        assert!(failure.to_string().starts_with("error: cannot write no/such/folder.csv: "), "{failure}");
    }
}
