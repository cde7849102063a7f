//! Why a model cannot be used, and why it gives no result for a crystal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ContractError;
use crate::crystal::{Element, Repeats};
use crate::hint::Hint;
use crate::runtime;
use crate::worker::WorkerFailure;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file does not fit the contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// ONNX Runtime refuses the file or the device.
    #[error(transparent)]
    Runtime(#[from] runtime::Error),
    /// The file did harm when it was first looked at.
    #[error("{model} is not used: {reason}")]
    Unusable {
        /// The model's file.
        model: String,
        /// What happened.
        reason: String,
    },
    /// No process in which the model would run.
    #[error("{model}: no process for it: {reason}")]
    Process {
        /// The model's file.
        model: String,
        /// Why.
        reason: String,
    },
    /// The operating system gives no threads.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// The system's reason.
        reason: String,
    },
    /// The model has no such output that gives one number per crystal.
    #[error("{model}: no output `{quantity}` with one number per crystal; it has {known}")]
    NoQuantity {
        /// The model's file.
        model: String,
        /// What was asked for.
        quantity: String,
        /// What there is.
        known: String,
    },
    /// The model gives no forces, and none can be derived.
    #[error("{model}: no forces: {reason}")]
    NoForces {
        /// The model's file.
        model: String,
        /// What stands in the way.
        reason: String,
    },
    /// The model has several outputs and none was chosen.
    #[error("{model}: several outputs give one number per crystal: {known}")]
    Ambiguous {
        /// The model's file.
        model: String,
        /// What there is.
        known: String,
    },
}

impl Hint for ModelError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Contract(error) => error.hints(),
            Self::Runtime(error) => error.hints(),
            Self::Unusable { .. } => vec![
                "if you trust it, `isolation = \"host\"` (or `--isolation host`) uses it without looking first"
                    .to_owned(),
            ],
            Self::Ambiguous { .. } => vec!["say which is meant by `output = \"...\"`".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// Why a model gives no result for a crystal.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum EvaluationError {
    /// Atoms (or an atom and its image) nearer than a bound.
    #[error("two atoms are {distance:.3} A apart, closer than {bound} A")]
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
    #[error("{output} is {value}")]
    NotFinite {
        /// The model's output.
        output: String,
        /// NaN or an infinity.
        value: f64,
    },
    /// The model could not be run on this crystal.
    #[error("the model failed: {0}")]
    Failed(String),
    /// The process in which the model runs came to its end on this crystal, or could not be started.
    #[error("the model died: {0}")]
    Died(WorkerFailure),
    /// The model was stopped because it took too long for this crystal.
    #[error("the model took longer than the deadline of {} s", .0.as_secs_f64())]
    Deadline(Duration),
}

impl From<runtime::Error> for EvaluationError {
    fn from(error: runtime::Error) -> Self {
        match error {
            runtime::Error::Deadline { deadline, .. } => Self::Deadline(deadline),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl EvaluationError {
    /// Of a whole cell, from that of the smaller one that it repeats: the atom is one of the whole cell's.
    pub fn of_whole(self, repeats: &Repeats) -> Self {
        match self {
            Self::Isolated { atom, element, cutoff } => {
                Self::Isolated { atom: repeats.whole_atom(atom - 1) + 1, element, cutoff }
            }
            other => other,
        }
    }

    /// Whether the model is to blame, and not the crystal.
    pub(super) fn is_of_the_model(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Died(_))
    }

    /// The kind of error, by which errors are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TooClose { .. } => "atoms too close",
            Self::Element(_) => "unknown element",
            Self::Isolated { .. } => "isolated atom",
            Self::TooDense(_) => "too dense",
            Self::TooLarge { .. } => "too large",
            Self::NotFinite { .. } => "not finite",
            Self::Failed(_) => "model failed",
            Self::Died(WorkerFailure::Deadline(_)) => "too slow",
            Self::Died(WorkerFailure::Memory { .. }) => "model out of memory",
            Self::Died(WorkerFailure::GaveUp { .. }) => "model given up",
            Self::Died(_) => "model died",
            Self::Deadline(_) => "too slow",
        }
    }
}
