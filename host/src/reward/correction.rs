//! Corrections that take energies from one scale to another.

use std::str::FromStr;
use std::sync::Arc;

use rayon::prelude::*;
use temper_mp2020_correction::{Entry, correction, correction_as_crystalformer};

use super::{Calculation, CorrectedEnergy, EnergyScale, Failure};
use crate::crystal::Structure;
use crate::hint::Hint;
use crate::hull::HullHeader;
use crate::model::Contract;
use crate::plugin::Evaluator;
use crate::spelling::nearest;

/// A correction of energies.
#[derive(Clone, Debug, Default)]
pub enum Correction {
    /// Energies as they are.
    #[default]
    None,
    /// The Materials Project's of 2020, as pymatgen applies them: from `PBE` to `MP2020`.
    Mp2020,
    /// The same as CrystalFormer's reinforcement fine-tuning applies them, for comparison only: GGA energies stay uncorrected.
    Mp2020AsCrystalformer,
    /// A plugin's.
    Plugin(PluginCorrection),
}

/// A correction that a plugin makes.
#[derive(Clone, Debug)]
pub struct PluginCorrection {
    evaluator: Arc<Evaluator>,
    scales: [EnergyScale; 2],
}

/// An energy to correct.
#[derive(Clone, Copy, Debug)]
pub struct Uncorrected<'a> {
    /// Whose energy it is.
    pub structure: &'a Structure,
    /// eV per cell.
    pub energy: f64,
    /// How it was computed.
    pub calculation: &'a Calculation,
}

/// Names of the corrections that need no plugin.
const NAMES: [&str; 3] = ["none", "mp2020", "mp2020-as-crystalformer"];

/// Why a correction cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CorrectionError {
    /// A name that stands for none.
    #[error(
        "\"{name}\" is not a correction; the known ones are none, mp2020, mp2020-as-crystalformer and those of plugins"
    )]
    Unknown {
        /// As given.
        name: String,
        /// The name that was perhaps meant.
        nearest: Option<&'static str>,
    },
    /// A plugin that does not say what its energies are.
    #[error("the plugin {name} does not declare which energy references its correction takes energies from and to")]
    NoScales {
        /// The plugin.
        name: String,
    },
    /// The potential's energies are not those that the correction is for.
    #[error(
        "{model}: \"{name}\" corrects energies on the scale \"{from}\", and the potential's are on \"{potential}\""
    )]
    Potential {
        /// The model's file.
        model: String,
        /// The correction.
        name: String,
        /// The scale of the energies that it corrects.
        from: EnergyScale,
        /// The scale of the corrected energies.
        to: EnergyScale,
        /// The potential's energy reference.
        potential: EnergyScale,
    },
    /// Nobody has said on which scale the potential's energies are.
    #[error("{model}: `temper.energy_reference` is missing, and \"{name}\" corrects energies on the scale \"{from}\"")]
    NoReference {
        /// The model's file.
        model: String,
        /// The correction.
        name: String,
        /// The scale of the energies that it corrects.
        from: EnergyScale,
        /// The model's sidecar.
        sidecar: String,
    },
    /// The hull is on another scale than the corrected energies.
    #[error("\"{name}\" takes energies to the scale \"{to}\", and those of the hull ({source_text}) are on \"{hull}\"")]
    Hull {
        /// The correction.
        name: String,
        /// The scale of the corrected energies.
        to: EnergyScale,
        /// The hull's energy reference.
        hull: EnergyScale,
        /// Where the hull's entries come from.
        source_text: String,
    },
}

impl Hint for CorrectionError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Unknown { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Self::Potential { to, potential, .. } if to == potential => {
                "the energies are already on that scale: leave the correction out".to_owned()
            }
            Self::NoReference { from, sidecar, .. } => format!(
                "if the potential was trained on such energies, add `energy_reference = \"{from}\"` to {sidecar}"
            ),
            Self::Hull { to, .. } => format!("use a hull on \"{to}\", or no correction"),
            Self::Unknown { nearest: None, .. } | Self::Potential { .. } | Self::NoScales { .. } => return Vec::new(),
        };
        vec![hint]
    }
}

impl FromStr for Correction {
    type Err = CorrectionError;

    fn from_str(name: &str) -> Result<Self, CorrectionError> {
        match name {
            "none" => Ok(Self::None),
            "mp2020" => Ok(Self::Mp2020),
            "mp2020-as-crystalformer" => Ok(Self::Mp2020AsCrystalformer),
            other => Err(CorrectionError::Unknown { name: other.to_owned(), nearest: nearest(other, NAMES) }),
        }
    }
}

