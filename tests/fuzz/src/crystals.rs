//! Files of structures, of pairs, of compositions and of tokens, and what is computed of a structure before anything else.

use temper::crystal::{
    Format, MAX_ATOMS, Record, SYMPREC, Structure, closest_pair, encode_tokens, neighbours, read_pairs,
    read_structures_as, read_tokens, symmetry, tokenise, write_structures,
};
use temper::matching::{StructureIndex, StructureMatcher};
use temper::reward::KnownCompositions;

use super::{file, folder, said};

pub fn cif(data: &[u8]) {
    structures("x.cif", Format::Cif, data);
}

pub fn poscar(data: &[u8]) {
    structures("x.poscar", Format::Poscar, data);
}

pub fn extxyz(data: &[u8]) {
    structures("x.extxyz", Format::Extxyz, data);
}

pub fn csv(data: &[u8]) {
    structures("x.csv", Format::Csv, data);
}

pub fn json_lines(data: &[u8]) {
    structures("x.jsonl", Format::JsonLines, data);
}

/// Every row is a structure or a reason, and a structure is one that can be written and read again.
fn structures(name: &str, format: Format, data: &[u8]) {
    let Some(records) = said(read_structures_as(&file(name, data), Some(format))) else { return };
    let mut small = Vec::new();
    for record in records.map_while(said) {
        for warning in &record.warnings {
            said::<(), _>(Err(warning));
        }
        let Some(structure) = said(record.structure) else { continue };
        assert!(structure.len() <= MAX_ATOMS && structure.lattice.volume().is_finite());
        assert!(structure.frac.as_flattened().iter().all(|x| x.is_finite()));
        if structure.len() < 50 && small.len() < 4 {
            let line = 1 + small.len();
            small.push(Record { id: line.to_string(), line, structure: Ok(structure), ..record });
        }
    }
    come_back(&small);
}

/// JSON lines hold structures exactly.
fn come_back(records: &[Record]) {
    let path = folder().join("back.jsonl");
    let plain = records.iter().map(|record| Record { extra: serde_json::Map::new(), ..record.clone() });
    let plain: Vec<Record> = plain.collect();
    write_structures(&path, &plain).unwrap();
    let read: Vec<Record> = read_structures_as(&path, None).unwrap().map(Result::unwrap).collect();
    assert!(read.iter().zip(&plain).all(|(a, b)| a.structure == b.structure) && read.len() == plain.len());
}

/// What is computed of any structure that comes from a file.
pub fn crystal(data: &[u8]) {
    let Some(records) = said(read_structures_as(&file("crystal.jsonl", data), Some(Format::JsonLines))) else { return };
    let found: Vec<Structure> = records.map_while(said).filter_map(|record| record.structure.ok()).collect();
    let matcher = StructureMatcher::default();
    let mut reduced = Vec::new();
    for structure in found.iter().filter(|structure| structure.len() <= 12).take(2) {
        assert!(!closest_pair(structure).distance.is_nan());
        if let Some(list) = said(neighbours(structure, 4.0, Some(3.0), 50_000)) {
            assert!(list.distance.iter().all(|r| *r <= 4.0));
        }
        said(symmetry(structure, SYMPREC));
        if let Some(tokens) = said(tokenise(structure, SYMPREC)) {
            said(tokens.to_structure());
        }
        reduced.extend(said(matcher.reduce(structure)));
    }
    if let [first, second] = reduced.as_slice() {
        matcher.fit(first, second);
    }
}

pub fn pairs(data: &[u8]) {
    let path = file("pairs.jsonl", data);
    let Some(pairs) = said(read_pairs(&path)) else { return };
    for pair in pairs.map_while(said) {
        said(pair.pair);
    }
}

pub fn known(data: &[u8]) {
    for name in ["known.txt", "known.csv"] {
        said(KnownCompositions::read(&file(name, data)));
    }
}

pub fn tokens(data: &[u8]) {
    let Some(records) = said(read_tokens(&file("tokens.safetensors", data))) else { return };
    let whole: Vec<_> = records.into_iter().filter_map(|row| Some((row.id, said(row.tokens)?))).collect();
    for (_, tokens) in whole.iter().take(4) {
        said(tokens.to_structure());
    }
    let slots = whole.iter().map(|(_, tokens)| tokens.sites.len()).max().unwrap_or(1);
    said(encode_tokens(&folder(), &whole, slots));
}

/// The table of an index has a checksum, which an input need not guess: bytes of it are put in.
pub fn structure_index(data: &[u8]) {
    let path = file("known.index", data);
    let Some(index) = said(StructureIndex::open(&path, StructureMatcher::default())) else { return };
    let salt = super::repository("tests/fuzz/seeds/json_lines/rock-salt.jsonl");
    let salt = read_structures_as(&salt, None).unwrap().next().unwrap().unwrap().structure.unwrap();
    let salt = StructureMatcher::default().reduce(&salt).unwrap();
    said(index.find(&salt));
}
