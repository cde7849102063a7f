//! The compact file of a built hull.
//!
//! # The `.hull` format, version 2
//! ```text
//! temper-hull 2 <SHA-256 of every byte after this line, 64 hexadecimal digits>\n
//! <one line of JSON, the header>\n
//! <entries><formulas>
//! ```
//! The header is `{"energy_reference": text or null, "source": text, "built_from": entries before pruning,
//! "entries": entries in the file, "checks": [{"lattice": 3x3 angstrom, "species": [symbols], "frac_coords": [[x, y, z]],
//! "energy_per_atom": eV}]}`. An entry is, little-endian: number of elements (u8); for each its atomic number (u8) and amount
//! (f64); energy in eV/atom (f64); length of the identifier in bytes (u16), and the identifier (UTF-8). Behind the entries stand
//! the reduced formulas of everything that the hull was built from, `"formulas"` in number: one a line, ascending, each with a line
//! feed, compressed by zlib.
//!
//! Version 1 has no formulas, and no such key in its header. It is still read, and a hull without formulas is still written so.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::index::{Phase, PhaseIndex, mask_of};
use super::{Entry, Formulas, Hull, HullError, HullHeader, ReferenceCrystal};
use crate::atomic::write_atomically;
use crate::crystal::{Composition, Element, Lattice, Structure};
use crate::input;

const MAGIC: &str = "temper-hull ";

/// The version with formulas.
const VERSION: &str = "2";
/// The version without.
const PLAIN: &str = "1";

