//! What the field measures of generated crystals: validity, stability, uniqueness, novelty, each as a count with an interval.
//!
//! It computes from structures and numbers that it is given, and knows neither models nor hulls.

mod proportion;
mod summary;
mod validity;

pub use proportion::Proportion;
pub use summary::{Sample, Stability, Summary};
pub use validity::{SMALLEST_DISTANCE, SMALLEST_VOLUME, has_sound_geometry};
