//! How rare the family of a crystal is among the crystals of the last batches.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Cost, TermBatch, TermKind};
use crate::crystal::{Composition, SYMPREC, Structure, symmetry};
use crate::reward::{Failure, Outcome};

/// What the crystals of a bucket have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Space group and reduced formula, in which the lanthanides and yttrium are one element.
    Family,
    /// The reduced formula.
    Composition,
}

/// 1 for the first crystals of a bucket, `bucket_size` of them, then `bucket_size / n` for the nth: what a bucket is worth in all
/// grows as the logarithm of how many crystals it has. Buckets are the memory of Blaschke et al. 2020 (J. Cheminform. 12, 68),
/// whose score falls to 0 at once.
///
/// Crystals count in the order of their rows, after those of the last `window` batches. A crystal that a filter rejected does not
/// count, and neither does one that has no bucket.
#[derive(Debug)]
pub struct Diversity {
    bucket: Bucket,
    bucket_size: usize,
    window: usize,
    recent: Mutex<RecentBatches>,
}

/// How many crystals of each bucket the last batches had, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecentBatches(VecDeque<BTreeMap<String, usize>>);

impl Diversity {
    /// With nothing to remember yet; both numbers are at least 1.
    pub fn new(bucket: Bucket, bucket_size: usize, window: usize) -> Self {
        Self { bucket, bucket_size, window, recent: Mutex::default() }
    }

    /// The name of a crystal's bucket.
    fn bucket_of(&self, structure: &Structure) -> Result<String, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Symmetry(error.to_string());
        let composition = Composition::of_structure(structure).map_err(|error| failed(&error))?;
        match self.bucket {
            Bucket::Composition => Ok(composition.reduced_formula()),
            Bucket::Family => {
                let group = symmetry(structure, SYMPREC).map_err(|error| failed(&error))?.group;
                Ok(format!("{} {}", group.number(), composition.with_rare_earths_merged().reduced_formula()))
            }
        }
    }
}

impl RecentBatches {
    /// The values of a batch, given the bucket of each crystal and how many rows it has; the batch is remembered, and those that
    /// are older than `window` are forgotten.
    fn values(&mut self, crystals: &[(Option<&str>, usize)], bucket_size: usize, window: usize) -> Vec<Option<f64>> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (bucket, rows) in self.0.iter().flatten() {
            let count = counts.entry(bucket).or_default();
            *count = count.saturating_add(*rows);
        }
        let mut batch = BTreeMap::<String, usize>::new();
        let mut value = |(bucket, rows): &(Option<&str>, usize)| {
            let bucket = (*bucket)?;
            let seen = counts.get(bucket).copied().unwrap_or_default();
            let own = batch.entry(bucket.to_owned()).or_default();
            let place = seen.saturating_add(*own).saturating_add(1);
            *own += rows;
            Some((bucket_size as f64 / place as f64).min(1.0))
        };
        let values = crystals.iter().map(&mut value).collect();
        self.0.push_back(batch);
        while self.0.len() > window {
            self.0.pop_front();
        }
        values
    }
}

impl TermKind for Diversity {
    fn cost(&self) -> Cost {
        Cost::Structure
    }

    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn memory(&self) -> Option<&Mutex<RecentBatches>> {
        Some(&self.recent)
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        let buckets: Vec<_> = batch.structures.par_iter().map(|structure| self.bucket_of(structure)).collect();
        let rows = batch.places.iter().map(|place| batch.all[*place].1);
        let crystals: Vec<_> = buckets.iter().map(|bucket| bucket.as_deref().ok()).zip(rows).collect();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let values = recent.values(&crystals, self.bucket_size, self.window);
        let outcome = |(bucket, value): (Result<String, Failure>, Option<f64>)| match (bucket, value) {
            (Err(failure), _) => Outcome::Failed(failure),
            (Ok(_), value) => value.map_or(Outcome::NotAsked, Outcome::Value),
        };
        buckets.into_iter().zip(values).map(outcome).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Lattice};

    /// Of three crystals of a family, two in one batch, the third is the first beyond a bucket of two; what leaves the window no
    /// longer counts.
    #[test]
    fn a_full_bucket_is_worth_less_until_it_empties() {
        let mut recent = RecentBatches::default();
        let mut values = |crystals: &[(Option<&str>, usize)]| recent.values(crystals, 2, 2);
        assert_eq!(
            values(&[(Some("a"), 1), (Some("b"), 1), (None, 1), (Some("a"), 1)]),
            [Some(1.0), Some(1.0), None, Some(1.0)]
        );
        // The third and fourth of a; the latter is two rows of one crystal, which has one value, and the next is the sixth.
        assert_eq!(
            values(&[(Some("a"), 1), (Some("a"), 2), (Some("a"), 1)]),
            [Some(2.0 / 3.0), Some(2.0 / 4.0), Some(2.0 / 6.0)]
        );
        assert_eq!(values(&[(Some("b"), 1)]), [Some(1.0)]);
        // Of a, the first batch is forgotten: four are left, and with this one's none, the next is the fifth.
        assert_eq!(values(&[]), []);
        assert_eq!(values(&[(Some("a"), 1), (Some("b"), 1)]), [Some(1.0), Some(1.0)]);
    }

    fn cubic(symbol: &str, a: f64) -> Structure {
        let lattice = Lattice([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
        let [metal, anion] = [symbol, "O"].map(|symbol| Element::from_symbol(symbol).unwrap());
        Structure::new(lattice, vec![metal, anion], vec![[0.0; 3], [0.5; 3]]).unwrap()
    }

    /// Caesium chloride is 221 whatever the lattice constant; yttrium and the lanthanides, and these alone, are one element.
    #[test]
    fn a_family_is_space_group_and_formula_without_the_difference_between_rare_earths() {
        let name = |bucket, symbol| Diversity::new(bucket, 1, 1).bucket_of(&cubic(symbol, 4.0)).unwrap();
        let family = |symbol| name(Bucket::Family, symbol);
        assert_eq!(family("La"), "221 LaO");
        for rare_earth in ["Y", "Ce", "Eu", "Yb", "Lu"] {
            assert_eq!(family(rare_earth), "221 LaO", "{rare_earth}");
            assert_eq!(name(Bucket::Composition, rare_earth), format!("{rare_earth}O"));
        }
        for other in ["Ba", "Hf", "Sc", "Ac", "Sr"] {
            assert_eq!(family(other), format!("221 {other}O"));
        }
        let mut mixed = cubic("La", 4.0);
        mixed.species[1] = Element::from_symbol("Y").unwrap();
        // The elements differ, so the group is still that of caesium chloride.
        assert_eq!(Diversity::new(Bucket::Family, 1, 1).bucket_of(&mixed).unwrap(), "221 La");
    }

    #[test]
    fn what_is_remembered_is_written_and_read_back() {
        let mut recent = RecentBatches::default();
        recent.values(&[(Some("221 LaO"), 2)], 1, 5);
        let text = serde_json::to_string(&recent).unwrap();
        assert_eq!(text, r#"[{"221 LaO":2}]"#);
        assert_eq!(serde_json::from_str::<RecentBatches>(&text).unwrap(), recent);
    }
}