impl Correction {
    /// The correction of a plugin.
    ///
    /// # Errors
    /// [`CorrectionError::NoScales`].
    pub fn of_plugin(evaluator: Arc<Evaluator>) -> Result<Self, CorrectionError> {
        match &evaluator.properties().scales {
            Some(scales) => {
                let scales = [0, 1].map(|end| EnergyScale::named(&scales[end]));
                Ok(Self::Plugin(PluginCorrection { evaluator, scales }))
            }
            None => Err(CorrectionError::NoScales { name: evaluator.name().to_owned() }),
        }
    }

    /// Its name in configs and on the command line.
    pub fn name(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Mp2020 => "mp2020",
            Self::Mp2020AsCrystalformer => "mp2020-as-crystalformer",
            Self::Plugin(plugin) => plugin.evaluator.name(),
        }
    }

    /// The scales that it takes energies from and to; `None` leaves them as they are. All that follows in this file about scales
    /// is derived from here.
    pub fn scales(&self) -> Option<[EnergyScale; 2]> {
        match self {
            Self::None => None,
            Self::Mp2020 | Self::Mp2020AsCrystalformer => Some([EnergyScale::PBE, EnergyScale::MP2020]),
            Self::Plugin(plugin) => Some(plugin.scales.clone()),
        }
    }

    /// The correction that takes energies from one scale to another.
    pub(super) fn between(from: &EnergyScale, to: &EnergyScale) -> Option<Self> {
        [Self::Mp2020].into_iter().find(|correction| correction.scale_after(from).as_ref() == Some(to))
    }

    /// The scale to which energies on `scale` are taken; `None` if it is not made for them.
    pub(super) fn scale_after(&self, scale: &EnergyScale) -> Option<EnergyScale> {
        match self.scales() {
            None => Some(scale.clone()),
            Some([from, to]) => (from == *scale).then_some(to),
        }
    }

    /// The scale of a potential's corrected energies, where the potential names its own.
    pub(super) fn scale_of(&self, contract: &Contract) -> Result<Option<EnergyScale>, CorrectionError> {
        let stated = contract.energy_reference.as_deref().map(EnergyScale::named);
        let Some([from, to]) = self.scales() else { return Ok(stated) };
        let (name, model) = (self.name().to_owned(), contract.path.display().to_string());
        match stated.map(|scale| (self.scale_after(&scale), scale)) {
            Some((Some(after), _)) => Ok(Some(after)),
            Some((None, potential)) => Err(CorrectionError::Potential { model, name, from, to, potential }),
            None => {
                let sidecar = contract.path.with_extension("toml").display().to_string();
                Err(CorrectionError::NoReference { model, name, from, sidecar })
            }
        }
    }

    /// Refuses a hull that is on another scale than the corrected energies. One that does not state its scale passes.
    ///
    /// # Errors
    /// [`CorrectionError::Hull`].
    pub fn check_hull(&self, header: &HullHeader) -> Result<(), CorrectionError> {
        let hull = header.energy_reference.as_deref().map(EnergyScale::named);
        match (self.scales(), hull) {
            (Some([_, to]), Some(hull)) if to != hull => {
                let (name, source_text) = (self.name().to_owned(), header.source.clone());
                Err(CorrectionError::Hull { name, to, hull, source_text })
            }
            _ => Ok(()),
        }
    }

    /// The energies with their corrections, in their order. Each fails with [`Failure::Correction`] (of a plugin with
    /// [`Failure::Plugin`]) if it cannot be brought to the scale.
    pub fn correct(&self, energies: &[Uncorrected<'_>]) -> Vec<Result<CorrectedEnergy, Failure>> {
        let corrected = |(correction, asked): (Result<f64, Failure>, &Uncorrected<'_>)| {
            let (correction, atoms) = (correction?, asked.structure.len());
            Ok(CorrectedEnergy { uncorrected_per_atom: asked.energy / atoms as f64, correction, atoms })
        };
        self.of(energies).into_iter().zip(energies).map(corrected).collect()
    }

    /// What to add to each energy, eV per cell.
    fn of(&self, energies: &[Uncorrected<'_>]) -> Vec<Result<f64, Failure>> {
        match self {
            Self::None => energies.iter().map(|_| Ok(0.0)).collect(),
            Self::Mp2020 => energies.par_iter().map(mp2020).collect(),
            Self::Mp2020AsCrystalformer => energies.par_iter().map(mp2020_as_crystalformer).collect(),
            Self::Plugin(plugin) => plugin.of(energies),
        }
    }
}

impl PluginCorrection {
    fn of(&self, energies: &[Uncorrected<'_>]) -> Vec<Result<f64, Failure>> {
        let (structures, known): (Vec<&Structure>, Vec<f64>) = energies.iter().map(|e| (e.structure, e.energy)).unzip();
        let abstained = || Failure::Correction(format!("{} has no correction for this crystal", self.evaluator.name()));
        let corrected = self.evaluator.evaluate(&structures, Some(&known)).into_iter();
        corrected.map(|row| row.map_err(Failure::Plugin)?.ok_or_else(abstained)).collect()
    }
}

fn mp2020(asked: &Uncorrected<'_>) -> Result<f64, Failure> {
    let numbers = numbers(asked.structure);
    let view = view(asked.structure, &numbers);
    let composition = view.composition();
    let run = asked.calculation.run(&composition);
    let known = asked.calculation.known();
    let corrected = correction(&Entry { composition: &composition, structure: Some(view), run: &run, known });
    corrected.map_err(|reason| Failure::Correction(reason.to_string()))
}

fn mp2020_as_crystalformer(asked: &Uncorrected<'_>) -> Result<f64, Failure> {
    let numbers = numbers(asked.structure);
    let corrected = correction_as_crystalformer(view(asked.structure, &numbers));
    corrected.map_err(|reason| Failure::Correction(reason.to_string()))
}

fn numbers(structure: &Structure) -> Vec<u8> {
    structure.species.iter().map(|element| element.number()).collect()
}

fn view<'a>(structure: &'a Structure, atomic_numbers: &'a [u8]) -> temper_mp2020_correction::Structure<'a> {
    let (lattice, frac_coords) = (structure.lattice.0, &structure.frac);
    temper_mp2020_correction::Structure { lattice, atomic_numbers, frac_coords }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Lattice};
    use crate::model::testing::{json_lines, shared, structure};
    use serde_json::{Value, json};

    /// pymatgen 2026.10.24, and CrystalFormer's `generate_CSE`.
    #[test]
    fn corrections_of_structures_are_pymatgens() {
        let Some(shared) = shared() else { return };
        let mut compared = 0;
        for row in json_lines(&shared.join("golden/mp2020_corrections.dev.jsonl")) {
            if row["kind"] != "structure_entry" {
                continue;
            }
            let expected = |key: &str| row[key].as_f64().unwrap();
            let crystal = structure(&with_numbers(&row["structure"]));
            let (pymatgen, reference) =
                (expected("total_correction"), expected("crystalformer_generate_CSE_correction"));
            let stated = Calculation::read(row.as_object().unwrap()).unwrap();
            for (correction, calculation, expected) in [
                (Correction::Mp2020, &Calculation::default(), pymatgen),
                (Correction::Mp2020, &stated, pymatgen),
                (Correction::Mp2020AsCrystalformer, &stated, reference),
                (Correction::None, &stated, 0.0),
            ] {
                let found = of(&correction, &crystal, calculation).unwrap();
                assert!(
                    (found - expected).abs() < 1e-9,
                    "{} {}: {found} {expected}",
                    row["formula"],
                    correction.name()
                );
            }
            compared += 1;
        }
        assert!(compared > 200, "{compared} rows");
    }

    /// The species as atomic numbers.
    fn with_numbers(structure: &Value) -> Value {
        let mut structure = structure.clone();
        for species in structure["species"].as_array_mut().unwrap() {
            *species = json!(Element::from_symbol(species.as_str().unwrap()).unwrap().number());
        }
        structure
    }

    fn of(correction: &Correction, structure: &Structure, calculation: &Calculation) -> Result<f64, Failure> {
        let corrected = correction.correct(&[Uncorrected { structure, energy: 0.0, calculation }]).pop().unwrap();
        corrected.map(|energy| energy.correction)
    }

    fn iron_oxide() -> Structure {
        let symbols = ["Fe", "O"].map(|symbol| Element::from_symbol(symbol).unwrap());
        let lattice = Lattice([[0.0, 2.15, 2.15], [2.15, 0.0, 2.15], [2.15, 2.15, 0.0]]);
        Structure::new(lattice, symbols.to_vec(), vec![[0.0; 3], [0.5; 3]]).unwrap()
    }

    fn corrected(row: Value) -> Result<f64, String> {
        let calculation = Calculation::read(row.as_object().unwrap())?;
        of(&Correction::Mp2020, &iron_oxide(), &calculation).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_a_row_says_of_its_calculation_counts() {
        // By hand: oxide -0.687, iron -2.256, peroxide -0.465.
        for (row, expected) in [
            (json!({}), -2.943),
            (json!({"run_type": null, "hubbards": "", "data": {"oxide_type": null}}), -2.943),
            (json!({"run_type": "GGA+U"}), -2.943),
            (json!({"data": {"oxide_type": "peroxide"}}), -2.721),
            (json!({"data": "{\"oxide_type\": \"peroxide\"}", "hubbards": "{\"Fe\": 5.3}"}), -2.721),
        ] {
            let found = corrected(row.clone()).unwrap();
            assert!((found - expected).abs() < 1e-12, "{row}: {found}");
        }
        for (row, reason) in [
            (json!({"run_type": "R2SCAN"}), "incompatible: the run type is R2SCAN, not GGA or GGA+U"),
            (json!({"run_type": "GGA"}), "incompatible: U of Fe is 0 eV, where the Materials Project takes 5.3 eV"),
            (json!({"hubbards": {"Fe": 4}}), "incompatible: U of Fe is 4 eV, where the Materials Project takes 5.3 eV"),
            (json!({"run_type": 3}), "`run_type` is not a text"),
            (json!({"hubbards": {"Xx": 4}}), "`Xx` in `hubbards` is not an element"),
            (json!({"hubbards": [4]}), "`hubbards` is not an object"),
            (json!({"data": "{"}), "`data` is not a JSON object"),
            (json!({"data": {"oxidation_states": {"O": "two"}}}), "`oxidation_states` of O is not a number"),
        ] {
            assert_eq!(corrected(row.clone()), Err(reason.to_owned()), "{row}");
        }
    }

    /// pymatgen 2026.10.24, of rows that say how they were computed: `tests/golden/mp2020/generate.py`.
    #[test]
    fn calculations_are_judged_as_by_pymatgen() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/mp2020/calculations.jsonl");
        let rows = json_lines(golden.as_ref());
        assert_eq!(rows.len(), 18);
        for row in rows {
            let calculation = Calculation::read(row.as_object().unwrap()).unwrap();
            let found = of(&Correction::Mp2020, &structure(&with_numbers(&row)), &calculation);
            match row["pymatgen"]["total_correction"].as_f64() {
                Some(expected) => assert!((found.unwrap() - expected).abs() < 1e-9, "{row}"),
                None => assert!(matches!(found, Err(Failure::Correction(_))), "{row}: {found:?}"),
            }
        }
        let refused = |row: Value| Calculation::read(row.as_object().unwrap()).unwrap_err();
        assert_eq!(refused(json!({"parameters": 3})), "`parameters` is not an object");
        assert_eq!(refused(json!({"parameters": {"run_type": 3}})), "`run_type` is not a text");
        assert_eq!(refused(json!({"parameters": {"potcar_symbols": "PBE Fe"}})), "`potcar_symbols` is not a list");
        assert_eq!(
            refused(json!({"parameters": {"potcar_symbols": ["Fe"]}})),
            "a pseudopotential has no title such as `PAW_PBE Fe_pv 02Aug2007`"
        );
    }

    #[test]
    fn names_and_scales() {
        for name in NAMES {
            assert_eq!(name.parse::<Correction>().unwrap().name(), name);
        }
        let unknown = "mp-2020".parse::<Correction>().unwrap_err();
        assert_eq!(unknown, CorrectionError::Unknown { name: "mp-2020".into(), nearest: Some("mp2020") });
        let (pbe, mp2020) = (EnergyScale::PBE, EnergyScale::MP2020);
        assert!(matches!(Correction::between(&pbe, &mp2020), Some(Correction::Mp2020)));
        assert!(Correction::between(&mp2020, &pbe).is_none());
        assert_eq!(Correction::Mp2020.scale_after(&EnergyScale::named("PBE")), Some(mp2020));
        assert_eq!(Correction::Mp2020.scale_after(&EnergyScale::named("r2SCAN")), None);
        assert_eq!(Correction::None.scale_after(&pbe), Some(pbe));
        let header = |reference: Option<&str>| HullHeader {
            energy_reference: reference.map(String::from),
            ..HullHeader::default()
        };
        assert_eq!(Correction::Mp2020.check_hull(&header(None)), Ok(()));
        assert_eq!(Correction::Mp2020.check_hull(&header(Some("MP2020"))), Ok(()));
        assert_eq!(Correction::None.check_hull(&header(Some("PBE"))), Ok(()));
        assert!(Correction::Mp2020.check_hull(&header(Some("PBE"))).is_err());
    }
}
