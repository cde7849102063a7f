//! What crystals are like as a whole: their elements, numbers of elements, space groups and densities.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::crystal::{Element, SpaceGroup, Structure};

/// Grams per cubic centimetre of one atomic mass unit per cubic angstrom.
const DENSITY: f64 = 1.660_539_066_60;

/// Counts over crystals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    crystals: usize,
    /// Crystals that contain each element.
    elements: BTreeMap<u8, usize>,
    /// Crystals of each number of elements.
    n_elements: BTreeMap<u8, usize>,
    /// Crystals of each space group.
    space_groups: BTreeMap<u8, usize>,
    /// g/cm^3.
    densities: Vec<f64>,
}

/// Distances between the distributions of samples and of known crystals. Jensen-Shannon divergences are to base 2: 0 for equal
/// distributions, 1 for such that have nothing in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distances {
    /// Jensen-Shannon divergence of the elements; each counts once for a crystal.
    pub elements_jsd: f64,
    /// Jensen-Shannon divergence of the numbers of different elements.
    pub n_elements_jsd: f64,
    /// Wasserstein distance of the numbers of different elements.
    pub n_elements_wasserstein: f64,
    /// Jensen-Shannon divergence of the space groups that are found.
    pub space_groups_jsd: f64,
    /// Wasserstein distance of the densities, g/cm^3.
    pub density_wasserstein: f64,
}

impl Tally {
    /// Counts a crystal, and its space group if it has one.
    pub fn add(&mut self, structure: &Structure, group: Option<SpaceGroup>) {
        self.crystals += 1;
        let mut elements: Vec<Element> = structure.species.clone();
        elements.sort_unstable();
        elements.dedup();
        for element in &elements {
            *self.elements.entry(element.number()).or_default() += 1;
        }
        *self.n_elements.entry(elements.len() as u8).or_default() += 1;
        if let Some(group) = group {
            *self.space_groups.entry(group.number()).or_default() += 1;
        }
        let mass: f64 = structure.species.iter().map(|element| element.mass()).sum();
        self.densities.push(DENSITY * mass / structure.lattice.volume());
    }

    /// Crystals counted.
    pub fn len(&self) -> usize {
        self.crystals
    }

    /// Whether none is counted.
    pub fn is_empty(&self) -> bool {
        self.crystals == 0
    }

    /// How often each space group was found.
    pub fn space_groups(&self) -> BTreeMap<u8, f64> {
        self.space_groups.iter().map(|(group, count)| (*group, *count as f64)).collect()
    }

    /// How far two sets of crystals are apart; `None` if one of them lacks what is compared.
    pub fn distances(&self, other: &Self) -> Option<Distances> {
        let numbers =
            |tally: &Self| tally.n_elements.iter().map(|(n, count)| (f64::from(*n), *count as f64)).collect::<Vec<_>>();
        let densities = |tally: &Self| tally.densities.iter().map(|density| (*density, 1.0)).collect::<Vec<_>>();
        Some(Distances {
            elements_jsd: jensen_shannon(&self.elements, &other.elements)?,
            n_elements_jsd: jensen_shannon(&self.n_elements, &other.n_elements)?,
            n_elements_wasserstein: wasserstein(numbers(self), numbers(other))?,
            space_groups_jsd: jensen_shannon(&self.space_groups, &other.space_groups)?,
            density_wasserstein: wasserstein(densities(self), densities(other))?,
        })
    }
}

/// Jensen-Shannon divergence to base 2 (Lin, IEEE Trans. Inf. Theory 37, 145 (1991)); `None` of nothing.
fn jensen_shannon(one: &BTreeMap<u8, usize>, other: &BTreeMap<u8, usize>) -> Option<f64> {
    let total = |counts: &BTreeMap<u8, usize>| Some(counts.values().sum::<usize>()).filter(|sum| *sum > 0);
    let (n, m) = (total(one)? as f64, total(other)? as f64);
    let of = |counts: &BTreeMap<u8, usize>, total: f64, key: &u8| counts.get(key).map_or(0.0, |c| *c as f64 / total);
    let part = |share: f64, mean: f64| if share > 0.0 { 0.5 * share * (share / mean).log2() } else { 0.0 };
    let divergence = |key: &u8| {
        let (p, q) = (of(one, n, key), of(other, m, key));
        part(p, 0.5 * (p + q)) + part(q, 0.5 * (p + q))
    };
    let only_other = other.keys().filter(|key| !one.contains_key(key));
    Some(one.keys().chain(only_other).map(divergence).sum())
}

