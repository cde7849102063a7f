//! Derived graphs on disk, so that a file is differentiated once and not at every start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::atomic::write_atomically;
use crate::graph::Potential;
use crate::input;

/// Goes up whenever the derivation, or the form of an entry, changes within one version of the program.
const FORMAT: &str = "forces and stress, 3";

/// Length of the checksum at the start of an entry.
const CHECKSUM: usize = 32;

/// What a derived graph depends on: the file, how it is read as a potential, and the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key([u8; CHECKSUM]);

impl Key {
    /// From all that the file holds, what lies beside it included.
    pub fn new<'a>(model: impl IntoIterator<Item = &'a [u8]>, potential: &Potential<'_>) -> Self {
        let mut hash = Sha256::new();
        for part in [FORMAT, env!("CARGO_PKG_VERSION"), &format!("{potential:?}")] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        for part in model {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The file of the entry in the cache directory.
    fn path(&self, cache: &Path) -> PathBuf {
        let name: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        cache.join("derived").join(name)
    }

    fn checksum(&self, graph: &[u8]) -> [u8; CHECKSUM] {
        Sha256::new().chain_update(self.0).chain_update(graph).finalize().into()
    }
}

/// The graph stored under a key; none if it is not there, damaged, or was put there for another key.
pub(super) fn load(cache: &Path, key: &Key) -> Option<Vec<u8>> {
    let mut entry = input::read(&key.path(cache), input::MOST_DATA).ok()?;
    let (checksum, graph) = entry.split_at_checked(CHECKSUM)?;
    if *checksum != key.checksum(graph) {
        tracing::debug!("{}: not what was stored there; it is made anew", key.path(cache).display());
        return None;
    }
    entry.drain(..CHECKSUM);
    Some(entry)
}

/// Stores a graph under a key.
pub(super) fn store(cache: &Path, key: &Key, graph: &[u8]) -> io::Result<()> {
    let path = key.path(cache);
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    write_atomically(&path, &[&key.checksum(graph), graph].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const POTENTIAL: Potential<'_> = Potential {
        positions: "positions",
        cell: "cell",
        batch: None,
        edges: None,
        energy: "energy",
        per_atom: false,
        to_electronvolt: 1.0,
        added: ["f", "s"],
    };

    #[test]
    fn only_what_was_stored_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let (key, other) = (Key::new([&b"model"[..]], &POTENTIAL), Key::new([&b"mode1"[..]], &POTENTIAL));
        assert_ne!(key, other);
        assert_ne!(key, Key::new([&b"model"[..]], &Potential { per_atom: true, ..POTENTIAL }));
        assert_ne!(key, Key::new([&b"mod"[..], b"el"], &POTENTIAL));
        assert_eq!(load(at, &key), None);
        store(at, &key, b"graph").unwrap();
        assert_eq!(load(at, &key).unwrap(), b"graph");
        assert_eq!(load(at, &other), None);
        // Put under a name that is not its own.
        fs::copy(key.path(at), other.path(at)).unwrap();
        assert_eq!(load(at, &other), None);
        for damaged in [&b""[..], b"short", &[0; CHECKSUM], &[7; 100]] {
            fs::write(key.path(at), damaged).unwrap();
            assert_eq!(load(at, &key), None);
        }
        store(at, &key, b"graph").unwrap();
        assert_eq!(load(at, &key).unwrap(), b"graph");
    }
}
