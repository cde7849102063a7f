//! What the field measures of generated crystals: validity, stability, uniqueness, novelty, each as a count with an interval; the
//! same by space group; distances between distributions; and how far several judges agree.
//!
//! It computes from structures and numbers that it is given, and knows neither models nor hulls.

mod agreement;
mod average_distances;
mod comparison;
mod difference;
mod evaluation;
mod groups;
mod histogram;
mod proportion;
mod sample;
mod summary;
mod traits;
mod validity;

pub use agreement::{PairAgreement, only_by_first, pair_agreements};
pub use average_distances::{AverageDistances, Nearest};
pub use comparison::Comparison;
pub use difference::Difference;
pub use evaluation::{Evaluation, Judges, Measure};
pub use groups::{GroupFigures, Weighted, two_per_system};
pub use histogram::Histogram;
pub use proportion::Proportion;
pub use sample::{Sample, Stability};
pub use summary::Figures;
pub use traits::{Distances, Tally};
pub use validity::{SMALLEST_DISTANCE, SMALLEST_VOLUME, has_sound_geometry};
