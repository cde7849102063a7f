//! Crystals to test a plugin on, and changes that must not alter its values.

use super::super::evaluator::letters;
use super::super::{Crystals, Properties};
use crate::conformance::{self, Matrix, rattling};
use crate::crystal::{Element, Structure, TEXTBOOK};

/// A crystal as columns. Unlike a structure it may be senseless.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub name: String,
    /// Rows, angstrom.
    pub lattice: Matrix,
    pub numbers: Vec<u8>,
    pub fractional: Vec<[f64; 3]>,
    /// 0: not known, or not asked for.
    pub space_group: u8,
    pub letters: Vec<u8>,
    /// eV per cell.
    pub energy: f64,
}

impl Sample {
    /// A crystal of which the symmetry is not known, with some believable energy.
    pub fn new(name: String, lattice: Matrix, numbers: Vec<u8>, fractional: Vec<[f64; 3]>) -> Self {
        let energy = numbers.iter().map(|number| -3.0 - 0.01 * f64::from(*number)).sum();
        Self { name, lattice, letters: vec![0; numbers.len()], numbers, fractional, space_group: 0, energy }
    }

    fn of(name: &str, structure: &Structure, symmetry: bool) -> Self {
        let numbers = structure.species.iter().map(|element| element.number()).collect();
        let mut sample = Self::new(name.to_owned(), structure.lattice.0, numbers, structure.frac.clone());
        if symmetry {
            (sample.space_group, sample.letters) = letters(structure);
        }
        sample
    }

    /// Every atom moved by the same vector, which is no lattice vector.
    pub fn translated(&self) -> Self {
        Self { fractional: conformance::translated(&self.fractional), ..self.clone() }
    }

    /// The whole crystal turned.
    pub fn rotated(&self) -> Self {
        Self { lattice: conformance::rotated(&self.lattice), ..self.clone() }
    }

    /// Atoms in reverse.
    pub fn reversed(&self) -> Self {
        let mut sample = self.clone();
        sample.numbers.reverse();
        sample.fractional.reverse();
        sample.letters.reverse();
        sample
    }

    /// A larger or smaller crystal of the same kind.
    pub fn scaled(&self, factor: f64) -> Self {
        Self { lattice: self.lattice.map(|v| v.map(|x| factor * x)), ..self.clone() }
    }

    /// Atoms displaced by up to `amplitude` of the cell, each otherwise.
    pub fn rattled(&self, amplitude: f64) -> Self {
        let mut sample = self.clone();
        for (atom, r) in sample.fractional.iter_mut().enumerate() {
            let step = rattling(atom);
            (0..3).for_each(|k| r[k] += amplitude * step[k]);
        }
        sample
    }
}

/// The elements that a plugin knows.
pub(super) fn known_elements(properties: &Properties) -> Vec<Element> {
    let known = |number: &u8| properties.elements.as_ref().is_none_or(|elements| elements.contains(number));
    (1..=118).filter(known).filter_map(Element::from_number).collect()
}

/// The user's crystals as far as the plugin knows their elements, else those of the textbooks in elements that it knows.
pub(super) fn samples(given: &[(String, Structure)], properties: &Properties) -> Vec<Sample> {
    let known = known_elements(properties);
    let sample = |name: &str, structure: &Structure| Sample::of(name, structure, properties.symmetry);
    if given.is_empty() {
        let textbook = TEXTBOOK.iter().filter_map(|entry| {
            let structure = entry.structure(&entry.elements_of(&known)?)?;
            Some(sample(entry.name, &structure))
        });
        return textbook.collect();
    }
    let fit = given.iter().filter(|(_, structure)| structure.species.iter().all(|element| known.contains(element)));
    fit.map(|(name, structure)| sample(name, structure)).collect()
}

/// The columns of a batch, with what the plugin asks for.
pub(super) fn columns(samples: &[Sample], properties: &Properties, energies: bool) -> Crystals {
    let mut crystals = Crystals::default();
    samples.iter().for_each(|sample| crystals.push(&sample.lattice, &sample.numbers, &sample.fractional));
    if properties.symmetry {
        let groups = samples.iter().map(|sample| sample.space_group).collect();
        crystals.set_symmetry(groups, samples.iter().flat_map(|sample| sample.letters.iter().copied()).collect());
    }
    if energies {
        crystals.set_energies(samples.iter().map(|sample| sample.energy).collect());
    }
    crystals
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Lattice, smallest_distance};

    fn structure(sample: &Sample) -> Structure {
        let species = sample.numbers.iter().map(|z| Element::from_number(*z).unwrap()).collect();
        Structure::new(Lattice(sample.lattice), species, sample.fractional.clone()).unwrap()
    }

    #[test]
    fn changes_keep_bonds_and_volumes() {
        for sample in samples(&[], &Properties::new("1")) {
            let bond = smallest_distance(&structure(&sample));
            for changed in [sample.translated(), sample.rotated(), sample.reversed()] {
                assert_ne!((changed.lattice, &changed.fractional), (sample.lattice, &vec![]));
                assert!((smallest_distance(&structure(&changed)) - bond).abs() < 1e-9, "{changed:?}");
                let volumes = [&changed, &sample].map(|s| Lattice(s.lattice).signed_volume());
                assert!((volumes[0] - volumes[1]).abs() < 1e-9, "{volumes:?}");
            }
            assert_ne!(sample.rotated().lattice, sample.lattice);
            assert!((smallest_distance(&structure(&sample.scaled(2.0))) - 2.0 * bond).abs() < 1e-9);
        }
    }

    #[test]
    fn crystals_are_in_elements_that_the_plugin_knows() {
        let known = [8, 11, 26];
        let samples = samples(&[], &Properties::new("1").elements(known));
        assert_eq!(samples.len(), TEXTBOOK.len());
        assert!(samples.iter().flat_map(|sample| &sample.numbers).all(|number| known.contains(number)));
    }

    #[test]
    fn symmetry_is_there_where_it_is_asked_for() {
        let samples = samples(&[], &Properties::new("1").asks_symmetry());
        let salt = samples.iter().find(|sample| sample.name.contains("NaCl")).unwrap();
        // Rock salt: Fm-3m, sites a and b.
        assert_eq!(salt.space_group, 225);
        assert!(salt.letters.iter().all(|letter| b"ab".contains(letter)));
    }
}
