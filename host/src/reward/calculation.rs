//! What a row says of the calculation behind its energy.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use temper_mp2020_correction::{Known, Run};

use crate::crystal::Element;

/// What is said of the calculation behind an energy. What is not said is what the Materials Project's relaxation set would use.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calculation {
    run_type: Option<String>,
    hubbards: Option<BTreeMap<u8, f64>>,
    potcar_symbols: Option<Vec<String>>,
    known: Known,
}

impl Calculation {
    /// Reads a row as pymatgen's entries have it: `run_type` (text) and `hubbards` (symbols to eV), also under `parameters`;
    /// `parameters.potcar_spec` or `parameters.potcar_symbols` (the pseudopotentials' titles); and `data` with `oxide_type`,
    /// `sulfide_type` and `oxidation_states` (symbols to numbers; what is no symbol of an element, such as `Na+`, is passed over,
    /// as pymatgen does). In a table the objects stand as JSON.
    ///
    /// # Errors
    /// A sentence that names the key with another kind of value.
    pub fn read(row: &Map<String, Value>) -> Result<Self, String> {
        let parameters = object(row, "parameters")?.unwrap_or_default();
        let hubbards = match by_element(row, "hubbards", Unknown::Refused)? {
            Some(hubbards) => Some(hubbards),
            None => by_element(&parameters, "hubbards", Unknown::Refused)?,
        };
        let stated = Self {
            run_type: text(row, "run_type")?.or(text(&parameters, "run_type")?),
            hubbards,
            potcar_symbols: potcar_symbols(&parameters)?,
            ..Self::of_structure(row)?
        };
        Ok(stated)
    }

    /// Reads what a row says of its structure alone (`data`), for an energy that is not the row's own.
    ///
    /// # Errors
    /// As [`Calculation::read`].
    pub fn of_structure(row: &Map<String, Value>) -> Result<Self, String> {
        let data = object(row, "data")?.unwrap_or_default();
        let known = Known {
            oxide_type: text(&data, "oxide_type")?,
            sulfide_type: text(&data, "sulfide_type")?,
            oxidation_states: by_element(&data, "oxidation_states", Unknown::PassedOver)?,
        };
        Ok(Self { known, ..Self::default() })
    }

    /// What is known of the structure.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// How the energy was computed. A run type without a U says that there was none, unless it is GGA+U.
    pub(super) fn run(&self, composition: &[(u8, f64)]) -> Run {
        let usual = Run::of_relaxation_set(composition);
        let stated = self.run_type.as_ref().filter(|run_type| *run_type != "GGA+U");
        let hubbards = match (&self.hubbards, stated) {
            (Some(hubbards), _) => hubbards.clone(),
            (None, Some(_)) => BTreeMap::new(),
            (None, None) => usual.hubbards,
        };
        Run {
            run_type: self.run_type.clone().or(usual.run_type),
            hubbards,
            potcar_symbols: self.potcar_symbols.clone(),
        }
    }
}

/// A value that is there: neither null nor an empty text, as an empty cell of a CSV is.
fn value<'a>(row: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    row.get(key).filter(|value| !value.is_null() && value.as_str() != Some(""))
}

fn text(row: &Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` is not a text"));
    value(row, key).map(text).transpose()
}

fn object(row: &Map<String, Value>, key: &str) -> Result<Option<Map<String, Value>>, String> {
    let object = |value: &Value| match value {
        Value::Object(object) => Ok(object.clone()),
        Value::String(text) => serde_json::from_str(text).map_err(|_| format!("`{key}` is not a JSON object")),
        _ => Err(format!("`{key}` is not an object")),
    };
    value(row, key).map(object).transpose()
}

/// What becomes of a key that is no element.
#[derive(Clone, Copy, PartialEq)]
enum Unknown {
    Refused,
    PassedOver,
}

fn by_element(row: &Map<String, Value>, key: &str, unknown: Unknown) -> Result<Option<BTreeMap<u8, f64>>, String> {
    let Some(object) = object(row, key)? else { return Ok(None) };
    let mut numbers = BTreeMap::new();
    for (symbol, value) in &object {
        match Element::from_symbol(symbol) {
            None if unknown == Unknown::PassedOver => {}
            None => return Err(format!("`{symbol}` in `{key}` is not an element")),
            Some(element) => {
                let number = value.as_f64().ok_or_else(|| format!("`{key}` of {symbol} is not a number"))?;
                numbers.insert(element.number(), number);
            }
        }
    }
    Ok(Some(numbers))
}

/// The symbols in the titles of pseudopotentials, such as `Fe_pv` in `PAW_PBE Fe_pv 02Aug2007`.
fn potcar_symbols(parameters: &Map<String, Value>) -> Result<Option<Vec<String>>, String> {
    let list = |key: &str| match value(parameters, key) {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list.clone())),
        Some(_) => Err(format!("`{key}` is not a list")),
    };
    let symbol = |title: Option<&Value>| {
        let symbol = title.and_then(Value::as_str).and_then(|title| title.split_whitespace().nth(1));
        symbol
            .map(str::to_owned)
            .ok_or_else(|| "a pseudopotential has no title such as `PAW_PBE Fe_pv 02Aug2007`".to_owned())
    };
    let spec = list("potcar_spec")?.filter(|list| !list.is_empty());
    let present = |item: &&Value| !item.is_null() && item.as_str() != Some("");
    match (spec, list("potcar_symbols")?) {
        (Some(spec), _) => {
            spec.iter().filter(present).map(|item| symbol(item.get("titel"))).collect::<Result<_, _>>().map(Some)
        }
        (None, Some(titles)) => {
            titles.iter().filter(present).map(|title| symbol(Some(title))).collect::<Result<_, _>>().map(Some)
        }
        (None, None) => Ok(None),
    }
}
