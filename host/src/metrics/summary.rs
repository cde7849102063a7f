//! The figures of a set of samples.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Proportion;

/// Energies above hull up to which a crystal is stable or metastable, eV/atom.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stability {
    /// S.U.N. counts crystals up to this.
    pub stable: f64,
    /// M.S.U.N. counts crystals up to this, the stable ones included.
    pub metastable: f64,
}

impl Default for Stability {
    fn default() -> Self {
        Self { stable: 0.0, metastable: 0.1 }
    }
}

/// What is known of a sample; `None` where it could not be found out, which counts as a no.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Distances and volume.
    pub geometry: Option<bool>,
    /// Charge neutrality and electronegativities.
    pub composition: Option<bool>,
    /// No earlier sample is the same crystal.
    pub unique: Option<bool>,
    /// No known structure is the same crystal.
    pub novel: Option<bool>,
    /// eV/atom.
    pub e_above_hull: Option<f64>,
}

impl Sample {
    /// Whether it is at most `limit` above the hull, unique and new.
    pub fn is_sun(&self, limit: f64) -> bool {
        self.is_within(limit) && self.unique == Some(true) && self.novel == Some(true)
    }

    /// Whether it is at most `limit` above the hull, eV/atom.
    pub fn is_within(&self, limit: f64) -> bool {
        self.e_above_hull.is_some_and(|e| e <= limit)
    }
}

/// The figures. Their denominators are all samples that were asked for, whatever became of them.
#[derive(Clone, Debug, Serialize)]
pub struct Summary(pub BTreeMap<&'static str, Proportion>);

impl Summary {
    /// Of samples among `requested`, at least as many as there are. Only what was looked for is in it: no stability without a hull,
    /// no novelty without known structures.
    pub fn new(samples: &[Sample], requested: usize, limits: Option<Stability>, known: bool) -> Self {
        let share = |property: &dyn Fn(&Sample) -> bool| {
            let count = samples.iter().filter(|sample| property(sample)).count();
            Proportion::new(count, requested.max(samples.len()))
        };
        let mut figures = BTreeMap::from([
            ("valid_structure", share(&|s| s.geometry == Some(true))),
            ("valid_composition", share(&|s| s.composition == Some(true))),
            ("valid", share(&|s| s.geometry == Some(true) && s.composition == Some(true))),
            ("unique", share(&|s| s.unique == Some(true))),
        ]);
        if known {
            figures.insert("novel", share(&|s| s.novel == Some(true)));
            figures.insert("unique_and_novel", share(&|s| s.unique == Some(true) && s.novel == Some(true)));
        }
        if let Some(Stability { stable, metastable }) = limits {
            figures.insert("stable", share(&|s| s.is_within(stable)));
            figures.insert("metastable", share(&|s| s.is_within(metastable)));
            if known {
                figures.insert("sun", share(&|s| s.is_sun(stable)));
                figures.insert("msun", share(&|s| s.is_sun(metastable)));
            }
        }
        Self(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_counts_as_a_no_and_every_request_counts() {
        let good = Sample {
            geometry: Some(true),
            composition: Some(true),
            unique: Some(true),
            novel: Some(true),
            e_above_hull: Some(0.0),
        };
        let metastable = Sample { e_above_hull: Some(0.1), composition: None, ..good.clone() };
        let known = Sample { novel: Some(false), e_above_hull: Some(-0.2), ..good.clone() };
        let nothing = Sample::default();
        let samples = [good, metastable, known, nothing];
        let counts = |limits, novelty| {
            let Summary(figures) = Summary::new(&samples, 10, limits, novelty);
            assert!(figures.values().all(|figure| figure.of == 10));
            figures.into_iter().map(|(name, figure)| (name, figure.count)).collect::<BTreeMap<_, _>>()
        };
        let all = counts(Some(Stability::default()), true);
        let expected = [
            ("metastable", 3),
            ("msun", 2),
            ("novel", 2),
            ("stable", 2),
            ("sun", 1),
            ("unique", 3),
            ("unique_and_novel", 2),
            ("valid", 2),
            ("valid_composition", 2),
            ("valid_structure", 3),
        ];
        assert_eq!(all, BTreeMap::from(expected));
        assert_eq!(counts(None, false).len(), 4);
    }
}
