//! Energy above hull of crystals: a potential's energy against a hull on the same energy scale.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Cost, TermBatch, TermKind};
use crate::crystal::{Composition, Structure};
use crate::hint::Hint;
use crate::hull::{Hull, HullDistance};
use crate::model::{ModelError, OnnxModel};
use crate::reward::{
    Calculation, CorrectedEnergy, CorrectedPotential, Correction, EnergyScale, Failure, ModelRequest, Outcome,
    Relaxation, Sanity, Uncorrected,
};

/// The documented worst energy above hull, eV/atom, and the largest that a reward sees: the reference implementation of
/// CrystalFormer's reinforcement fine-tuning clips there too.
pub const WORST_E_HULL: f64 = 10.0;

/// Largest difference between a stored energy and the potential's, eV/atom. Float32 on another device stays below 1e-4.
const CHECK_TOLERANCE: f64 = 1e-3;

/// A potential, the hull against which its energies are measured, and what takes them to the hull's scale.
#[derive(Clone, Debug)]
pub struct HullTerm {
    potential: CorrectedPotential,
    hull: Arc<Hull>,
    relaxation: Option<Relaxation>,
}

/// A crystal's energy and its distance from the hull.
#[derive(Clone, Debug, PartialEq)]
pub struct Stability {
    /// The energy with its correction.
    pub energy: CorrectedEnergy,
    /// Energy above hull and the mixture that the crystal would decompose into.
    pub above: HullDistance,
}

/// Why a potential and a hull make no term.
#[derive(Debug, thiserror::Error)]
pub enum HullTermError {
    /// The model gives no energy.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nobody has said on which scale the potential's energies are.
    #[error("{model}: `temper.energy_reference` is missing, and the hull's energies are on the scale \"{hull}\"")]
    NoReference {
        /// The model's file.
        model: String,
        /// The hull's energy reference.
        hull: EnergyScale,
        /// The model's sidecar.
        sidecar: String,
    },
    /// Energies on different scales.
    #[error("{model}: its energies are on the scale \"{potential}\", those of the hull ({source_text}) on \"{hull}\"")]
    Reference {
        /// The model's file.
        model: String,
        /// The potential's energy reference.
        potential: EnergyScale,
        /// The hull's energy reference.
        hull: EnergyScale,
        /// Where the hull's entries come from.
        source_text: String,
    },
    /// A correction of other energies than the potential's, or to another scale than the hull's.
    #[error(
        "{model}: the correction \"{}\" takes energies {}, but the potential's are on \"{potential}\" and the hull's on \
         \"{hull}\"",
        correction.name(),
        correction.scales().map_or_else(String::new, |[from, to]| format!("from the scale \"{from}\" to \"{to}\""))
    )]
    Correction {
        /// The model's file.
        model: String,
        /// The correction.
        correction: Box<Correction>,
        /// The potential's energy reference.
        potential: EnergyScale,
        /// The hull's energy reference, or that it states none.
        hull: String,
    },
    /// The hull was built with another potential, or this one does not run as it should.
    #[error(
        "{model}: a crystal stored with the hull has {stored:.4} eV/atom there and {found} here; the hull was built with \
         another potential"
    )]
    ReferenceCrystal {
        /// The model's file.
        model: String,
        /// Energy in the hull's file, eV/atom.
        stored: f64,
        /// The energy now, or why there is none.
        found: String,
    },
}

impl Hint for HullTermError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Model(error) => return error.hints(),
            Self::NoReference { hull, sidecar, .. } => format!(
                "if the potential was trained on such energies, add `energy_reference = \"{hull}\"` to {sidecar}"
            ),
            Self::Reference { potential, hull, .. } => match Correction::between(potential, hull) {
                Some(correction) => format!("the correction \"{}\" takes one to the other", correction.name()),
                None => format!(
                    "use a hull on \"{potential}\", for instance one built with this potential by `temper hull build`"
                ),
            },
            Self::Correction { potential, hull, .. } if potential.to_string() == *hull => {
                "set the correction to \"none\"".to_owned()
            }
            Self::Correction { .. } => "take a potential and a hull on these scales".to_owned(),
            Self::ReferenceCrystal { .. } => "build a hull with this potential by `temper hull build`".to_owned(),
        };
        vec![hint]
    }
}

