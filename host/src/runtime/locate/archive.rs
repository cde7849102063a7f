//! Wheel files: checked by their hash, and unpacked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::LocateError;
use super::wheel::Wheel;

/// Unpacks the members of the wheel file at `path` into `target`, after checking the wheel's hash.
pub(super) fn unpack(path: &Path, wheel: &Wheel<'_>, target: &Path) -> Result<(), LocateError> {
    check(path, wheel.file, wheel.sha256)?;
    let unpack = || -> io::Result<()> {
        let mut archive = zip::ZipArchive::new(File::open(path)?)?;
        for member in wheel.members {
            let mut packed = archive.by_name(&format!("{}/{}", wheel.inside, member.file))?;
            let mut file = File::create(target.join(member.file))?;
            io::copy(&mut packed, &mut file)?;
            file.flush()?;
            file.sync_all()?;
        }
        Ok(())
    };
    unpack().map_err(|source| LocateError::Cache { path: path.to_owned(), source })
}

/// Refuses the file at `path` unless it carries the pinned hash; `name` stands for it in errors.
pub(super) fn check(path: &Path, name: &str, expected: &str) -> Result<(), LocateError> {
    let found = sha256(path).map_err(|source| LocateError::Cache { path: path.to_owned(), source })?;
    if found == expected {
        return Ok(());
    }
    Err(LocateError::Hash { file: name.to_owned(), expected: expected.to_owned(), found })
}

/// SHA-256 of a file, in lower-case hexadecimal.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => hash.update(&buffer[..length]),
        }
    }
}
