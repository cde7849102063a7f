//! Energy above hull of crystals: a potential's energy against a hull on the same energy scale.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Failure, ModelError, OnnxModel, Sanity};
use crate::crystal::{Composition, Structure};
use crate::hull::{Above, Hull};

/// The documented worst energy above hull, eV/atom, and the largest that a reward sees: the reference implementation of
/// CrystalFormer's reinforcement fine-tuning clips there too.
pub const WORST_E_HULL: f64 = 10.0;

/// Largest difference between a stored energy and the potential's, eV/atom. Float32 on another device stays below 1e-4.
const CHECK_TOLERANCE: f64 = 1e-3;

/// A potential and the hull against which its energies are measured.
#[derive(Clone, Debug)]
pub struct HullTerm {
    model: Arc<OnnxModel>,
    hull: Arc<Hull>,
}

/// A crystal's energy and its distance from the hull.
#[derive(Clone, Debug, PartialEq)]
pub struct Stability {
    /// The potential's energy, eV/atom.
    pub energy_per_atom: f64,
    /// Energy above hull and the mixture that the crystal would decompose into.
    pub above: Above,
}

/// Why a potential and a hull make no term.
#[derive(Debug, thiserror::Error)]
pub enum HullTermError {
    /// The model gives no energy.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nobody has said on which scale the potential's energies are.
    #[error(
        "{model}: `temper.energy_reference` is missing, and the hull's energies are on the scale \"{hull}\"; if the potential \
         was trained on such energies, add `energy_reference = \"{hull}\"` to {sidecar}"
    )]
    NoReference {
        /// The model's file.
        model: String,
        /// The hull's energy reference.
        hull: String,
        /// The model's sidecar.
        sidecar: String,
    },
    /// Energies on different scales.
    #[error(
        "{model}: its energies are on the scale \"{potential}\", those of the hull ({source_text}) on \"{hull}\"; take a hull \
         on \"{potential}\", for instance one built with this potential by `temper hull build`"
    )]
    Reference {
        /// The model's file.
        model: String,
        /// The potential's energy reference.
        potential: String,
        /// The hull's energy reference.
        hull: String,
        /// Where the hull's entries come from.
        source_text: String,
    },
    /// The hull was built with another potential, or this one does not run as it should.
    #[error(
        "{model}: a crystal stored with the hull has {stored:.4} eV/atom there and {found} here; the hull was built with \
         another potential: build one with this potential by `temper hull build`"
    )]
    Check {
        /// The model's file.
        model: String,
        /// Energy in the hull's file, eV/atom.
        stored: f64,
        /// The energy now, or why there is none.
        found: String,
    },
}

impl HullTerm {
    /// Puts a potential and a hull together, and asks the potential for the energies stored with the hull.
    ///
    /// # Errors
    /// Any [`HullTermError`]. A hull that does not say on which scale its energies are is taken as it is: see
    /// [`HullTerm::warning`].
    pub fn new(model: Arc<OnnxModel>, hull: Arc<Hull>) -> Result<Self, HullTermError> {
        model.quantity(Some("energy"))?;
        let contract = model.contract();
        let path = || contract.path.display().to_string();
        match (&contract.energy_reference, &hull.header().energy_reference) {
            (None, Some(hull)) => {
                let sidecar = contract.path.with_extension("toml").display().to_string();
                return Err(HullTermError::NoReference { model: path(), hull: hull.clone(), sidecar });
            }
            (Some(potential), Some(reference)) if potential != reference => {
                let (potential, hull_reference) = (potential.clone(), reference.clone());
                let source_text = hull.header().source.clone();
                return Err(HullTermError::Reference { model: path(), potential, hull: hull_reference, source_text });
            }
            _ => {}
        }
        let term = Self { model, hull };
        term.check()?;
        Ok(term)
    }

    fn check(&self) -> Result<(), HullTermError> {
        let checks = &self.hull.header().checks;
        let structures: Vec<&Structure> = checks.iter().map(|check| &check.structure).collect();
        for (check, energy) in checks.iter().zip(self.energies(&structures)) {
            let stored = check.energy_per_atom;
            let found = match energy {
                Ok(energy) if (energy - stored).abs() <= CHECK_TOLERANCE => continue,
                Ok(energy) => format!("{energy:.4}"),
                Err(failure) => format!("none ({failure})"),
            };
            return Err(HullTermError::Check {
                model: self.model.contract().path.display().to_string(),
                stored,
                found,
            });
        }
        Ok(())
    }

    /// The potential.
    pub(super) fn model(&self) -> &OnnxModel {
        &self.model
    }

    /// What a user should know: that the hull does not say on which scale its energies are.
    pub fn warning(&self) -> Option<String> {
        let header = self.hull.header();
        header.energy_reference.is_none().then(|| {
            let source = &header.source;
            format!("the hull ({source}) does not say which energy reference it has; the potential's is assumed")
        })
    }

    /// Energies, eV/atom.
    fn energies(&self, structures: &[&Structure]) -> Vec<Result<f64, Failure>> {
        let totals = self.model.evaluate(structures, &["energy"]);
        let per_atom = totals.into_iter().zip(structures).map(|(total, s)| total.map(|e| e[0] / s.len() as f64));
        per_atom.collect()
    }

