//! Files that are read at once: each kind has a largest size, so that no file, and no device in the place of one, takes all memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Configs, descriptions and sidecars are written by hand.
pub const MOST_TEXT: u64 = 16 << 20;
/// Parameters, tokens, and what lies beside models.
pub const MOST_DATA: u64 = 16 << 30;
/// Models: all that protobuf can hold.
pub const MOST_PROTOBUF: u64 = i32::MAX as u64;
/// What is no regular file does not say how much there will be.
const MOST_OF_A_PIPE: u64 = 64 << 20;

/// The bytes of a file.
///
/// # Errors
/// The system's reason, or that the file is larger than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let most = if metadata.is_file() { most } else { most.min(MOST_OF_A_PIPE) };
    if metadata.is_file() && metadata.len() > most {
        return Err(too_large(most));
    }
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// The text of a file.
///
/// # Errors
/// As [`read`], or when it is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let text = String::from_utf8(read(path, most)?);
    text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

fn too_large(most: u64) -> io::Error {
    let reason = format!("there is more in it than {} MiB, the most that is read of such a file", most >> 20);
    io::Error::new(io::ErrorKind::FileTooLarge, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        std::fs::write(&file, vec![b'x'; 2 << 20]).unwrap();
        assert_eq!(read(&file, 2 << 20).unwrap().len(), 2 << 20);
        let said = read(&file, (2 << 20) - 1).unwrap_err().to_string();
        assert_eq!(said, "there is more in it than 1 MiB, the most that is read of such a file");
        assert_eq!(read_text(&file, 2 << 20).unwrap().len(), 2 << 20);
        std::fs::write(&file, [0xff]).unwrap();
        assert!(read_text(&file, 1).is_err());
        assert!(read(folder.path(), 1).is_err(), "a folder");
    }

    #[cfg(unix)]
    #[test]
    fn a_device_without_an_end_is_left_soon() {
        for most in [MOST_TEXT, MOST_DATA] {
            assert_eq!(read(Path::new("/dev/zero"), most).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        }
        // As a shell's `<(...)` gives it.
        assert!(read(Path::new("/dev/null"), 1).unwrap().is_empty());
    }
}
