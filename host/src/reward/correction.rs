//! Corrections that take energies from one scale to another, and what a row says of the calculation behind its energy.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value};
use temper_mp2020_correction::{Entry, Known, Run, correction, correction_as_crystalformer};

use super::{Contract, Failure, nearest};
use crate::crystal::{Element, Structure};
use crate::hull::HullHeader;

/// A correction of energies, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Correction {
    /// Energies as they are.
    #[default]
    None,
    /// The Materials Project's of 2020, as pymatgen applies them: from `PBE` to `MP2020`.
    Mp2020,
    /// The same as CrystalFormer's reinforcement fine-tuning applies them, for comparison only: GGA energies stay uncorrected.
    Mp2020AsCrystalformer,
}

/// Corrections by their names.
const NAMES: [(&str, Correction); 3] = [
    ("none", Correction::None),
    ("mp2020", Correction::Mp2020),
    ("mp2020-as-crystalformer", Correction::Mp2020AsCrystalformer),
];

/// Why a correction cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CorrectionError {
    /// A name that stands for none.
    #[error("\"{name}\" is no correction; known are none, mp2020 and mp2020-as-crystalformer")]
    Unknown {
        /// As given.
        name: String,
        /// The name that was perhaps meant.
        nearest: Option<&'static str>,
    },
    /// The potential's energies are not those that the correction is for.
    #[error(
        "{model}: \"{name}\" corrects energies on the scale \"{from}\", and the potential's are on \"{potential}\""
    )]
    Potential {
        /// The model's file.
        model: String,
        /// The correction.
        name: &'static str,
        /// The scale of the energies that it corrects.
        from: &'static str,
        /// The scale of the corrected energies.
        to: &'static str,
        /// The potential's energy reference.
        potential: String,
    },
    /// Nobody has said on which scale the potential's energies are.
    #[error("{model}: `temper.energy_reference` is missing, and \"{name}\" corrects energies on the scale \"{from}\"")]
    NoReference {
        /// The model's file.
        model: String,
        /// The correction.
        name: &'static str,
        /// The scale of the energies that it corrects.
        from: &'static str,
        /// The model's sidecar.
        sidecar: String,
    },
    /// The hull is on another scale than the corrected energies.
    #[error("\"{name}\" takes energies to the scale \"{to}\", and those of the hull ({source_text}) are on \"{hull}\"")]
    Hull {
        /// The correction.
        name: &'static str,
        /// The scale of the corrected energies.
        to: &'static str,
        /// The hull's energy reference.
        hull: String,
        /// Where the hull's entries come from.
        source_text: String,
    },
}

impl FromStr for Correction {
    type Err = CorrectionError;

    fn from_str(name: &str) -> Result<Self, CorrectionError> {
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, correction)| *correction).ok_or_else(|| CorrectionError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name, NAMES.map(|(known, _)| known)),
        })
    }
}

