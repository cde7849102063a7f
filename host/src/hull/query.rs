//! The hull and its queries.

use std::path::Path;

use super::entry::check_energy;
use super::index::{PhaseIndex, System, mask_of};
use super::{Entry, Formulas, HullError};
use crate::crystal::{Composition, Element, Structure};

/// What is known about a hull besides its phases.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HullHeader {
    /// Method and corrections behind the energies, such as `MP2020` or `PBE`; `None` when nobody has said.
    pub energy_reference: Option<String>,
    /// Where the entries come from.
    pub source: String,
    /// Crystals with the energy that the hull's potential gives them, so that a caller can tell whether it is the same potential.
    pub reference_crystals: Vec<ReferenceCrystal>,
}

impl HullHeader {
    /// Takes over what a hull that becomes part of this one says of its potential.
    pub(super) fn take_over(&mut self, other: &Self, path: &Path) -> Result<(), HullError> {
        match (&self.energy_reference, &other.energy_reference) {
            (Some(expected), Some(found)) if found != expected => {
                let [expected, found] = [expected, found].map(String::clone);
                return Err(HullError::EnergyReference { path: path.into(), found, expected });
            }
            (None, found) => self.energy_reference = found.clone(),
            _ => {}
        }
        let new = other.reference_crystals.iter().filter(|crystal| !self.reference_crystals.contains(crystal));
        let new: Vec<_> = new.cloned().collect();
        self.reference_crystals.extend(new);
        Ok(())
    }
}

/// A crystal whose energy is known.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceCrystal {
    /// The crystal.
    pub structure: Structure,
    /// Its energy, eV/atom.
    pub energy_per_atom: f64,
}

/// The lower convex hull of a set of entries over composition. Only stable phases are held.
#[derive(Clone, Debug)]
pub struct Hull {
    index: PhaseIndex,
    header: HullHeader,
    built_from: usize,
    formulas: Option<Formulas>,
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct HullDistance {
    /// Energy minus that of the cheapest mixture of stored phases, eV/atom. Negative for what is more stable than they are.
    pub e_above_hull: f64,
    /// That mixture: reduced formula and fraction of the atoms, ordered by formula. Amounts up to 1e-8 are left out.
    pub decomposition: Vec<(String, f64)>,
}

/// Numbers for a user who asks what a hull holds.
#[derive(Clone, Debug, PartialEq)]
pub struct HullInfo {
    /// Entries that it was built from.
    pub built_from: usize,
    /// Phases stored.
    pub phases: usize,
    /// Chemical systems with a phase of their own.
    pub systems: usize,
    /// Elements with a reference, ascending in atomic number.
    pub elements: Vec<Element>,
}

impl Hull {
    pub(super) fn from_index(
        index: PhaseIndex,
        header: HullHeader,
        built_from: usize,
        formulas: Option<Formulas>,
    ) -> Self {
        Self { index, header, built_from, formulas }
    }

    /// The formulas of all entries that it was built from; `None` where they are not known: in files of version 1.
    pub fn formulas(&self) -> Option<&Formulas> {
        self.formulas.as_ref()
    }

    /// The same hull, which also knows the formulas of its phases and these.
    #[must_use]
    pub fn with_formulas(mut self, formulas: Formulas) -> Self {
        let mut all = self.formulas.take().unwrap_or_default();
        self.entries().iter().for_each(|entry| all.add(entry.composition()));
        all.extend([formulas]);
        Self { formulas: Some(all), ..self }
    }

    /// Energy reference, source and check crystals.
    pub fn header(&self) -> &HullHeader {
        &self.header
    }

    /// What it holds, in numbers.
    pub fn info(&self) -> HullInfo {
        HullInfo {
            built_from: self.built_from,
            phases: self.index.systems().map(|(_, phases)| phases.len()).sum(),
            systems: self.index.systems().count(),
            elements: (1..=118)
                .filter_map(Element::from_number)
                .filter(|e| self.index.reference(*e).is_some())
                .collect(),
        }
    }

    /// The stored phases: by chemical system, in the order of the file.
    pub fn entries(&self) -> Vec<&Entry> {
        let mut systems: Vec<_> = self.index.systems().collect();
        systems.sort_unstable_by_key(|(mask, _)| (mask.count_ones(), **mask));
        systems.into_iter().flat_map(|(_, phases)| phases).map(|phase| &phase.entry).collect()
    }