/// Does a file begin as hull files do?
pub(super) fn is_hull(beginning: &[u8]) -> bool {
    beginning.starts_with(MAGIC.as_bytes())
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileHeader {
    energy_reference: Option<String>,
    source: String,
    built_from: usize,
    entries: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    formulas: Option<usize>,
    checks: Vec<FileCrystal>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCrystal {
    lattice: [[f64; 3]; 3],
    species: Vec<String>,
    frac_coords: Vec<[f64; 3]>,
    energy_per_atom: f64,
}

impl Hull {
    /// Writes the compact file: aside first, then renamed, so that no reader sees half of it.
    ///
    /// # Errors
    /// [`HullError::Write`].
    pub fn save(&self, path: &Path) -> Result<(), HullError> {
        let write = || {
            let body = self.body()?;
            let version = if self.formulas().is_some() { VERSION } else { PLAIN };
            let mut file = format!("{MAGIC}{version} {}\n", digest(&body)).into_bytes();
            file.extend(body);
            write_atomically(path, &file)
        };
        write().map_err(|e| HullError::write(path, e))
    }

    /// The SHA-256 that its file carries, as 64 hexadecimal digits: equal for hulls that answer and introduce themselves alike.
    ///
    /// # Errors
    /// None that a hull of [`Hull::build`] or [`Hull::load`] can cause; those of the JSON writer.
    pub fn sha256(&self) -> std::io::Result<String> {
        Ok(digest(&self.body()?))
    }

    /// The file after its first line.
    fn body(&self) -> std::io::Result<Vec<u8>> {
        let entries = self.entries();
        let mut body = serde_json::to_vec(&self.file_header(entries.len()))?;
        body.push(b'\n');
        entries.iter().for_each(|entry| encode(entry, &mut body));
        if let Some(formulas) = self.formulas() {
            body.extend(formulas.encode()?);
        }
        Ok(body)
    }

    /// Reads the compact file.
    ///
    /// # Errors
    /// [`HullError::Read`], or [`HullError::Damaged`] when it is another kind of file, of another version, truncated or altered.
    pub fn load(path: &Path) -> Result<Self, HullError> {
        let bytes = input::read(path, input::MOST_DATA).map_err(|e| HullError::read(path, e))?;
        parse(&bytes).map_err(|reason| HullError::damaged(path, reason))
    }

    fn file_header(&self, entries: usize) -> FileHeader {
        let header = self.header();
        let checks =
            header.reference_crystals.iter().map(|ReferenceCrystal { structure, energy_per_atom }| FileCrystal {
                lattice: structure.lattice.0,
                species: structure.species.iter().map(Element::to_string).collect(),
                frac_coords: structure.frac.clone(),
                energy_per_atom: *energy_per_atom,
            });
        FileHeader {
            energy_reference: header.energy_reference.clone(),
            source: header.source.clone(),
            built_from: self.info().built_from,
            entries,
            formulas: self.formulas().map(Formulas::len),
            checks: checks.collect(),
        }
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A hull from the bytes of its file, or what is wrong with them.
fn parse(bytes: &[u8]) -> Result<Hull, String> {
    let (first, body) = split_line(bytes).ok_or("it does not begin as a hull file does")?;
    let first = std::str::from_utf8(first).ok().and_then(|line| line.strip_prefix(MAGIC));
    let (version, hash) = first.and_then(|line| line.split_once(' ')).ok_or("it does not begin as a hull file does")?;
    if ![VERSION, PLAIN].contains(&version) {
        return Err(format!("it has version {version}, and this program reads versions {PLAIN} and {VERSION}"));
    }
    if digest(body) != hash {
        return Err("its SHA-256 does not match its content: truncated or altered".into());
    }
    let (header, payload) = split_line(body).ok_or("the header line has no end")?;
    let header: FileHeader = serde_json::from_slice(header).map_err(|e| format!("header: {e}"))?;
    let mut rest = Payload(payload);
    if (version == VERSION) != header.formulas.is_some() {
        return Err(format!("version {version} does not fit a header with {:?} formulas", header.formulas));
    }
    let mut entries = Vec::new();
    while entries.len() < header.entries {
        entries.push(rest.entry().map_err(|e| format!("entry {}: {e}", entries.len() + 1))?);
    }
    let formulas = match header.formulas {
        Some(count) => Some(Formulas::decode(rest.0, count)?),
        None if rest.0.is_empty() => None,
        None => return Err(format!("{} bytes follow the {} entries of its header", rest.0.len(), header.entries)),
    };
    let crystals = header.checks.into_iter().enumerate();
    let crystals: Result<_, String> =
        crystals.map(|(i, crystal)| crystal.read().map_err(|e| format!("check {}: {e}", i + 1))).collect();
    let known =
        HullHeader { energy_reference: header.energy_reference, source: header.source, reference_crystals: crystals? };
    Ok(Hull::from_index(index_of(entries)?, known, header.built_from, formulas))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Entries that are stable already, by system.
fn index_of(entries: Vec<Entry>) -> Result<PhaseIndex, String> {
    let mut index = PhaseIndex::of_elements(&entries);
    let mut systems: HashMap<_, Vec<Phase>> = HashMap::new();
    for entry in entries.into_iter().filter(|entry| entry.composition().amounts().len() > 1) {
        let formation = index.formation(entry.composition(), entry.energy_per_atom());
        let formation = formation.ok_or_else(|| format!("{} lacks an elemental entry", entry.composition()))?;
        systems.entry(mask_of(entry.composition())).or_default().push(Phase { entry, formation });
    }
    systems.into_iter().for_each(|(system, phases)| index.insert(system, phases));
    Ok(index)
}

impl FileCrystal {
    fn read(self) -> Result<ReferenceCrystal, String> {
        let element = |s: &String| Element::from_symbol(s).ok_or_else(|| format!("`{s}` is not an element"));
        let species = self.species.iter().map(element).collect::<Result<_, _>>()?;
        let structure = Structure::new(Lattice(self.lattice), species, self.frac_coords).map_err(|e| e.to_string())?;
        Ok(ReferenceCrystal { structure, energy_per_atom: self.energy_per_atom })
    }
}

fn encode(entry: &Entry, out: &mut Vec<u8>) {
    let amounts = entry.composition().amounts();
    out.push(amounts.len() as u8); // at most 118
    for (element, amount) in amounts {
        out.push(element.number());
        out.extend(amount.to_le_bytes());
    }
    out.extend(entry.energy_per_atom().to_le_bytes());
    out.extend((entry.id().len() as u16).to_le_bytes()); // at most 1000
    out.extend(entry.id().as_bytes());
}

/// Bytes of entries not yet read.
struct Payload<'a>(&'a [u8]);

impl Payload<'_> {
    fn entry(&mut self) -> Result<Entry, String> {
        let [elements] = self.take()?;
        let amounts = (0..elements).map(|_| {
            let [number] = self.take()?;
            let element = Element::from_number(number).ok_or_else(|| format!("atomic number {number}"))?;
            Ok((element, f64::from_le_bytes(self.take()?)))
        });
        let amounts = amounts.collect::<Result<Vec<_>, String>>()?;
        let composition = Composition::new(amounts).map_err(|e| e.to_string())?;
        let energy = f64::from_le_bytes(self.take()?);
        let length = usize::from(u16::from_le_bytes(self.take()?));
        let (id, rest) = self.0.split_at_checked(length).ok_or("the file ends inside it")?;
        self.0 = rest;
        let id = std::str::from_utf8(id).map_err(|e| e.to_string())?;
        Entry::new(composition, energy, id).map_err(|e| e.to_string())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.0.split_first_chunk().ok_or("the file ends inside it")?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::{entry, hull_of};
    use super::super::read_entries;
    use super::*;

    fn example() -> Hull {
        let sodium = Element::from_symbol("Na").unwrap();
        let chlorine = Element::from_symbol("Cl").unwrap();
        let rock_salt = Structure::new(
            Lattice([[0.0, 2.8, 2.8], [2.8, 0.0, 2.8], [2.8, 2.8, 0.0]]),
            vec![sodium, chlorine],
            vec![[0.0; 3], [0.5; 3]],
        );
        let hull = hull_of(vec![entry("Na", -1.3), entry("Cl2", -1.8), entry("NaCl", -3.4), entry("Na0.3Cl", -3.0)]);
        let header = HullHeader {
            energy_reference: Some("MP2020".into()),
            source: "a line\nand \"quotes\"".into(),
            reference_crystals: vec![ReferenceCrystal { structure: rock_salt.unwrap(), energy_per_atom: -3.4 }],
        };
        Hull::from_index(index_of(hull.entries().into_iter().cloned().collect()).unwrap(), header, 7, None)
    }

    /// The same with a formula that is not stable.
    fn with_formulas() -> Hull {
        let mut formulas = Formulas::default();
        formulas.add(&"NaCl3".parse().unwrap());
        example().with_formulas(formulas)
    }

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nacl.hull");
        for (version, hull) in [(1, example()), (2, with_formulas())] {
            hull.save(&path).unwrap();
            let loaded = Hull::load(&path).unwrap();
            assert_eq!(loaded.header(), hull.header());
            assert_eq!(loaded.info(), hull.info());
            assert_eq!(loaded.info().built_from, 7);
            assert_eq!(loaded.entries(), hull.entries());
            assert_eq!(loaded.formulas(), hull.formulas());
            let sha256 = loaded.sha256().unwrap();
            assert_eq!(sha256, hull.sha256().unwrap());
            let first = format!("temper-hull {version} {sha256}\n");
            assert!(std::fs::read(&path).unwrap().starts_with(first.as_bytes()));
            assert_eq!(read_entries(&path).unwrap().entries.len(), loaded.entries().len());
        }
        let known: Vec<String> = Hull::load(&path).unwrap().formulas().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(known, ["Cl2", "Na", "Na0.3Cl1", "NaCl", "NaCl3"]);
    }

    #[test]
    fn truncated_and_altered_files_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nacl.hull");
        with_formulas().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{end} bytes");
        }
        for place in 0..whole.len() {
            let mut altered = whole.clone();
            altered[place] ^= 1;
            assert!(parse(&altered).is_err(), "byte {place}");
        }
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let error = Hull::load(&path).unwrap_err().to_string();
        assert!(error.contains("nacl.hull") && error.contains("truncated or altered"), "{error}");
        let newer = [b"temper-hull 3", &whole["temper-hull 2".len()..]].concat();
        assert!(parse(&newer).unwrap_err().contains("version 3"));
        let older = [b"temper-hull 1", &whole["temper-hull 2".len()..]].concat();
        assert!(parse(&older).unwrap_err().contains("version 1 does not fit a header with Some(5) formulas"));
    }

    /// Files with a right hash and wrong content, as a hostile or mistaken writer would make them.
    #[test]
    fn wrong_content_is_refused_behind_a_right_hash() {
        let file = |header: &str, payload: &[u8]| {
            let body = [header.as_bytes(), b"\n", payload].concat();
            parse(&[format!("{MAGIC}{PLAIN} {}\n", digest(&body)).as_bytes(), &body].concat())
        };
        let header = |entries: u64| {
            format!(r#"{{"energy_reference":null,"source":"","built_from":1,"entries":{entries},"checks":[]}}"#)
        };
        let mut iron = Vec::new();
        encode(&entry("Fe", -8.0), &mut iron);
        let mut rust = Vec::new();
        encode(&entry("FeO", -8.0), &mut rust);
        assert!(file(&header(1), &iron).is_ok());
        assert!(file(&header(u64::MAX), &iron).is_err());
        assert!(file(&header(2), &iron).is_err());
        assert!(file(&header(1), &rust).unwrap_err().contains("lacks an elemental entry"));
        assert!(file(&header(1), &[255]).is_err());
        assert!(file(&header(1), &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err().contains("atomic number 0"));
        assert!(file("{}", &iron).is_err());
        let nan = [&iron[..10], &f64::NAN.to_le_bytes(), &iron[18..]].concat();
        assert!(file(&header(1), &nan).unwrap_err().contains("entry 1"));
    }
}
