//! Hull files and the entries that hulls are built from.

use sha2::{Digest, Sha256};
use temper::hull::{Hull, open_hull, read_entries};

use super::{file, said};

/// What stands in a hull file behind its checksum, which an input need not guess.
pub fn hull(data: &[u8]) {
    let digest: String = Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
    for version in [1, 2] {
        let whole = [format!("temper-hull {version} {digest}\n").as_bytes(), data].concat();
        if let Some(hull) = said(Hull::load(&file("x.hull", &whole))) {
            asked(&hull);
        }
    }
}

/// A table, or JSON; what a file is shows in its contents.
pub fn entries(data: &[u8]) {
    for name in ["entries.csv", "entries.json"] {
        let path = file(name, data);
        said(read_entries(&path));
        if let Some(opened) = said(open_hull(&path, &|_, _| {})) {
            asked(&opened.hull);
        }
    }
}

/// What a hull holds is on it.
fn asked(hull: &Hull) {
    for entry in hull.entries().into_iter().take(20) {
        if let Some(found) = said(hull.query(entry.composition(), entry.energy_per_atom())) {
            assert!(found.e_above_hull.is_finite());
            found.decomposition_text();
        }
    }
}