    /// Energy above hull of a compound with an energy in eV/atom: that energy minus the smallest energy of a mixture of
    /// stored phases with the same composition. Something that is stored itself therefore has zero or more.
    ///
    /// # Errors
    /// [`HullError::MissingReference`] for elements that the hull does not know, [`HullError::Energy`] for an energy that is
    /// no number, [`HullError::NoSolution`] where floating point fails.
    pub fn query(&self, composition: &Composition, energy_per_atom: f64) -> Result<HullDistance, HullError> {
        check_energy(energy_per_atom)?;
        let system = mask_of(composition);
        let formation =
            self.index.formation(composition, energy_per_atom).ok_or_else(|| HullError::MissingReference {
                elements: self.index.without_reference(composition),
                formula: composition.reduced_formula(),
            })?;
        let program = System::new(system, self.index.inside(system));
        let mixture = program
            .solve(composition)
            .ok_or_else(|| HullError::NoSolution { formula: composition.reduced_formula() })?;
        let parts = mixture.parts.iter();
        let mut decomposition: Vec<_> =
            parts.map(|(part, amount)| (program.formula(*part, composition), *amount)).collect();
        decomposition.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(HullDistance { e_above_hull: formation - mixture.cost, decomposition })
    }
}

impl HullDistance {
    /// The decomposition as `Co2SnO4:0.70000000;SnO2:0.30000000`, the parts sorted as texts.
    pub fn decomposition_text(&self) -> String {
        let parts = self.decomposition.iter();
        let mut parts: Vec<_> = parts.map(|(formula, amount)| format!("{formula}:{amount:.8}")).collect();
        parts.sort_unstable();
        parts.join(";")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn entry(formula: &str, energy_per_atom: f64) -> Entry {
        Entry::new(formula.parse().unwrap(), energy_per_atom, formula).unwrap()
    }

    pub fn hull_of(entries: Vec<Entry>) -> Hull {
        Hull::build(entries, HullHeader::default(), &|_, _| ()).unwrap().0
    }

    fn above(hull: &Hull, formula: &str, energy: f64) -> HullDistance {
        hull.query(&formula.parse().unwrap(), energy).unwrap()
    }

    /// Li-O with elements off zero: Li2O at -1 and Li2O2 at -0.9 eV/atom of formation.
    fn lithium_oxides() -> Vec<Entry> {
        let at = |formula: &str, formation: f64| {
            let composition: Composition = formula.parse().unwrap();
            let elements: f64 =
                composition.fractions().map(|(e, x)| if e.number() == 3 { -1.9 * x } else { -4.9 * x }).sum();
            entry(formula, elements + formation)
        };
        vec![
            at("Li3", 0.0),
            at("O2", 0.0),
            at("O8", 0.1),
            at("Li2O", -1.0),
            at("Li2O2", -0.9),
            at("Li4O4", -0.8),
            at("LiO2", -0.3),
        ]
    }

    #[test]
    fn a_binary_hull_by_hand() {
        let (hull, report) = Hull::build(lithium_oxides(), HullHeader::default(), &|_, _| ()).unwrap();
        // O8 and Li4O4 repeat a composition; LiO2 is 0.3 above the line from Li2O2 (-0.9) to O2, which passes -0.6.
        assert_eq!((report.duplicates, report.unstable, report.kept), (2, 1, 4));
        let elements = (-1.9 - 2.0 * 4.9) / 3.0;
        let answer = above(&hull, "LiO2", elements - 0.3);
        assert!((answer.e_above_hull - 0.3).abs() < 1e-12);
        assert_eq!(answer.decomposition_text(), "Li2O2:0.66666667;O2:0.33333333");
        // More stable than everything: negative, and kept.
        assert!((above(&hull, "LiO2", elements - 1.0).e_above_hull + 0.4).abs() < 1e-12);
        // An element is measured against itself.
        assert!((above(&hull, "O5", -4.8).e_above_hull - 0.1).abs() < 1e-12);
        assert_eq!(above(&hull, "Li", -1.9).decomposition, [("Li".to_string(), 1.0)]);
    }

    #[test]
    fn an_element_without_reference_is_named() {
        let mut entries = lithium_oxides();
        entries.push(entry("NaCl", -3.0));
        entries.push(entry("Na2O", -3.0));
        let (hull, report) = Hull::build(entries, HullHeader::default(), &|_, _| ()).unwrap();
        assert_eq!(report.unreachable, 2);
        assert_eq!(report.without_reference.iter().map(|e| e.symbol()).collect::<Vec<_>>(), ["Na", "Cl"]);
        let error = hull.query(&"LiNaO2".parse().unwrap(), -3.0).unwrap_err();
        assert_eq!(error.to_string(), "the hull has no reference energy for Na, which NaLiO2 contains");
        assert!(matches!(hull.query(&"LiO".parse().unwrap(), f64::NAN), Err(HullError::Energy(_))));
    }

    #[test]
    fn ties_at_zero_and_empty_systems() {
        let hull = hull_of(vec![entry("Fe", 0.0), entry("Ni", 0.0), entry("FeNi", 0.0), entry("Fe3Ni", 1e-3)]);
        assert!(above(&hull, "FeNi", 0.0).e_above_hull.abs() < 1e-12);
        assert!((above(&hull, "Fe3Ni", 1e-3).e_above_hull - 1e-3).abs() < 1e-12);
        assert!(hull_of(vec![]).query(&"Fe".parse().unwrap(), 0.0).is_err());
    }

    #[test]
    fn a_subset_of_the_elements_is_answered_as_by_its_own_hull() {
        let others = [entry("Fe", -8.0), entry("Fe2O3", -7.0), entry("LiFeO2", -6.5), entry("LiFe", -5.5)];
        let (alone, all) = (hull_of(lithium_oxides()), hull_of([lithium_oxides(), others.to_vec()].concat()));
        for formula in ["Li", "O2", "Li2O", "LiO2", "Li7O3", "LiO9"] {
            let (a, b) = (above(&alone, formula, -4.0), above(&all, formula, -4.0));
            assert!((a.e_above_hull - b.e_above_hull).abs() < 1e-12, "{formula}");
            assert_eq!(a.decomposition_text(), b.decomposition_text());
        }
        // Elements alone are a hull too, and a formula that repeats an element is that element.
        let elements = hull_of(vec![entry("Fe", -8.0), entry("Fe4", -8.0), entry("Fe58", -7.9)]);
        assert_eq!(elements.info().phases, 1);
        assert_eq!(above(&elements, "Fe3", -7.5).e_above_hull, 0.5);
    }

    #[test]
    fn equal_entries_count_once_and_the_first_stays() {
        let twice = |id: &str| Entry::new("FeO".parse().unwrap(), -2.0, id).unwrap();
        let entries = vec![entry("Fe", 0.0), entry("O2", 0.0), twice("first"), twice("second"), entry("Fe2O2", -2.0)];
        let (hull, report) = Hull::build(entries, HullHeader::default(), &|_, _| ()).unwrap();
        assert_eq!((report.given, report.duplicates, report.kept), (5, 2, 3));
        assert!(hull.entries().iter().any(|entry| entry.id() == "first"));
        assert_eq!(above(&hull, "FeO", -2.0).e_above_hull, 0.0);
    }

    #[test]
    fn every_element_at_once() {
        let all: String = (1..=118).filter_map(Element::from_number).map(|e| e.symbol()).collect();
        let elements = (1..=118).filter_map(Element::from_number).map(|e| entry(e.symbol(), -f64::from(e.number())));
        let hull = hull_of(elements.chain([entry("HHe", -3.0)]).collect());
        let answer = above(&hull, &all, 0.0);
        // Mean atomic number 59.5, and HHe lowers its two atoms by 1.5 eV each.
        assert!((answer.e_above_hull - 59.5 - 3.0 / 118.0).abs() < 1e-9);
        assert_eq!(answer.decomposition.len(), 117);
    }

    /// Lowest energy over all mixtures of at most as many phases as elements, each solved by Cramer's rule.
    fn by_simplices(entries: &[Entry], elements: &[Element], target: &[f64]) -> f64 {
        let column = |e: &Entry| -> Vec<f64> {
            let of = |z: &Element| e.composition().fractions().find(|(f, _)| f == z).map_or(0.0, |(_, x)| x);
            elements.iter().map(of).collect()
        };
        let columns: Vec<_> = entries.iter().map(column).collect();
        let mut lowest = f64::INFINITY;
        let mut consider = |chosen: &[usize]| {
            let n = elements.len();
            let matrix = nalgebra::DMatrix::from_fn(n, n, |i, j| columns[chosen[j]][i]);
            let Some(x) = matrix.lu().solve(&nalgebra::DVector::from_column_slice(target)) else { return };
            if x.iter().all(|x| *x > -1e-12 && *x < 1.0 + 1e-9) {
                let energy = chosen.iter().zip(x.iter()).map(|(j, x)| x * entries[*j].energy_per_atom()).sum();
                lowest = lowest.min(energy);
            }
        };
        let n = entries.len();
        for a in 0..n {
            for b in a + 1..n {
                match elements.len() {
                    2 => consider(&[a, b]),
                    _ => (b + 1..n).for_each(|c| consider(&[a, b, c])),
                }
            }
        }
        lowest
    }

    const SYMBOLS: [&str; 5] = ["Li", "O", "Fe", "P", "Na"];

    fn composition(amounts: &[u32]) -> Option<Composition> {
        let element = |s: &str| Element::from_symbol(s).unwrap();
        Composition::new(amounts.iter().zip(SYMBOLS).map(|(n, s)| (element(s), f64::from(*n)))).ok()
    }

    prop_compose! {
        /// Entries of a system of `n` elements, its elements among them, with coarse energies so that ties are common.
        fn entries_of(n: std::ops::RangeInclusive<usize>)(n in n)(
            rows in prop::collection::vec((prop::collection::vec(0u32..4, n), -12i32..4), 0..14),
            elements in prop::collection::vec(-3i32..3, n),
        ) -> Vec<Entry> {
            let references = elements.iter().enumerate().map(|(i, e)| entry(SYMBOLS[i], f64::from(*e) / 4.0));
            let compounds = rows.iter().filter_map(|(a, e)| Some(Entry::new(composition(a)?, f64::from(*e) / 8.0, "").unwrap()));
            references.chain(compounds).collect()
        }
    }

    proptest! {
        #[test]
        fn hulls_of_two_and_three_elements_by_brute_force(entries in entries_of(2..=3), target in prop::collection::vec(1u32..5, 3)) {
            let n = entries.iter().map(|e| mask_of(e.composition())).fold(0, |a, b| a | b).count_ones() as usize;
            let target = composition(&target[..n]).unwrap();
            let elements: Vec<_> = target.elements().collect();
            let fractions: Vec<_> = target.fractions().map(|(_, x)| x).collect();
            let expected = -by_simplices(&entries, &elements, &fractions);
            let answer = hull_of(entries).query(&target, 0.0).unwrap();
            prop_assert!((answer.e_above_hull - expected).abs() < 1e-9, "{} {}", answer.e_above_hull, expected);
        }

        #[test]
        fn pruning_and_more_entries_keep_their_promises(entries in entries_of(2..=5), extra in entries_of(5..=5), target in prop::collection::vec(0u32..4, 5)) {
            let hull = hull_of(entries.clone());
            // Every entry lies on or above the hull, and a stored one on it.
            for entry in &entries {
                prop_assert!(hull.query(entry.composition(), entry.energy_per_atom()).unwrap().e_above_hull > -1e-9);
            }
            for entry in hull.entries() {
                prop_assert!(hull.query(entry.composition(), entry.energy_per_atom()).unwrap().e_above_hull.abs() < 1e-8);
            }
            // More entries never raise it; what was stored may be built from again.
            let again = hull_of(hull.entries().into_iter().cloned().collect());
            let more = hull_of(entries.into_iter().chain(extra).collect());
            if let Some(target) = composition(&target) && let Ok(answer) = hull.query(&target, 0.0) {
                prop_assert!(more.query(&target, 0.0).unwrap().e_above_hull >= answer.e_above_hull - 1e-9);
                prop_assert!((again.query(&target, 0.0).unwrap().e_above_hull - answer.e_above_hull).abs() < 1e-9);
                let total: f64 = answer.decomposition.iter().map(|(_, amount)| amount).sum();
                prop_assert!((total - 1.0).abs() < 1e-7);
            }
        }
    }
}
