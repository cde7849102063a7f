//! Many crystals under way at a time.

use super::walk::Walk;
use super::{Potential, RelaxError, RelaxSettings, Relaxed};
use crate::crystal::Structure;

/// Crystals under way: the same on every machine, so that batches, and with them rounding, are too. Enough for a device that takes
/// about as long for a small batch as for a large one.
const UNDER_WAY: usize = 256;

/// Relaxes crystals, each until its forces are small or the steps are used up: one result per crystal, in their order. All that are
/// under way are evaluated together; where one has finished, the next takes its place. `finished` is called with the number of crystals
/// that have just finished.
pub fn relax(
    potential: &dyn Potential,
    structures: &[&Structure],
    settings: &RelaxSettings,
    finished: &dyn Fn(u64),
) -> Vec<Result<Relaxed, RelaxError>> {
    let mut results: Vec<(usize, Result<Relaxed, RelaxError>)> = Vec::with_capacity(structures.len());
    let mut waiting = structures.iter().enumerate();
    let mut under_way: Vec<(usize, Walk)> = Vec::new();
    loop {
        let done = results.len();
        for (place, structure) in waiting.by_ref().take(UNDER_WAY - under_way.len()) {
            match Walk::new(structure, settings) {
                Ok(walk) => under_way.push((place, walk)),
                Err(error) => results.push((place, Err(error))),
            }
        }
        let crystals: Vec<&Structure> = under_way.iter().map(|(_, walk)| walk.asked()).collect();
        let rows = potential.evaluate(&crystals);
        let mut still = Vec::with_capacity(under_way.len());
        for ((place, mut walk), row) in under_way.into_iter().zip(rows) {
            match walk.advance(row, settings) {
                Some(result) => results.push((place, result)),
                None => still.push((place, walk)),
            }
        }
        under_way = still;
        finished((results.len() - done) as u64);
        if results.len() == structures.len() {
            break;
        }
    }
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
