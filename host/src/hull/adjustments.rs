//! What was added to the energy of an entry, as pymatgen's dictionaries say.

use serde_json::{Map, Value};

/// What an entry or a row of structures says has to be added to its `energy`, eV per cell: the sum of its `energy_adjustments`
/// or, in older files that have none, its `correction`; 0 without either. In a table these values stand as text.
///
/// # Errors
/// A sentence that names the key and the value that cannot be read.
pub fn stated_correction(row: &Map<String, Value>) -> Result<f64, String> {
    let adjustments = match row.get("energy_adjustments") {
        Some(Value::String(text)) if !text.is_empty() => serde_json::from_str(text).unwrap_or(Value::Bool(false)),
        Some(value) => value.clone(),
        None => Value::Null,
    };
    match adjustments {
        Value::Array(list) if !list.is_empty() => list.iter().map(adjustment).sum(),
        Value::Null | Value::Array(_) | Value::String(_) => correction(row),
        _ => Err("`energy_adjustments` is not a list".to_owned()),
    }
}

fn correction(row: &Map<String, Value>) -> Result<f64, String> {
    let value = match row.get("correction") {
        None | Some(Value::Null) => return Ok(0.0),
        Some(Value::String(text)) if text.is_empty() => return Ok(0.0),
        Some(value) => value,
    };
    let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    number.ok_or_else(|| format!("`correction` is {value}, not a number"))
}

/// eV per cell. pymatgen has constant ones, ones per atom of some element, and ones per kelvin and atom.
fn adjustment(adjustment: &Value) -> Result<f64, String> {
    let factors = |names: &[&str]| names.iter().map(|name| adjustment.get(name)?.as_f64()).product::<Option<f64>>();
    factors(&["value"])
        .or_else(|| factors(&["adj_per_atom", "n_atoms"]))
        .or_else(|| factors(&["adj_per_deg", "temp", "n_atoms"]))
        .ok_or_else(|| {
            let name = adjustment.get("name").and_then(Value::as_str).unwrap_or("without a name");
            format!("the energy adjustment {name} has no number as its value")
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stated(row: Value) -> Result<f64, String> {
        stated_correction(row.as_object().unwrap())
    }

    /// pymatgen's `ComputedEntry.from_dict(row).correction`.
    #[test]
    fn adjustments_count_before_the_correction() {
        for (row, expected) in [
            (json!({}), 0.0),
            (json!({"correction": -0.5}), -0.5),
            (json!({"correction": -0.5, "energy_adjustments": []}), -0.5),
            (json!({"correction": 0.0, "energy_adjustments": [{"value": -3.0}]}), -3.0),
            (json!({"correction": -9.0, "energy_adjustments": [{"value": -3.0}, {"value": 1.0}]}), -2.0),
            (json!({"energy_adjustments": [{"adj_per_atom": -0.5, "n_atoms": 3}]}), -1.5),
            (json!({"energy_adjustments": [{"adj_per_deg": -0.001, "temp": 300, "n_atoms": 2}]}), -0.6),
            (json!({"correction": null, "energy_adjustments": null}), 0.0),
            (json!({"correction": "-0.5", "energy_adjustments": ""}), -0.5),
            (json!({"correction": "", "energy_adjustments": "[{\"value\": 2}]"}), 2.0),
        ] {
            let found = stated(row.clone()).unwrap();
            assert!((found - expected).abs() < 1e-12, "{row}: {found}");
        }
        for (row, reason) in [
            (json!({"correction": "much"}), "`correction` is \"much\", not a number"),
            (json!({"energy_adjustments": 3}), "`energy_adjustments` is not a list"),
            (json!({"energy_adjustments": "["}), "`energy_adjustments` is not a list"),
            (json!({"energy_adjustments": [{"name": "own"}]}), "the energy adjustment own has no number as its value"),
            (json!({"energy_adjustments": [7]}), "the energy adjustment without a name has no number as its value"),
        ] {
            assert_eq!(stated(row.clone()), Err(reason.to_owned()), "{row}");
        }
    }
}
