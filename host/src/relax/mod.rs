//! Relaxation: crystals are moved downhill in energy, atoms and cell together, until their forces and stresses are small.
//!
//! FIRE steps in the coordinates of ASE's `FrechetCellFilter`. Many crystals are under way at a time; what is wrong with one
//! is an error of its own. Nothing here knows which potential it is, of rewards or of hulls.

mod batch;
mod coordinates;
mod displacement;
mod error;
mod fire;
mod potential;
mod symmetry;
#[cfg(test)]
mod tests;
mod walk;

pub use batch::relax;
pub use displacement::{displacement, mean_lattice};
pub use error::RelaxError;
pub use potential::{Evaluation, Potential};
pub use walk::{Cell, RelaxSettings, Relaxed};
