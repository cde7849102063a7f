//! Why a crystal was not relaxed.

use serde::{Deserialize, Serialize};

use crate::crystal::TokeniseError;
use crate::model::EvaluationError;

/// Why a crystal was not relaxed.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum RelaxError {
    /// The potential gives no result for the crystal, as it came or on the way.
    #[error("{}{source}", after(*.step))]
    Potential {
        /// Steps done before.
        step: usize,
        /// The reason.
        source: EvaluationError,
    },
    /// Atoms nearer to one another than any potential is believed.
    #[error("{}two atoms are {distance:.3} A apart, closer than {bound} A", after(*.step))]
    Collapsed {
        /// Steps done before.
        step: usize,
        /// Smallest distance, angstrom.
        distance: f64,
        /// Smallest distance allowed, angstrom.
        bound: f64,
    },
    /// Forces so large that the next step has no number.
    #[error("after {step} steps: a coordinate is not finite")]
    NotFinite {
        /// Steps done before.
        step: usize,
    },
    /// The cell grows or shrinks without end.
    #[error("after {step} steps: the volume has gone from {start:.1} to {volume:.3e} A^3")]
    Volume {
        /// Steps done before.
        step: usize,
        /// At the start, A^3.
        start: f64,
        /// Now, A^3.
        volume: f64,
    },
    /// The symmetry that was to be held is not found.
    #[error(transparent)]
    Symmetry(#[from] TokeniseError),
}

fn after(steps: usize) -> String {
    if steps == 0 { String::new() } else { format!("after {steps} steps: ") }
}

impl RelaxError {
    /// The kind of error, by which errors are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Potential { source, .. } => source.kind(),
            Self::Collapsed { .. } => "atoms too close",
            Self::NotFinite { .. } => "not finite",
            Self::Volume { .. } => "volume out of bounds",
            Self::Symmetry(_) => "no symmetry",
        }
    }
}
