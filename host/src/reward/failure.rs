//! Why a crystal has no value for a term.

use serde::{Deserialize, Serialize};

use crate::crystal::Element;
use crate::model::EvaluationError;
use crate::plugin::PluginError;
use crate::relax::RelaxError;

/// A failure of one term on one crystal.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum Failure {
    /// There is no structure to score: the generator's or the reader's reason.
    #[error("no structure: {0}")]
    NoStructure(String),
    /// Atoms (or an atom and its image) nearer than a bound.
    #[error("two atoms are {distance:.3} A apart, closer than {bound} A")]
    TooClose {
        /// Smallest distance, angstrom.
        distance: f64,
        /// Smallest distance allowed, angstrom.
        bound: f64,
    },
    /// A NaN or an infinity where a number must stand.
    #[error("{source_name} is {value}")]
    NotFinite {
        /// The term that gave it.
        source_name: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// The model gave no result.
    #[error(transparent)]
    Model(#[from] EvaluationError),
    /// The crystal could not be relaxed.
    #[error("relaxing it: {0}")]
    Relaxation(RelaxError),
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
    /// The structure cannot be compared with others.
    #[error("it cannot be compared: {0}")]
    Comparison(String),
    /// An element without known oxidation states.
    #[error("SMACT's tables have no oxidation state of {0}")]
    Oxidation(Element),
    /// The energy cannot be brought to the hull's scale.
    #[error("{0}")]
    Correction(String),
}

impl Failure {
    /// The kind of failure, by which failures are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoStructure(_) => "no structure",
            Self::TooClose { .. } => "atoms too close",
            Self::NotFinite { .. } => "not finite",
            Self::Model(error) => error.kind(),
            Self::Relaxation(error) => error.kind(),
            Self::Plugin(trouble) => trouble.kind(),
            Self::Density { .. } => "absurd density",
            Self::BelowHull { .. } => "below the hull",
            Self::Hull(_) => "not on the hull's elements",
            Self::Symmetry(_) => "no symmetry",
            Self::Comparison(_) => "cannot be compared",
            Self::Oxidation(_) => "no oxidation state",
            Self::Correction(_) => "no correction",
        }
    }
}
