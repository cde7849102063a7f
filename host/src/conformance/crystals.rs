//! Crystals of a file to check on.

use std::path::Path;

use crate::crystal::{ReadError, Structure, read_structures};

/// Crystals that are checked on at most, and the most atoms of one.
const MOST_CRYSTALS: usize = 32;
const MOST_ATOMS: usize = 200;

/// Spacing of a simple cubic crystal in which most elements have plausible neighbours, angstrom.
pub const SPACING: f64 = 2.9;

/// A crystal and its name.
pub type NamedCrystal = (String, Structure);

/// What is checked on.
#[derive(Clone, Debug, Default)]
pub struct CheckCrystals {
    /// The crystals.
    pub named: Vec<NamedCrystal>,
    /// Others that cannot be used, and why.
    pub set_aside: Vec<String>,
}

impl CheckCrystals {
    /// The first crystals of a file that are small enough.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let mut crystals = Self::default();
        for record in read_structures(path)? {
            let record = record?;
            if crystals.named.len() == MOST_CRYSTALS {
                let rest = format!("{} and what follows: {MOST_CRYSTALS} crystals are enough", record.id);
                crystals.set_aside.push(rest);
                break;
            }
            match record.structure {
                Ok(structure) if structure.len() > MOST_ATOMS => {
                    let atoms = structure.len();
                    crystals.set_aside.push(format!("{}: {atoms} atoms, more than {MOST_ATOMS}", record.id));
                }
                Ok(structure) => crystals.named.push((record.id, structure)),
                Err(error) => crystals.set_aside.push(format!("{} (line {}): {error}", record.id, record.line)),
            }
        }
        Ok(crystals)
    }
}