/// First Wasserstein distance of two sets of values with weights: the area between their cumulative distributions; `None` of nothing.
fn wasserstein(one: Vec<(f64, f64)>, other: Vec<(f64, f64)>) -> Option<f64> {
    let total = |values: &[(f64, f64)]| Some(values.iter().map(|(_, w)| w).sum::<f64>()).filter(|sum| *sum > 0.0);
    let (n, m) = (total(&one)?, total(&other)?);
    let ours = one.into_iter().map(|(x, weight)| (x, weight / n));
    let mut steps: Vec<(f64, f64)> = ours.chain(other.into_iter().map(|(x, weight)| (x, -weight / m))).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut area, mut ahead) = (0.0, 0.0_f64);
    for pair in steps.windows(2) {
        ahead += pair[0].1;
        area += ahead.abs() * (pair[1].0 - pair[0].0);
    }
    Some(area)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::Lattice;

    /// From SciPy 1.17: `jensenshannon([1, 2, 0, 5], [3, 1, 4, 0], base=2) ** 2`.
    #[test]
    fn divergences_are_scipys() {
        let counts =
            |counts: [usize; 4]| (1..).zip(counts).filter(|(_, count)| *count > 0).collect::<BTreeMap<u8, usize>>();
        let (p, q) = (counts([1, 2, 0, 5]), counts([3, 1, 4, 0]));
        assert!((jensen_shannon(&p, &q).unwrap() - 0.6250000000000001).abs() < 1e-12);
        assert_eq!(jensen_shannon(&p, &q), jensen_shannon(&q, &p));
        assert!(jensen_shannon(&p, &p).unwrap().abs() < 1e-15);
        assert_eq!(jensen_shannon(&counts([1, 0, 0, 0]), &counts([0, 3, 0, 0])), Some(1.0));
        assert_eq!(jensen_shannon(&p, &BTreeMap::new()), None);
    }

    /// From SciPy 1.17: `wasserstein_distance([0.5, 1.5, 4, 4], [1, 2.25], [1, 1, 2, 0.5], [3, 1])`.
    #[test]
    fn distances_are_scipys() {
        let one = vec![(0.5, 1.0), (1.5, 1.0), (4.0, 2.0), (4.0, 0.5)];
        let other = vec![(1.0, 3.0), (2.25, 1.0)];
        assert!((wasserstein(one.clone(), other).unwrap() - 1.576388888888889).abs() < 1e-12);
        assert_eq!(wasserstein(one, Vec::new()), None);
    }

    #[test]
    fn crystals_are_counted_by_what_they_have() {
        let cell = Lattice([[4.12, 0.0, 0.0], [0.0, 4.12, 0.0], [0.0, 0.0, 4.12]]);
        let [caesium, chlorine] = ["Cs", "Cl"].map(|symbol| Element::from_symbol(symbol).unwrap());
        let salt = Structure::new(cell, vec![caesium, chlorine], vec![[0.0; 3], [0.5; 3]]).unwrap();
        let metal = Structure::new(cell, vec![caesium; 2], vec![[0.0; 3], [0.5; 3]]).unwrap();
        let (mut one, mut other) = (Tally::default(), Tally::default());
        one.add(&salt, SpaceGroup::new(221).ok());
        assert!(one.distances(&other).is_none());
        other.add(&metal, SpaceGroup::new(229).ok());
        let distances = one.distances(&other).unwrap();
        // The density of CsCl, 4.0 g/cm^3, by hand: (132.905 + 35.45) * 1.66054 / 4.12^3, and 6.3 of the metal.
        assert!((distances.density_wasserstein - 1.660_539 * (132.905_452 - 35.45) / 69.934_528).abs() < 1e-6);
        assert_eq!((distances.space_groups_jsd, distances.n_elements_wasserstein), (1.0, 1.0));
        // Halves of Cs and Cl against Cs alone.
        let expected = 0.25 * (0.5_f64 / 0.75).log2() + 0.25 * 2.0_f64.log2() + 0.5 * (1.0_f64 / 0.75).log2();
        assert!((distances.elements_jsd - expected).abs() < 1e-12);
        assert_eq!((one.len(), one.space_groups()), (1, BTreeMap::from([(221, 1.0)])));
    }
}