impl Correction {
    /// Its name in configs and on the command line.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, correction)| *correction == self).map_or("", |(name, _)| name)
    }

    /// The energy references that it takes energies from and to.
    pub fn scales(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::None => None,
            Self::Mp2020 | Self::Mp2020AsCrystalformer => Some(("PBE", "MP2020")),
        }
    }

    /// The correction that takes energies from one energy reference to another.
    pub(super) fn between(from: &str, to: &str) -> Option<Self> {
        [Self::Mp2020].into_iter().find(|correction| correction.scales() == Some((from, to)))
    }

    /// The energy reference of corrected energies; `None` where those given are none of its.
    pub(super) fn scale_after(self, reference: &str) -> Option<&str> {
        match self.scales() {
            None => Some(reference),
            Some((from, to)) => (from == reference).then_some(to),
        }
    }

    /// The energy reference of a potential's corrected energies, where the potential names its own.
    ///
    /// # Errors
    /// [`CorrectionError::Potential`] or [`CorrectionError::NoReference`] for energies that are none of the correction's.
    pub fn reference_of(self, contract: &Contract) -> Result<Option<String>, CorrectionError> {
        let reference = contract.energy_reference.as_deref();
        let Some((from, to)) = self.scales() else { return Ok(reference.map(str::to_owned)) };
        let (name, model) = (self.name(), contract.path.display().to_string());
        match reference {
            Some(reference) if reference == from => Ok(Some(to.to_owned())),
            Some(potential) => {
                Err(CorrectionError::Potential { model, name, from, to, potential: potential.to_owned() })
            }
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
    pub fn check_hull(self, header: &HullHeader) -> Result<(), CorrectionError> {
        match (self.scales(), &header.energy_reference) {
            (Some((_, to)), Some(hull)) if to != hull => Err(CorrectionError::Hull {
                name: self.name(),
                to,
                hull: hull.clone(),
                source_text: header.source.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The correction of a structure's energy, eV per cell.
    ///
    /// # Errors
    /// [`Failure::Correction`] for an energy that cannot be brought to the scale.
    pub fn of(self, structure: &Structure, calculation: &Calculation) -> Result<f64, Failure> {
        let numbers: Vec<u8> = structure.species.iter().map(|element| element.number()).collect();
        let view = view(structure, &numbers);
        let corrected = match self {
            Self::None => Ok(0.0),
            Self::Mp2020 => {
                let composition = view.composition();
                let run = calculation.run(&composition);
                correction(&Entry {
                    composition: &composition,
                    structure: Some(view),
                    run: &run,
                    known: &calculation.known,
                })
            }
            Self::Mp2020AsCrystalformer => correction_as_crystalformer(view),
        };
        corrected.map_err(|reason| Failure::Correction(reason.to_string()))
    }
}

fn view<'a>(structure: &'a Structure, atomic_numbers: &'a [u8]) -> temper_mp2020_correction::Structure<'a> {
    let (lattice, frac_coords) = (structure.lattice.0, &structure.frac);
    temper_mp2020_correction::Structure { lattice, atomic_numbers, frac_coords }
}

/// What is said of the calculation behind an energy. What is not said is what the Materials Project's relaxation set would use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calculation {
    run_type: Option<String>,
    hubbards: Option<BTreeMap<u8, f64>>,
    known: Known,
}

impl Calculation {
    /// Reads the keys `run_type` (text), `hubbards` (symbols to eV) and `data` (with `oxide_type`, `sulfide_type` and
    /// `oxidation_states`, symbols to numbers) of a row, as pymatgen's entries have them; in a CSV the objects stand as JSON.
    ///
    /// # Errors
    /// A sentence that names the key with another kind of value.
    pub fn read(row: &Map<String, Value>) -> Result<Self, String> {
        let data = object(row, "data")?.unwrap_or_default();
        let known = Known {
            oxide_type: text(&data, "oxide_type")?,
            sulfide_type: text(&data, "sulfide_type")?,
            oxidation_states: by_element(&data, "oxidation_states")?,
        };
        Ok(Self { run_type: text(row, "run_type")?, hubbards: by_element(row, "hubbards")?, known })
    }

    /// How the energy was computed. A run type without a U says that there was none, unless it is GGA+U.
    fn run(&self, composition: &[(u8, f64)]) -> Run {
        let usual = Run::of_relaxation_set(composition);
        let stated = self.run_type.as_ref().filter(|run_type| *run_type != "GGA+U");
        let hubbards = match (&self.hubbards, stated) {
            (Some(hubbards), _) => hubbards.clone(),
            (None, Some(_)) => BTreeMap::new(),
            (None, None) => usual.hubbards,
        };
        Run { run_type: self.run_type.clone().or(usual.run_type), hubbards }
    }
}

/// A value that is there: neither null nor an empty text, as an empty cell of a CSV is.
fn value<'a>(row: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    row.get(key).filter(|value| !value.is_null() && value.as_str() != Some(""))
}

fn text(row: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` is no text"));
    value(row, key).map(text).transpose()
}

fn object(row: &Map<String, Value>, key: &str) -> Result<Option<Map<String, Value>>, String> {
    let object = |value: &Value| match value {
        Value::Object(object) => Ok(object.clone()),
        Value::String(text) => serde_json::from_str(text).map_err(|_| format!("`{key}` is no JSON object")),
        _ => Err(format!("`{key}` is no object")),
    };
    value(row, key).map(object).transpose()
}

fn by_element(row: &Map<String, Value>, key: &str) -> Result<Option<BTreeMap<u8, f64>>, String> {
    let entry = |(symbol, value): (&String, &Value)| {
        let element = Element::from_symbol(symbol).ok_or_else(|| format!("`{symbol}` in `{key}` is no element"))?;
        let number = value.as_f64().ok_or_else(|| format!("`{key}` of {symbol} is no number"))?;
        Ok((element.number(), number))
    };
    object(row, key)?.map(|object| object.iter().map(entry).collect()).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::Lattice;
    use crate::reward::testing::{json_lines, shared, structure};
    use serde_json::json;

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
                let found = correction.of(&crystal, calculation).unwrap();
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

    fn iron_oxide() -> Structure {
        let symbols = ["Fe", "O"].map(|symbol| Element::from_symbol(symbol).unwrap());
        let lattice = Lattice([[0.0, 2.15, 2.15], [2.15, 0.0, 2.15], [2.15, 2.15, 0.0]]);
        Structure::new(lattice, symbols.to_vec(), vec![[0.0; 3], [0.5; 3]]).unwrap()
    }

    fn corrected(row: Value) -> Result<f64, String> {
        let calculation = Calculation::read(row.as_object().unwrap())?;
        Correction::Mp2020.of(&iron_oxide(), &calculation).map_err(|failure| failure.to_string())
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
            (json!({"run_type": 3}), "`run_type` is no text"),
            (json!({"hubbards": {"Xx": 4}}), "`Xx` in `hubbards` is no element"),
            (json!({"hubbards": [4]}), "`hubbards` is no object"),
            (json!({"data": "{"}), "`data` is no JSON object"),
            (json!({"data": {"oxidation_states": {"O": "two"}}}), "`oxidation_states` of O is no number"),
        ] {
            assert_eq!(corrected(row.clone()), Err(reason.to_owned()), "{row}");
        }
    }

    #[test]
    fn names_and_scales() {
        for (name, correction) in NAMES {
            assert_eq!((name.parse(), correction.name()), (Ok(correction), name));
        }
        let unknown = "mp-2020".parse::<Correction>().unwrap_err();
        assert_eq!(unknown, CorrectionError::Unknown { name: "mp-2020".into(), nearest: Some("mp2020") });
        assert_eq!(Correction::between("PBE", "MP2020"), Some(Correction::Mp2020));
        assert_eq!(Correction::between("MP2020", "PBE"), None);
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
