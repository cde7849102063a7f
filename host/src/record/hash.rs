//! Hashes of files and texts: SHA-256 in hexadecimal digits.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Of a file, read piece by piece; of a folder, of the names and hashes of all that is in it.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    if !path.is_dir() {
        return of_file(path);
    }
    let entries: Vec<PathBuf> = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    sha256_of_all(entries.iter().filter(|entry| !entry.is_dir()))
}

/// Of the names and hashes of files, in whatever order.
pub fn sha256_of_all<'a>(files: impl Iterator<Item = &'a PathBuf>) -> io::Result<String> {
    let mut lines = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        lines.push(format!("{name}\0{}\n", of_file(file)?));
    }
    lines.sort();
    Ok(sha256(lines.concat().as_bytes()))
}

fn of_file(path: &Path) -> io::Result<String> {
    if !path.metadata()?.is_file() {
        // A pipe gives its bytes once, and a device has no end.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file, so it has no hash"));
    }
    let (mut file, mut hasher, mut piece) = (File::open(path)?, Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            read => hasher.update(&piece[..read]),
        }
    }
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of "abc" as FIPS 180 has it.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn files_and_texts_have_the_same_hash_and_folders_one_of_all_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(sha256(b"abc"), ABC);
        assert_eq!(sha256_of(&file).unwrap(), ABC);
        let one = sha256_of(folder.path()).unwrap();
        assert_eq!(one, sha256(format!("b\0{ABC}\n").as_bytes()));
        std::fs::rename(&file, folder.path().join("c")).unwrap();
        assert_ne!(sha256_of(folder.path()).unwrap(), one);
        assert!(sha256_of(&folder.path().join("nowhere")).is_err());
    }
}
