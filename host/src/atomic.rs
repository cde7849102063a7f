//! Files that are either there whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

/// A file in the making, gzipped where its name ends in `.gz`. Dropped without [`WholeFile::finish`] it leaves nothing behind.
#[derive(Debug)]
pub struct WholeFile {
    path: PathBuf,
    out: Out,
}

#[derive(Debug)]
enum Out {
    Plain(BufWriter<Target>),
    Gzip(Box<GzEncoder<BufWriter<Target>>>),
}

#[derive(Debug)]
enum Target {
    /// To be renamed.
    Aside(NamedTempFile),
    /// What is there and is no regular file: a device, a pipe, a socket.
    Through(File),
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Aside(file) => file.write(bytes),
            Self::Through(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Aside(file) => file.flush(),
            Self::Through(file) => file.flush(),
        }
    }
}

impl WholeFile {
    /// Begins a file that will stand at `path`, replacing what stands there. A link stays one: what it points to is replaced.
    /// Devices and pipes are not replaced but written to, at once.
    ///
    /// # Errors
    /// The system's reason, when its folder does not exist or cannot be written to, or when it is a folder itself.
    pub fn create(path: &Path) -> io::Result<Self> {
        let path = &followed(path)?;
        let target = match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Ok(there) if !there.is_file() => Target::Through(File::options().write(true).open(path)?),
            _ => Target::Aside(temporary(0o666).tempfile_in(folder_of(path))?),
        };
        kill_point();
        let file = BufWriter::new(target);
        let zipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
        let out =
            if zipped { Out::Gzip(GzEncoder::new(file, Compression::default()).into()) } else { Out::Plain(file) };
        Ok(Self { path: path.to_owned(), out })
    }

    /// Syncs the file and puts it in its place.
    ///
    /// # Errors
    /// The system's reason, when the disk is full, say; the old file, if any, is then still there.
    pub fn finish(self) -> io::Result<()> {
        let buffered = match self.out {
            Out::Plain(file) => file,
            Out::Gzip(gzip) => gzip.finish()?,
        };
        match buffered.into_inner().map_err(io::IntoInnerError::into_error)? {
            Target::Through(mut file) => file.flush(),
            Target::Aside(file) => {
                file.as_file().sync_all()?;
                kill_point();
                file.persist(&self.path).map_err(|e| e.error)?;
                kill_point();
                sync_folder(folder_of(&self.path))
            }
        }
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Out::Plain(file) => file.write(bytes),
            Out::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Plain(file) => file.flush(),
            Out::Gzip(gzip) => gzip.flush(),
        }
    }
}

/// Writes a file as [`WholeFile`] does, at once.
///
/// # Errors
/// The system's reason; the old file, if any, is then still there.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Temporary files and folders are private by default; these end under a name of the user's, so
/// `mode` applies, as far as the user's mask allows.
pub fn temporary(mode: u32) -> tempfile::Builder<'static, 'static> {
    #[cfg_attr(not(unix), allow(unused_variables))]
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    builder
}

/// Makes renames inside a folder durable.
///
/// # Errors
/// The system's reason.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // Only Unix lets a folder be opened and synced; elsewhere the file system orders renames itself.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { fs::metadata(folder).map(drop) }
}

/// Where a kill must do no harm. Builds for tests are killed at the point whose number `TEMPER_KILL_POINT` gives.
#[cfg(all(debug_assertions, unix))]
pub fn kill_point() {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("TEMPER_KILL_POINT").ok().and_then(|number| number.parse().ok()));
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if *AT == Some(PASSED.fetch_add(1, Ordering::SeqCst) + 1) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Where a kill must do no harm.
#[cfg(not(all(debug_assertions, unix)))]
pub fn kill_point() {}

/// How the names of what [`WholeFile`] and others write aside begin.
const ASIDE: [&str; 2] = [TEMPORARY, ".writing-"];
const TEMPORARY: &str = ".temper-";

/// Tries whether a folder can be written into, or made, and leaves nothing behind.
///
/// # Errors
/// The system's reason, when it cannot.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    // The nearest folder that is there must take the others.
    let there = folder.ancestors().find(|folder| folder.exists() || folder.as_os_str().is_empty());
    let there = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::tempfile_in(there).map(drop)
}

/// Makes a folder, where there is none, and tries to write into it.
///
/// # Errors
/// The system's reason, when no file can be made there.
pub fn try_folder(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = temporary(0o600).tempfile_in(folder)?;
    file.write_all(b"x")?;
    file.flush()
}

/// Removes what a killed program has written aside in a folder. Only for folders that nobody else writes to.
///
/// # Errors
/// The system's reason. A folder that is not there holds nothing.
pub fn remove_leftovers(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(|name| ASIDE.iter().any(|aside| name.starts_with(aside))) {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Where a chain of symbolic links ends, whether there is anything or not.
fn followed(path: &Path) -> io::Result<PathBuf> {
    /// As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn only_a_finished_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut file = WholeFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        write_atomically(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_name_says_whether_it_is_zipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv.gz");
        write_atomically(&path, b"whole").unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "whole");
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_and_what_is_no_file_is_written_through() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("deep")).unwrap();
        symlink("deep/file", at("link")).unwrap();
        symlink("link", at("second")).unwrap();
        for text in ["one", "two"] {
            write_atomically(&at("second"), text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(at("deep/file")).unwrap(), text);
        }
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        symlink("round", at("round")).unwrap();
        assert!(write_atomically(&at("round"), b"x").is_err());
        // A device, through a link: if it were replaced, only the link would be.
        symlink("/dev/null", at("null")).unwrap();
        write_atomically(&at("null"), b"x").unwrap();
        assert!(fs::metadata(at("null")).unwrap().file_type().is_char_device());
        let pipe = at("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write_atomically(&pipe, b"through").unwrap();
        assert_eq!(reader.join().unwrap(), b"through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }

    #[test]
    fn leftovers_go_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in [".temper-abc", "state.json", ".tmpabc"] {
            fs::write(at(name), "x").unwrap();
        }
        fs::create_dir_all(at(".writing-x/inner")).unwrap();
        remove_leftovers(folder.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".tmpabc", "state.json"]);
        remove_leftovers(&at("nowhere")).unwrap();
        try_folder(&at("new/deep")).unwrap();
        assert_eq!(fs::read_dir(at("new/deep")).unwrap().count(), 0);
        assert!(try_folder(&at("state.json")).is_err());
    }

    #[test]
    fn a_folder_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(WholeFile::create(folder.path()).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
