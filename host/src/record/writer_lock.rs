//! One process at a time writes to the directory of a run: a lock of the system's, which ends with the process, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RunError;

/// The file that is locked; it says by whom.
const FILE: &str = "writer.lock";

/// How often, and after how long, the lock is tried again: whoever looks whether it is held has it for an instant.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Who writes to the directory of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// This one: "process 4711 on node3".
    Process(String),
    /// Nobody.
    Nobody,
    /// The file system has no locks: why.
    Unknown(String),
}

/// Who writes to a folder now.
///
/// # Errors
/// [`RunError::Read`].
pub fn writer(folder: &Path) -> Result<Writer, RunError> {
    let path = folder.join(FILE);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Writer::Nobody),
        Err(error) => return Err(RunError::read(&path)(error)),
    };
    Ok(match file.try_lock_shared() {
        Ok(()) => Writer::Nobody,
        Err(TryLockError::WouldBlock) => Writer::Process(holder(&mut file)),
        Err(TryLockError::Error(reason)) => Writer::Unknown(reason.to_string()),
    })
}

/// Held while a run's directory is written to.
#[derive(Debug)]
pub struct WriterLock {
    /// Closing it gives the lock back.
    _file: File,
    /// Why there is no lock in truth: some file systems of clusters know none.
    warning: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Holder {
    host: String,
    pid: u32,
}

impl WriterLock {
    /// Takes the lock of a folder that is there.
    pub fn take(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join(FILE);
        let failed = RunError::write(&path);
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(&failed)?;
        let warning = match lock(&file) {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => {
                return Err(RunError::Busy { path: folder.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(reason)) => Some(format!(
                "{}: this file system knows no locks ({reason}): nothing keeps a second process from writing here",
                folder.display()
            )),
        };
        announce(&mut file).map_err(&failed)?;
        Ok(Self { _file: file, warning })
    }

    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

fn lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => sleep(PAUSE),
            other => return other,
        }
    }
    file.try_lock()
}

/// "process 4711 on node3", as far as the file says so.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(4096).read_to_string(&mut text);
    let holder = read.ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    holder.map_or_else(|| "another process".to_owned(), |Holder { host, pid }| format!("process {pid} on {host:?}"))
}

fn announce(file: &mut File) -> io::Result<()> {
    let holder = Holder { host: host(), pid: std::process::id() };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(&holder)?.as_bytes())
}

#[cfg(unix)]
fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_writer_is_told_of_the_first_and_comes_after_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(writer(folder.path()).unwrap(), Writer::Nobody);
        let first = WriterLock::take(folder.path()).unwrap();
        let process = format!("process {} on ", std::process::id());
        assert!(matches!(writer(folder.path()).unwrap(), Writer::Process(who) if who.starts_with(&process)));
        let refused = WriterLock::take(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {} on ", std::process::id())), "{refused}");
        drop(first);
        assert_eq!(writer(folder.path()).unwrap(), Writer::Nobody);
        assert!(WriterLock::take(folder.path()).unwrap().warning().is_none());
    }
}
