//! Whether a structure is one at all, by the rule of CDVAE (Xie et al., arXiv 2110.06197).

use crate::crystal::{NeighbourError, Structure, neighbours};

/// Least distance of two atoms of a cell, their images included, angstrom.
pub const SMALLEST_DISTANCE: f64 = 0.5;
/// Least volume of a cell, A^3.
pub const SMALLEST_VOLUME: f64 = 0.1;

/// Pairs that are looked at; more than this lie within half an angstrom only where atoms coincide by the hundred.
const MOST_PAIRS: usize = 1_000_000;

/// Whether no two atoms of the cell are closer than [`SMALLEST_DISTANCE`] and the volume is at least [`SMALLEST_VOLUME`]. As in
/// CDVAE, the distance of an atom to its own images does not count: a cell with one atom has no distances.
///
/// # Errors
/// [`NeighbourError`] for a cell that distances cannot be computed in.
pub fn has_sound_geometry(structure: &Structure) -> Result<bool, NeighbourError> {
    if structure.lattice.volume() < SMALLEST_VOLUME {
        return Ok(false);
    }
    if structure.len() == 1 {
        return Ok(true);
    }
    let near = neighbours(structure, SMALLEST_DISTANCE, None, MOST_PAIRS)?;
    let mut pairs = near.centre.iter().zip(&near.neighbour).zip(&near.distance);
    Ok(!pairs.any(|((centre, neighbour), distance)| centre != neighbour && *distance < SMALLEST_DISTANCE))
}
