//! What the likelihood graphs read besides the parameters.

use super::layers::Network;
use crate::graph::{Builder, DataType, Dim, Value};
use crate::policy::Restriction;

/// Which form the mask of elements has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementMask {
    /// The same everywhere: (NA).
    OfPolicy,
    /// One for every site: (b, s, NA).
    OfSites,
}

impl ElementMask {
    /// The form that a restriction needs.
    pub fn of(restriction: Option<&Restriction>) -> Self {
        let fixed = restriction.is_none_or(|restriction| restriction.fixed_elements().is_some());
        if fixed { Self::OfPolicy } else { Self::OfSites }
    }
}

/// Inputs of the likelihood graphs, for b crystals of at most s sites.
pub(super) struct Inputs {
    /// Symbols of the extents.
    pub extents: Extents,
    /// int64 (b): space group number 1..230.
    pub group: Value,
    /// int64 (b, s + 1): Wyckoff letters, 0 behind the last site.
    pub letters: Value,
    /// int64 (b, s): atomic numbers, 0 for pads.
    pub atoms: Value,
    /// float64 (b, s, 3): fractional coordinates.
    pub coordinates: Value,
    /// float32 (b, s + 1): multiplicity of each site in the conventional cell, 0 for pads.
    pub multiplicities: Value,
    /// float64 (b, 6): lattice lengths / atoms^(1/3) in angstrom, angles in radians.
    pub lattice: Value,
    /// float32 (b, s + 1, NW): 0 where the letter may stand at that slot, -1e10 elsewhere.
    pub letter_mask: Value,
    /// float32 (b, s + 1): 1 for sites and for the stop behind them if a slot is left, else 0.
    pub letter_weight: Value,
    /// float32 (NA), or (b, s, NA): 0 for elements that may be drawn, -1e10 for the others and for the pad.
    pub atom_mask: Value,
    /// float32 (b, s): 1 for sites.
    pub atom_weight: Value,
    /// float32 (b, s, 3): 1 for coordinates that are free.
    pub coordinate_weight: Value,
    /// float32 (b, 6): 1 for lattice parameters that are free.
    pub lattice_weight: Value,
    /// float32 (b, s + 1): 1 at the slot whose W token predicts the lattice, else 0.
    pub lattice_slot: Value,
}

/// Symbols of the extents: crystals b, sites s of the longest, slots s + 1, tokens T = 5 s + 1, rows b T.
#[derive(Clone, Copy)]
pub(super) struct Extents {
    pub crystals: Dim,
    pub sites: Dim,
    pub slots: Dim,
    pub tokens: Dim,
    pub rows: Dim,
}

impl Extents {
    fn declare(b: &mut Builder) -> Self {
        Self {
            crystals: b.symbol("b"),
            sites: b.symbol("s"),
            slots: b.symbol("s1"),
            tokens: b.symbol("T"),
            rows: b.symbol("rows"),
        }
    }
}

impl Inputs {
    pub fn declare(n: &mut Network, mask: ElementMask) -> Self {
        let letters = Dim::Known(n.hyper.wyck_types as i64);
        let elements = Dim::Known(n.hyper.atom_types as i64);
        let b = &mut n.b;
        let extents = Extents::declare(b);
        let Extents { crystals, sites, slots, .. } = extents;
        let (three, six) = (Dim::Known(3), Dim::Known(6));
        let mask_shape: &[Dim] = match mask {
            ElementMask::OfPolicy => &[elements],
            ElementMask::OfSites => &[crystals, sites, elements],
        };
        Self {
            extents,
            group: b.input("G", DataType::I64, &[crystals]),
            letters: b.input("W", DataType::I64, &[crystals, slots]),
            atoms: b.input("A", DataType::I64, &[crystals, sites]),
            coordinates: b.input("XYZ", DataType::F64, &[crystals, sites, three]),
            multiplicities: b.input("M", DataType::F32, &[crystals, slots]),
            lattice: b.input("L", DataType::F64, &[crystals, six]),
            letter_mask: b.input("w_mask", DataType::F32, &[crystals, slots, letters]),
            letter_weight: b.input("w_weight", DataType::F32, &[crystals, slots]),
            atom_mask: b.input("a_mask", DataType::F32, mask_shape),
            atom_weight: b.input("a_weight", DataType::F32, &[crystals, sites]),
            coordinate_weight: b.input("xyz_weight", DataType::F32, &[crystals, sites, three]),
            lattice_weight: b.input("l_weight", DataType::F32, &[crystals, six]),
            lattice_slot: b.input("l_slot", DataType::F32, &[crystals, slots]),
        }
    }
}
