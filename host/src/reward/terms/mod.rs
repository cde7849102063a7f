//! Reward terms: one number per crystal. A kind of term is a file here, and an implementation of [`TermKind`].

mod builtin;
mod displacement;
mod diversity;
mod force;
mod hull;
mod novelty;
mod onnx;
mod plugin;
mod uniqueness;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

pub use builtin::{Builtin, BuiltinError, BuiltinTerm, Tables, density};
pub use displacement::DisplacementTerm;
pub use diversity::{Bucket, Diversity, RecentBatches};
pub use force::{ForceScale, ForceTerm};
pub use hull::{HullTerm, HullTermError, Stability, WORST_E_HULL, stabilities, stability};
pub use novelty::{Novelty, StructureNovelty};
pub use onnx::OnnxTerm;
pub use plugin::{PluginTerm, PluginTermError};
pub use uniqueness::{StructureUniqueness, Uniqueness};

use super::{ModelRequest, NO_LIMITS, OnFailure, Outcome, Relaxation, Sanity};
use crate::crystal::Structure;
use crate::model::Response;

/// A named reward term.
#[derive(Clone, Debug)]
pub struct Term {
    /// Its name in the objective.
    pub name: String,
    /// What computes it.
    pub kind: Arc<dyn TermKind>,
    /// What its failures mean.
    pub on_failure: OnFailure,
    /// Makes it a filter: rows with a value outside of these ends, and failed ones, skip the terms that are no filters.
    pub bound: Option<[f64; 2]>,
}

/// What computes a term.
pub trait TermKind: Debug + Send + Sync {
    /// What a model must be asked of each crystal first. A term with a request must cost more than arithmetic.
    fn request(&self) -> Option<ModelRequest> {
        None
    }

    /// What relaxes each crystal first: the term and its request are of the relaxed one. A term with a relaxation must cost more than
    /// arithmetic.
    fn relaxation(&self) -> Option<&Relaxation> {
        None
    }

    /// How expensive the term is: cheap terms are evaluated first.
    fn cost(&self) -> Cost;

    /// Whether other processes do its work, so that no thread of the models waits for it.
    fn is_out_of_process(&self) -> bool {
        false
    }

    /// Whether each of several ranks evaluates it on some of the crystals. A term that looks at the whole batch for each must not be.
    fn is_shared(&self) -> bool {
        false
    }

    /// Smallest and largest value that it can have; a bound or an expression that none of them satisfies is a mistake.
    fn range(&self) -> [f64; 2] {
        [f64::NEG_INFINITY, f64::INFINITY]
    }

    /// Smallest and largest value that the objective, filters and statistics see; values beyond are recorded as they are and
    /// count as the nearer end.
    fn limits(&self) -> [f64; 2] {
        NO_LIMITS
    }

    /// What a failure counts as, if the kind of term documents such a value.
    fn worst(&self) -> Option<f64> {
        None
    }

    /// What it remembers from batch to batch, if it does.
    fn memory(&self) -> Option<&Mutex<RecentBatches>> {
        None
    }

    /// One outcome per crystal of the batch, in its order.
    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome>;
}

/// The order in which terms are evaluated: cheap ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Arithmetic on the structure.
    Structure,
    /// One run of a model.
    Model,
    /// A potential, a correction and a hull.
    Hull,
    /// A potential and its derivatives.
    Forces,
    /// Many runs of a potential and its derivatives.
    Relaxation,
    /// Code of others.
    Plugin,
}

impl Cost {
    /// Whether terms that cost so much are evaluated on sane crystals only. What models and plugins make of absurd crystals is not to
    /// be trusted.
    pub fn needs_sane(self) -> bool {
        self != Self::Structure
    }
}

/// The crystals that a term is evaluated on, one entry per crystal in each list that is not empty.
#[derive(Debug, Default)]
pub struct TermBatch<'a> {
    /// The crystals, relaxed if the term asks for that.
    pub structures: Vec<&'a Structure>,
    /// Their reduced formulas.
    pub formulas: Vec<&'a str>,
    /// How many rows of the whole batch have the same reduced formula, those included that a filter rejects.
    pub copies: Vec<usize>,
    /// Place of each crystal among [`TermBatch::all`].
    pub places: Vec<usize>,
    /// The different structures of the whole batch, those included that a filter rejects, and how many rows have each.
    pub all: &'a [(&'a Structure, usize)],
    /// The numbers that the term requested; empty if it requested none.
    pub numbers: Vec<f64>,
    /// The forces and stresses that the term requested; empty if it requested none.
    pub responses: Vec<&'a Response>,
    /// How far the atoms of each were moved, angstrom; empty if the term asks for no relaxation.
    pub displacements: Vec<f64>,
    /// Bounds outside which no result is believed.
    pub sanity: Sanity,
}
