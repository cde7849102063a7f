//! One computed phase: what it is made of and its energy.

use crate::crystal::Composition;

/// Largest magnitude of an energy that is believed, eV/atom (all-electron energies of the heaviest elements are near 1e6).
pub const LARGEST_ENERGY: f64 = 1e7;

/// Longest identifier, bytes.
const LONGEST_ID: usize = 1000;

/// A phase with its energy. The energy is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    composition: Composition,
    energy_per_atom: f64,
    id: String,
}

/// Why a phase is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EntryError {
    /// NaN, infinite, or beyond [`LARGEST_ENERGY`].
    #[error("the energy {energy:?} eV/atom is not a number between -1e7 and 1e7")]
    Energy {
        /// The energy, eV/atom.
        energy: f64,
    },
    /// An identifier longer than 1000 bytes.
    #[error("the identifier has {bytes} bytes (at most 1000)")]
    Id {
        /// Its length.
        bytes: usize,
    },
}

impl Entry {
    /// A phase with its energy in eV/atom and an identifier, which may be empty.
    ///
    /// # Errors
    /// [`EntryError`] for an energy that is no number or an overlong identifier.
    pub fn new(composition: Composition, energy_per_atom: f64, id: impl Into<String>) -> Result<Self, EntryError> {
        let id = id.into();
        check_energy(energy_per_atom)?;
        if id.len() > LONGEST_ID {
            return Err(EntryError::Id { bytes: id.len() });
        }
        Ok(Self { composition, energy_per_atom, id })
    }

    /// What it is made of.
    pub fn composition(&self) -> &Composition {
        &self.composition
    }

    /// Energy, eV/atom.
    pub fn energy_per_atom(&self) -> f64 {
        self.energy_per_atom
    }

    /// Identifier in its source; may be empty.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// Refuses an energy (eV/atom) that no calculation gives.
pub(super) fn check_energy(energy: f64) -> Result<(), EntryError> {
    // Written so that NaN is refused too.
    if energy.abs() <= LARGEST_ENERGY { Ok(()) } else { Err(EntryError::Energy { energy }) }
}
