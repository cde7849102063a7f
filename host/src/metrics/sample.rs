//! What is known of one sample.

use crate::crystal::SpaceGroup;

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
    /// The energy above hull that decides, eV/atom.
    pub e_above_hull: Option<f64>,
    /// Energy above hull by each judge, eV/atom.
    pub by_judge: Vec<Option<f64>>,
    /// The space group that was asked for, else the one that was found.
    pub group: Option<SpaceGroup>,
    /// Average minimum distance to the nearest known structure, angstrom.
    pub nearest: Option<f64>,
    /// Whether the space group that was asked for is found again.
    pub group_kept: Option<bool>,
}

/// Energies above hull up to which a crystal is stable or metastable, eV/atom.
#[derive(Clone, Copy, Debug, PartialEq)]
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

impl Sample {
    /// Whether the structure and the composition are valid.
    pub fn is_valid(&self) -> bool {
        self.geometry == Some(true) && self.composition == Some(true)
    }

    /// Whether no earlier sample and no known structure is the same crystal.
    pub fn is_new(&self) -> bool {
        self.unique == Some(true) && self.novel == Some(true)
    }

    /// Whether it is at most `limit` above the hull, eV/atom, unique and new.
    pub fn is_sun(&self, limit: f64) -> bool {
        self.e_above_hull.is_some_and(|e| e <= limit) && self.is_new()
    }

    /// The mean energy above hull of the judges that have one, if at least `least` do.
    pub fn mean_of_judges(&self, least: usize) -> Option<f64> {
        let known = self.by_judge.iter().flatten();
        let count = known.clone().count();
        (count >= least.max(1)).then(|| known.sum::<f64>() / count as f64)
    }

    /// The highest energy above hull, if every judge has one.
    pub fn highest(&self) -> Option<f64> {
        self.by_judge.iter().copied().reduce(|one, other| Some(one?.max(other?))).flatten()
    }

    /// The lowest energy above hull of the judges that have one.
    pub fn lowest(&self) -> Option<f64> {
        self.by_judge.iter().copied().flatten().reduce(f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_count_if_they_have_an_energy() {
        let of = |by_judge: &[Option<f64>]| Sample { by_judge: by_judge.to_vec(), ..Sample::default() };
        let both = of(&[Some(0.1), Some(0.3)]);
        assert_eq!((both.mean_of_judges(2), both.highest(), both.lowest()), (Some(0.2), Some(0.3), Some(0.1)));
        let one = of(&[None, Some(0.3)]);
        assert_eq!((one.mean_of_judges(2), one.highest(), one.lowest()), (None, None, Some(0.3)));
        assert_eq!(one.mean_of_judges(1), Some(0.3));
        let none = of(&[]);
        assert_eq!((none.mean_of_judges(0), none.highest(), none.lowest()), (None, None, None));
    }
}
