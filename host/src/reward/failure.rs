//! Why a crystal has no value for a term.

use std::time::Duration;

use crate::crystal::Element;
use crate::plugin::PluginError;
use crate::runtime;

/// A failure of one term on one crystal.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// There is no structure to score: the generator's or the reader's reason.
    #[error("no structure: {0}")]
    NoStructure(String),
    /// Atoms (or an atom and its image) nearer than a bound.
    #[error("two atoms are {distance:.3} A apart, nearer than {bound} A")]
    TooClose {
        /// Smallest distance, angstrom.
        distance: f64,
        /// Smallest distance allowed, angstrom.
        bound: f64,
    },
    /// An element that the model was not made for.
    #[error("the model does not know {0}")]
    Element(Element),
    /// An atom without any neighbour inside the model's cutoff, for which most models return a meaningless number.
    #[error("atom {atom} ({element}) has no neighbour within the model's cutoff of {cutoff} A")]
    Isolated {
        /// The atom, counted from 1.
        atom: usize,
        /// Its element.
        element: Element,
        /// Angstrom.
        cutoff: f64,
    },
    /// More neighbours than one crystal may have.
    #[error("{0}")]
    TooDense(String),
    /// More neighbours than the memory allows the derivatives of one crystal to have.
    #[error(
        "forces of a crystal with {cost} edges and triplets need more memory than the budget, which is enough for {largest}"
    )]
    TooLarge {
        /// Edges and triplets of the crystal.
        cost: usize,
        /// How many the budget is enough for.
        largest: usize,
    },
    /// A NaN or an infinity where a number must stand.
    #[error("{source_name} is {value}")]
    NotFinite {
        /// What gave it: a model's output, a term.
        source_name: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// The model could not be run on this crystal.
    #[error("the model failed: {0}")]
    Model(String),
    /// The model was stopped because it took too long for this crystal.
    #[error("the model took longer than the deadline of {} s", .0.as_secs_f64())]
    Deadline(Duration),
    /// A plugin gave no value.
    #[error("{0}")]
    Plugin(PluginError),
    /// A density that no crystal has.
    #[error("density {value:.3e} g/cm^3, outside {low} to {high} g/cm^3")]
    Density {
        /// g/cm^3.
        value: f64,
        /// Lowest density believed, g/cm^3.
        low: f64,
        /// Highest density believed, g/cm^3.
        high: f64,
    },
    /// An energy too far below the hull to be true.
    #[error("{value:.3} eV/atom relative to the hull, below the bound of {bound} eV/atom")]
    BelowHull {
        /// eV/atom.
        value: f64,
        /// Lowest value believed, eV/atom.
        bound: f64,
    },
    /// The hull has no answer for this composition.
    #[error("{0}")]
    Hull(String),
    /// No symmetry could be found.
    #[error("no symmetry: {0}")]
    Symmetry(String),
    /// An element without known oxidation states.
    #[error("SMACT's tables have no oxidation state of {0}")]
    Oxidation(Element),
    /// The energy cannot be brought to the hull's scale.
    #[error("{0}")]
    Correction(String),
}

impl From<runtime::Error> for Failure {
    fn from(error: runtime::Error) -> Self {
        match error {
            runtime::Error::Deadline { deadline, .. } => Self::Deadline(deadline),
            other => Self::Model(other.to_string()),
        }
    }
}

impl Failure {
    /// The kind of failure, by which failures are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoStructure(_) => "no structure",
            Self::TooClose { .. } => "atoms too close",
            Self::Element(_) => "unknown element",
            Self::Isolated { .. } => "isolated atom",
            Self::TooDense(_) => "too dense",
            Self::TooLarge { .. } => "too large",
            Self::NotFinite { .. } => "not finite",
            Self::Model(_) => "model failed",
            Self::Deadline(_) => "too slow",
            Self::Plugin(trouble) => trouble.kind(),
            Self::Density { .. } => "absurd density",
            Self::BelowHull { .. } => "below the hull",
            Self::Hull(_) => "not on the hull's elements",
            Self::Symmetry(_) => "no symmetry",
            Self::Oxidation(_) => "no oxidation state",
            Self::Correction(_) => "no correction",
        }
    }
}
