//! The distribution of energies above hull.

use serde::{Deserialize, Serialize};

/// Where the bins begin, eV/atom: nothing below is believed.
const FROM: f64 = -0.5;
/// Width of a bin, eV/atom.
const WIDTH: f64 = 0.02;
/// Bins, up to 1 eV/atom.
const BINS: usize = 75;

/// Counts of energies above hull in bins of equal width. A bin holds its lower end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower end of the first bin, eV/atom.
    pub from: f64,
    /// Width of a bin, eV/atom.
    pub width: f64,
    /// Samples in each bin.
    pub counts: Vec<usize>,
    /// Samples below the first bin.
    pub below: usize,
    /// Samples above the last bin.
    pub above: usize,
    /// Samples without an energy above hull.
    pub without: usize,
    /// Median of those that have one, eV/atom.
    pub median: Option<f64>,
    /// Mean of those that have one, eV/atom.
    pub mean: Option<f64>,
}

impl Histogram {
    /// Of samples some of which have no energy.
    pub fn new(energies: impl Iterator<Item = Option<f64>>) -> Self {
        let mut histogram = Self {
            from: FROM,
            width: WIDTH,
            counts: vec![0; BINS],
            below: 0,
            above: 0,
            without: 0,
            median: None,
            mean: None,
        };
        let mut known = Vec::new();
        for energy in energies {
            known.extend(energy);
            match energy.map(|energy| ((energy - FROM) / WIDTH + 1e-9).floor()) {
                None => histogram.without += 1,
                Some(bin) if bin < 0.0 => histogram.below += 1,
                Some(bin) => match histogram.counts.get_mut(bin as usize) {
                    Some(count) => *count += 1,
                    None => histogram.above += 1,
                },
            }
        }
        known.sort_by(f64::total_cmp);
        let middle = known.len() / 2;
        histogram.median = match known.len() {
            0 => None,
            even if even % 2 == 0 => Some(0.5 * (known[middle - 1] + known[middle])),
            _ => Some(known[middle]),
        };
        histogram.mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_one_place() {
        let energies = [Some(-0.6), Some(-0.5), Some(0.0), Some(0.1), Some(0.999), Some(1.0), Some(7.0), None];
        let found = Histogram::new(energies.into_iter());
        assert_eq!((found.below, found.above, found.without), (1, 2, 1));
        let filled: Vec<usize> = (0..BINS).filter(|bin| found.counts[*bin] > 0).collect();
        // From -0.5 in steps of 0.02.
        assert_eq!(filled, [0, 25, 30, 74]);
        assert_eq!(found.median, Some(0.1));
        assert_eq!(Histogram::new([Some(1.0), Some(2.0)].into_iter()).median, Some(1.5));
        assert_eq!(Histogram::new([None].into_iter()).mean, None);
    }
}