impl HullTerm {
    /// Puts a potential and a hull together, and asks the potential for the energies stored with the hull.
    ///
    /// # Errors
    /// Any [`HullTermError`]. A hull that does not say on which scale its energies are is taken as it is: see
    /// [`HullTerm::warning`].
    pub fn new(model: Arc<OnnxModel>, hull: Arc<Hull>, correction: Correction) -> Result<Self, HullTermError> {
        let potential = CorrectedPotential::new(model, correction)?;
        check_scales(&potential, &hull)?;
        let term = Self { potential, hull, relaxation: None };
        term.check_reference_crystals()?;
        Ok(term)
    }

    /// As a reward term, the distance of the relaxed crystal.
    pub fn of_relaxed(self, relaxation: Option<Relaxation>) -> Self {
        Self { relaxation, ..self }
    }

    /// The potential.
    pub fn potential(&self) -> &Arc<OnnxModel> {
        self.potential.model()
    }

    /// The stored energies are on the hull's scale, so they are compared with corrected ones.
    fn check_reference_crystals(&self) -> Result<(), HullTermError> {
        let crystals = &self.hull.header().reference_crystals;
        let structures: Vec<&Structure> = crystals.iter().map(|crystal| &crystal.structure).collect();
        for (crystal, energy) in crystals.iter().zip(self.potential.energies(&structures)) {
            let stored = crystal.energy_per_atom;
            let found = match energy.map(|energy| energy.per_atom()) {
                Ok(energy) if (energy - stored).abs() <= CHECK_TOLERANCE => continue,
                Ok(energy) => format!("{energy:.4}"),
                Err(failure) => format!("none ({failure})"),
            };
            let model = self.potential.model().contract().path.display().to_string();
            return Err(HullTermError::ReferenceCrystal { model, stored, found });
        }
        Ok(())
    }

    /// The hull.
    pub fn hull(&self) -> &Hull {
        &self.hull
    }

    /// What a user should know: that the hull does not say on which scale its energies are.
    pub fn warning(&self) -> Option<String> {
        let header = self.hull.header();
        header.energy_reference.is_none().then(|| {
            let source = &header.source;
            let scales = self.potential.correction().scales();
            let assumed = scales.map_or_else(|| "the potential's".to_owned(), |[_, to]| format!("\"{to}\""));
            format!("the hull ({source}) does not say which energy reference it has; {assumed} is assumed")
        })
    }

    /// Energy and distance from the hull of every structure, as they are: neither clipped nor checked for sanity.
    pub fn stabilities(&self, structures: &[&Structure]) -> Vec<Result<Stability, Failure>> {
        let rows = self.potential.energies(structures).into_par_iter().zip(structures.par_iter());
        rows.map(|(energy, structure)| stability(&self.hull, structure, energy?)).collect()
    }

    /// The same for energies that the potential has given already.
    pub fn stabilities_of(&self, energies: &[Uncorrected<'_>]) -> Vec<Result<Stability, Failure>> {
        stabilities(&self.hull, self.potential.correction(), energies)
    }

    /// The reward term for crystals of these energies (eV per cell): energy above hull, eV/atom, believed within `sanity`'s
    /// bound and not clipped. Fails as [`stabilities`], and with [`Failure::BelowHull`].
    pub fn values(&self, structures: &[&Structure], energies: &[f64], sanity: &Sanity) -> Vec<Result<f64, Failure>> {
        let calculation = &Calculation::default();
        let asked =
            structures.iter().zip(energies).map(|(structure, &energy)| Uncorrected { structure, energy, calculation });
        let found = self.stabilities_of(&asked.collect::<Vec<_>>()).into_iter();
        found.map(|row| sanity.believe(row?.above.e_above_hull)).collect()
    }
}

impl TermKind for HullTerm {
    fn request(&self) -> Option<ModelRequest> {
        Some(ModelRequest::Number { model: Arc::clone(self.potential.model()), quantity: "energy".into() })
    }

    fn relaxation(&self) -> Option<&Relaxation> {
        self.relaxation.as_ref()
    }

    fn cost(&self) -> Cost {
        if self.relaxation.is_some() { Cost::Relaxation } else { Cost::Hull }
    }

    fn range(&self) -> [f64; 2] {
        [f64::NEG_INFINITY, WORST_E_HULL]
    }

    fn limits(&self) -> [f64; 2] {
        self.range()
    }

