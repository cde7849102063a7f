//! Reads numpy archives of little-endian C-ordered arrays: enough for reference tables in tests.

use std::io::Read;
use std::path::PathBuf;

/// The arrays of one archive, flattened.
pub(crate) struct Npz(std::collections::HashMap<String, (String, Vec<u8>)>);

impl Npz {
    /// Opens a file of the reference folder, or says that the folder is not there.
    pub(crate) fn shared(path: &str) -> Option<Self> {
        let mut archive = zip::ZipArchive::new(std::fs::File::open(shared(path)?).unwrap()).unwrap();
        let arrays = (0..archive.len()).map(|i| {
            let mut member = archive.by_index(i).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            let body = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            assert!(bytes.starts_with(b"\x93NUMPY\x01"), "version 1 of the npy format");
            let header = String::from_utf8(bytes[10..body].to_vec()).unwrap();
            assert!(header.contains("'fortran_order': False"), "{header}");
            (member.name().unwrap().trim_end_matches(".npy").to_owned(), (header, bytes[body..].to_vec()))
        });
        Some(Self(arrays.collect()))
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f64> {
        self.words(name, "'<f8'").map(f64::from_le_bytes).collect()
    }

    pub(crate) fn integers(&self, name: &str) -> Vec<i64> {
        self.words(name, "'<i8'").map(i64::from_le_bytes).collect()
    }

    pub(crate) fn booleans(&self, name: &str) -> Vec<bool> {
        let (header, bytes) = &self.0[name];
        assert!(header.contains("'|b1'"), "{name}: {header}");
        bytes.iter().map(|b| *b != 0).collect()
    }

    /// Strings of ten characters, `<U10`.
    pub(crate) fn strings(&self, name: &str) -> Vec<String> {
        let (header, bytes) = &self.0[name];
        assert!(header.contains("'<U10'"), "{name}: {header}");
        let code = |four: &[u8]| char::from_u32(u32::from_le_bytes(four.try_into().unwrap())).unwrap();
        let text = |forty: &[u8]| forty.chunks_exact(4).map(code).filter(|c| *c != '\0').collect();
        bytes.chunks_exact(40).map(text).collect()
    }

    fn words(&self, name: &str, dtype: &str) -> impl Iterator<Item = [u8; 8]> {
        let (header, bytes) = &self.0[name];
        assert!(header.contains(dtype), "{name}: {header}");
        bytes.chunks_exact(8).map(|word| word.try_into().unwrap())
    }
}

/// A path in the reference folder, or `None` with a line where there is none.
pub(crate) fn shared(path: &str) -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into();
    let path = std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from).join(path);
    if !path.exists() {
        println!("skipped: no shared data at {}", path.display());
        return None;
    }
    Some(path)
}
