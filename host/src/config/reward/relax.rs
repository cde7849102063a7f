//! Relaxation before scoring.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Deadline, ModelSupervision, Problem};

/// The key `relax` of a term: it is the crystal's after these steps downhill in energy, of atoms and cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relax {
    /// The potential: an ONNX file or a model directory; absent: the term's own model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub potential: Option<PathBuf>,
    /// Most steps.
    pub steps: usize,
    /// Force (eV/A; of the cell, stress times volume per atom, eV) below which a crystal counts as relaxed.
    pub fmax: f64,
}

/// `[rewards.NAME.displacement]`: how far the atoms move when the crystal is relaxed, angstrom (root mean square).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisplacementTerm {
    /// How it is relaxed. Terms with the same `relax` and potential share the relaxation.
    pub relax: Relax,
    /// How long the potential may take for one crystal in each step; absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Where the potential runs.
    #[serde(flatten, skip_deserializing)]
    pub supervision: ModelSupervision,
}

/// More steps than anyone waits for.
const MOST_STEPS: usize = 100_000;

impl Relax {
    pub(super) fn check(&self, key: &str) -> Result<(), Problem> {
        let (steps, fmax) = (self.steps, self.fmax);
        let sane = (1..=MOST_STEPS).contains(&steps);
        Problem::unless(sane, &format!("{key}.steps"), steps, "must be a number from 1 to 100,000")?;
        Problem::unless(fmax > 0.0 && fmax.is_finite(), &format!("{key}.fmax"), fmax, "must be more than 0")
    }
}