    fn worst(&self) -> Option<f64> {
        Some(WORST_E_HULL)
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        let values = self.values(&batch.structures, &batch.numbers, &batch.sanity);
        values.into_iter().map(Outcome::from).collect()
    }
}

/// Corrects energies and measures them against a hull. Each fails with [`Failure::Correction`] or [`Failure::Plugin`] if it
/// cannot be corrected, with [`Failure::Hull`] where the hull has no answer.
pub fn stabilities(hull: &Hull, correction: &Correction, asked: &[Uncorrected<'_>]) -> Vec<Result<Stability, Failure>> {
    let rows = correction.correct(asked).into_par_iter().zip(asked.par_iter());
    rows.map(|(energy, asked)| stability(hull, asked.structure, energy?)).collect()
}

/// The distance of a corrected energy from a hull.
///
/// # Errors
/// [`Failure::Hull`] where the hull has no answer.
pub fn stability(hull: &Hull, structure: &Structure, energy: CorrectedEnergy) -> Result<Stability, Failure> {
    let composition = Composition::of_structure(structure).map_err(|e| Failure::Hull(e.to_string()))?;
    let above = hull.query(&composition, energy.per_atom()).map_err(|e| Failure::Hull(e.to_string()))?;
    Ok(Stability { energy, above })
}

/// Refuses a potential and a hull that a correction does not bring to one scale.
fn check_scales(potential: &CorrectedPotential, hull: &Hull) -> Result<(), HullTermError> {
    let (contract, correction) = (potential.model().contract(), potential.correction());
    let model = contract.path.display().to_string();
    let (reference, source_text) = (hull.header().energy_reference.as_deref(), hull.header().source.clone());
    let reference = reference.map(EnergyScale::named);
    let Some(potential) = potential.uncorrected_scale() else {
        let Some(hull) = reference else { return Ok(()) };
        let hull = correction.scales().map_or(hull, |[from, _]| from);
        let sidecar = contract.path.with_extension("toml").display().to_string();
        return Err(HullTermError::NoReference { model, hull, sidecar });
    };
    let after = correction.scale_after(&potential);
    if after.is_some_and(|after| reference.as_ref().is_none_or(|reference| *reference == after)) {
        return Ok(());
    }
    Err(match (correction, reference) {
        (Correction::None, Some(hull)) => HullTermError::Reference { model, potential, hull, source_text },
        (correction, hull) => {
            let hull = hull.map_or_else(|| "no stated scale".to_owned(), |hull| hull.to_string());
            HullTermError::Correction { model, correction: Box::new(correction.clone()), potential, hull }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hull::{Entry, HullHeader, ReferenceCrystal};
    use crate::model::testing::{json_lines, runtime, shared, structure};
    use crate::model::{Executor, ModelOptions, OnnxModel};

    fn model() -> Option<Arc<OnnxModel>> {
        let path = shared()?.join("models/chgnet-0.3.0-fast.onnx");
        let executor = Executor::new(1).unwrap();
        Some(Arc::new(OnnxModel::open(&runtime(), &executor, &path, ModelOptions::default()).unwrap()))
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
        let term = HullTerm::new(Arc::clone(&model), flat_hull(&structures, header(Some("MP2020"))), Correction::None)
            .unwrap();
        let refs: Vec<&Structure> = structures.iter().collect();
        for ((row, s), found) in rows.iter().zip(&structures).zip(term.stabilities(&refs)) {
            let expected = row["chgnet"]["energy"].as_f64().unwrap() / s.len() as f64;
            assert!((found.unwrap().above.e_above_hull - expected).abs() < 1e-4);
        }
        // Far below this hull, no value is believed.
        let values = |sanity: Sanity| -> Vec<_> {
            let energies = model.evaluate(&refs, &["energy"]).into_iter();
            let energies: Vec<f64> = energies.map(|energy| energy.unwrap()[0]).collect();
            term.values(&refs, &energies, &sanity)
        };
        let believed = values(Sanity::default());
        assert!(believed.iter().all(|v| matches!(v, Err(Failure::BelowHull { .. }))), "{believed:?}");
        assert!(values(Sanity { e_hull: f64::NEG_INFINITY, ..Sanity::default() }).iter().all(Result::is_ok));
        // Above elements at 0 eV/atom, 37 eV/atom stay what they are; the objective sees the documented worst value.
        let high: Vec<f64> = structures.iter().map(|s| 37.0 * s.len() as f64).collect();
        let values = term.values(&refs, &high, &Sanity::default());
        assert!(values.iter().all(|v| v.as_ref().is_ok_and(|v| (v - 37.0).abs() < 1e-9)), "{values:?}");
        assert_eq!(term.limits()[1], WORST_E_HULL);
        let other = HullTerm::new(model, flat_hull(&structures[..1], header(None)), Correction::None).unwrap();
        assert!(other.warning().unwrap().contains("does not say which energy reference"));
        let missing = other.stabilities(&refs);
        assert!(missing.iter().any(|row| matches!(row, Err(Failure::Hull(reason)) if reason.contains("no reference"))));
    }

    #[test]
    fn a_correction_takes_energies_to_the_hulls_scale() {
        let Some(shared) = shared() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pbe.onnx");
        std::fs::copy(shared.join("models/chgnet-0.3.0-fast.onnx"), &path).unwrap();
        std::fs::write(path.with_extension("toml"), "energy_reference = \"PBE\"\n").unwrap();
        let executor = Executor::new(1).unwrap();
        let model = Arc::new(OnnxModel::open(&runtime(), &executor, &path, ModelOptions::default()).unwrap());
        let rows = json_lines(&shared.join("golden/mlip.dev.jsonl"));
        let structures: Vec<Structure> = rows[..10].iter().map(structure).collect();
        let refs: Vec<&Structure> = structures.iter().collect();
        let term = |reference, correction: Correction| {
            HullTerm::new(Arc::clone(&model), flat_hull(&structures, header(reference)), correction)
        };
        let plain = term(Some("PBE"), Correction::None).unwrap().stabilities(&refs);
        for reference in [Some("MP2020"), None] {
            let corrected = term(reference, Correction::Mp2020).unwrap();
            assert_eq!(corrected.warning().is_some(), reference.is_none());
            let mut moved = 0;
            for ((plain, corrected), s) in plain.iter().zip(corrected.stabilities(&refs)).zip(&structures) {
                let (plain, corrected) = (plain.clone().unwrap(), corrected.unwrap());
                let asked = Uncorrected { structure: s, energy: 0.0, calculation: &Calculation::default() };
                let expected = Correction::Mp2020.correct(&[asked])[0].clone().unwrap().correction;
                moved += usize::from(expected != 0.0);
                let (plain_energy, energy) = (plain.energy.uncorrected_per_atom, corrected.energy);
                assert_eq!((energy.uncorrected_per_atom, energy.correction), (plain_energy, expected));
                let difference = corrected.above.e_above_hull - plain.above.e_above_hull;
                assert!((difference - expected / s.len() as f64).abs() < 1e-9);
            }
            assert!(moved > 0);
        }
        let hints = |reference, correction| term(reference, correction).unwrap_err().hints();
        let unbridged = hints(Some("MP2020"), Correction::None);
        assert_eq!(unbridged, ["the correction \"mp2020\" takes one to the other"]);
        let needless = hints(Some("PBE"), Correction::Mp2020);
        assert_eq!(needless, ["set the correction to \"none\""]);
    }

    #[test]
    fn other_scales_and_other_potentials_are_refused() {
        let Some(model) = model() else { return };
        let rows = json_lines(&shared().unwrap().join("golden/mlip.dev.jsonl"));
        let structures: Vec<Structure> = rows[..1].iter().map(structure).collect();
        let stored = rows[0]["chgnet"]["energy"].as_f64().unwrap() / structures[0].len() as f64;
        let refused = |header: HullHeader| {
            let hull = flat_hull(&structures, header);
            HullTerm::new(Arc::clone(&model), hull, Correction::None).map(|_| ()).map_err(|e| e.to_string())
        };
        let message = refused(header(Some("PBE"))).unwrap_err();
        assert!(message.contains("on the scale \"MP2020\", those of the hull (a test) on \"PBE\""), "{message}");
        let check = |energy_per_atom| HullHeader {
            reference_crystals: vec![ReferenceCrystal { structure: structures[0].clone(), energy_per_atom }],
            ..header(Some("MP2020"))
        };
        assert_eq!(refused(check(stored)), Ok(()));
        assert!(refused(check(stored + 0.02)).unwrap_err().contains("another potential"));
    }
}