    /// Energy and distance from the hull of every structure, as they are: neither clipped nor checked for sanity.
    pub fn stabilities(&self, structures: &[&Structure]) -> Vec<Result<Stability, Failure>> {
        let energies = self.energies(structures);
        let rows = energies.into_par_iter().zip(structures.par_iter());
        rows.map(|(energy, structure)| self.stability(structure, energy?)).collect()
    }

    fn stability(&self, structure: &Structure, energy_per_atom: f64) -> Result<Stability, Failure> {
        let composition = Composition::of_structure(structure).map_err(|e| Failure::Hull(e.to_string()))?;
        let above = self.hull.query(&composition, energy_per_atom).map_err(|e| Failure::Hull(e.to_string()))?;
        Ok(Stability { energy_per_atom, above })
    }

    /// The reward term: energy above hull, eV/atom, believed within `sanity`'s bound and clipped to at most
    /// [`WORST_E_HULL`].
    pub fn values(&self, structures: &[&Structure], sanity: &Sanity) -> Vec<Result<f64, Failure>> {
        let believe = |row: Result<Stability, Failure>| Ok(sanity.believe(row?.above.e_above_hull)?.min(WORST_E_HULL));
        self.stabilities(structures).into_iter().map(believe).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hull::{Check, Entry, HullHeader};
    use crate::reward::testing::{json_lines, runtime, shared, structure};
    use crate::reward::{ModelOptions, OnnxModel};

    fn model() -> Option<Arc<OnnxModel>> {
        let path = shared()?.join("models/chgnet-0.3.0-fast.onnx");
        let options = ModelOptions { threads: 1, ..ModelOptions::default() };
        Some(Arc::new(OnnxModel::open(&runtime(), &path, options).unwrap()))
    }

    /// A hull of every element of `structures` at 0 eV/atom.
    fn flat_hull(structures: &[Structure], header: HullHeader) -> Arc<Hull> {
        let mut elements: Vec<_> = structures.iter().flat_map(|s| s.species.clone()).collect();
        elements.sort_unstable();
        elements.dedup();
        let entry = |e| Entry::new(Composition::new([(e, 1.0)]).unwrap(), 0.0, "element").unwrap();
        let entries = elements.into_iter().map(entry).collect();
        Arc::new(Hull::build(entries, header, &|_, _| ()).unwrap().0)
    }

    fn header(reference: Option<&str>) -> HullHeader {
        HullHeader { energy_reference: reference.map(String::from), source: "a test".into(), ..Default::default() }
    }

    #[test]
    fn above_elements_at_zero_the_distance_is_the_energy() {
        let Some(model) = model() else { return };
        let rows = json_lines(&shared().unwrap().join("golden/mlip.dev.jsonl"));
        let rows = &rows[..10];
        let structures: Vec<Structure> = rows.iter().map(structure).collect();
        let term = HullTerm::new(Arc::clone(&model), flat_hull(&structures, header(Some("MP2020")))).unwrap();
        let refs: Vec<&Structure> = structures.iter().collect();
        for ((row, s), found) in rows.iter().zip(&structures).zip(term.stabilities(&refs)) {
            let expected = row["chgnet"]["energy"].as_f64().unwrap() / s.len() as f64;
            assert!((found.unwrap().above.e_above_hull - expected).abs() < 1e-4);
        }
        // Far below this hull, no value is believed.
        let values = term.values(&refs, &Sanity::default());
        assert!(values.iter().all(|v| matches!(v, Err(Failure::BelowHull { .. }))), "{values:?}");
        let unbound = Sanity { e_hull: f64::NEG_INFINITY, ..Sanity::default() };
        assert!(term.values(&refs, &unbound).iter().all(Result::is_ok));
        let other = HullTerm::new(model, flat_hull(&structures[..1], header(None))).unwrap();
        assert!(other.warning().unwrap().contains("does not say which energy reference"));
        let missing = other.stabilities(&refs);
        assert!(missing.iter().any(|row| matches!(row, Err(Failure::Hull(reason)) if reason.contains("no reference"))));
    }

    #[test]
    fn other_scales_and_other_potentials_are_refused() {
        let Some(model) = model() else { return };
        let rows = json_lines(&shared().unwrap().join("golden/mlip.dev.jsonl"));
        let structures: Vec<Structure> = rows[..1].iter().map(structure).collect();
        let stored = rows[0]["chgnet"]["energy"].as_f64().unwrap() / structures[0].len() as f64;
        let refused = |header: HullHeader| {
            HullTerm::new(Arc::clone(&model), flat_hull(&structures, header)).map(|_| ()).map_err(|e| e.to_string())
        };
        let message = refused(header(Some("PBE"))).unwrap_err();
        assert!(
            message.contains("on the scale \"MP2020\", those of the hull (a test) on \"PBE\"; take a hull"),
            "{message}"
        );
        let check = |energy_per_atom| HullHeader {
            checks: vec![Check { structure: structures[0].clone(), energy_per_atom }],
            ..header(Some("MP2020"))
        };
        assert_eq!(refused(check(stored)), Ok(()));
        assert!(refused(check(stored + 0.02)).unwrap_err().contains("another potential"));
    }
}
