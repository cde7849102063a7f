//! The Materials Project's energy corrections of 2020, exactly as pymatgen's `MaterialsProject2020Compatibility` applies them.
//!
//! Density functional theory gets oxides, sulfides, halides and the like wrong by an amount that depends on the anion, and GGA+U
//! energies lie on another scale than GGA energies. A. Wang, R. Kingsbury et al., Scientific Reports 11, 15496 (2021) fitted both
//! away: so much per atom of an anion, so much per atom of a transition metal in an oxide or fluoride. [`adjustments`] is the rule,
//! [`plugin`] offers it to Temper.
//!
//! Elements are atomic numbers, energies eV, lengths angstrom.

mod bonds;
mod correction;
mod elements;
mod neighbours;
mod oxidation;
mod potcar;
mod rule;

use std::collections::BTreeMap;

pub use correction::{Config, Mp2020, correction, correction_as_crystalformer};
pub use rule::adjustments;

use temper_plugin_api::Plugin;

/// Atomic numbers with their amounts, in the order in which the source has them: where electronegativities tie, the later counts
/// as the more electronegative, as in pymatgen.
pub type Composition = Vec<(u8, f64)>;

/// A periodic structure: lattice vectors as rows (angstrom), and for each atom its element and fractional coordinates.
#[derive(Clone, Copy, Debug)]
pub struct Structure<'a> {
    /// Lattice vectors, angstrom.
    pub lattice: [[f64; 3]; 3],
    /// Element of each atom.
    pub atomic_numbers: &'a [u8],
    /// Fractional coordinates of each atom.
    pub frac_coords: &'a [[f64; 3]],
}

impl Structure<'_> {
    /// Atoms per cell of each element, in order of first appearance.
    pub fn composition(&self) -> Composition {
        let mut composition = Composition::new();
        for number in self.atomic_numbers {
            match composition.iter_mut().find(|(element, _)| element == number) {
                Some((_, amount)) => *amount += 1.0,
                None => composition.push((*number, 1.0)),
            }
        }
        composition
    }
}

/// How an energy was computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    /// `GGA` or `GGA+U`; anything else has no corrections.
    pub run_type: Option<String>,
    /// Hubbard U of each element, eV; 0 where none is given.
    pub hubbards: BTreeMap<u8, f64>,
    /// Symbols of the pseudopotentials, such as `Fe_pv`, in any order; `None` where nothing is said of them.
    pub potcar_symbols: Option<Vec<String>>,
}

impl Run {
    /// The run that the Materials Project's relaxation set (`MPRelaxSet`) prescribes: GGA+U for oxides and fluorides of the
    /// metals that have a U, else GGA. A composition is an oxide or fluoride when O or F is its most electronegative element.
    pub fn of_relaxation_set(composition: &[(u8, f64)]) -> Self {
        let hubbard = rule::hubbards(composition);
        let hubbards: BTreeMap<u8, f64> =
            composition.iter().map(|(element, _)| (*element, hubbard(*element))).collect();
        if hubbards.values().any(|u| *u > 0.0) {
            return Self { run_type: Some("GGA+U".to_owned()), hubbards, potcar_symbols: None };
        }
        Self { run_type: Some("GGA".to_owned()), ..Self::default() }
    }
}

/// What somebody has found out about a structure already; what is absent is determined by [`adjustments`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// `oxide`, `hydroxide`, `peroxide`, `superoxide` or `ozonide`.
    pub oxide_type: Option<String>,
    /// `sulfide` or `polysulfide`; anything else is a sulfur that gets no correction.
    pub sulfide_type: Option<String>,
    /// Mean oxidation state of each element.
    pub oxidation_states: Option<BTreeMap<u8, f64>>,
}

/// What is to be corrected.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Atoms per cell.
    pub composition: &'a [(u8, f64)],
    /// The structure, which tells a peroxide from an oxide. Without it that is guessed from the formula.
    pub structure: Option<Structure<'a>>,
    /// How the energy was computed.
    pub run: &'a Run,
    /// What is known already.
    pub known: &'a Known,
}

/// One correction.
#[derive(Clone, Debug, PartialEq)]
pub struct Adjustment {
    /// Its name in pymatgen.
    pub name: String,
    /// eV per atom of the element.
    pub per_atom: f64,
    /// Atoms of the element in the cell.
    pub atoms: f64,
}

impl Adjustment {
    /// eV per cell.
    pub fn value(&self) -> f64 {
        self.per_atom * self.atoms
    }
}

/// Why an energy cannot be brought to the corrected scale.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Incompatible {
    /// Not computed with GGA or GGA+U.
    #[error("incompatible: the run type is {}, not GGA or GGA+U", run_type.as_deref().unwrap_or("not stated"))]
    RunType {
        /// The run type.
        run_type: Option<String>,
    },
    /// Computed with another U than the Materials Project's.
    #[error("incompatible: U of {element} is {found} eV, where the Materials Project takes {expected} eV")]
    Hubbard {
        /// Symbol.
        element: &'static str,
        /// U of the run, eV.
        found: f64,
        /// U of the Materials Project, eV.
        expected: f64,
    },
    /// Computed with other pseudopotentials than the Materials Project's.
    #[error("incompatible: the pseudopotentials are {found}, where the Materials Project takes {expected}")]
    Potcar {
        /// Symbols of the run, in alphabetical order.
        found: String,
        /// Symbols of the Materials Project's relaxation set.
        expected: String,
    },
    /// A kind of oxide that the rule does not know.
    #[error("incompatible: the oxide type `{oxide_type}` is not oxide, hydroxide, peroxide, superoxide or ozonide")]
    OxideType {
        /// As given.
        oxide_type: String,
    },
    /// A cell too flat or too crowded to find its bonds.
    #[error("incompatible: the bonds cannot be found, the cell is too distorted or holds too many atoms")]
    Cell,
}

/// The plugin.
pub fn plugin() -> Plugin {
    Plugin::new("mp2020-correction", env!("CARGO_PKG_VERSION"))
        .licence("MIT OR Apache-2.0")
        .description("The Materials Project's energy corrections of 2020, as pymatgen applies them")
        .hull_correction::<Mp2020>()
}
