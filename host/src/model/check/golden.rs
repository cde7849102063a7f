//! Comparison with known values that another program computed.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{LargestDeviation, alone};
use crate::conformance::CheckResult;
use crate::crystal::{ReadError, Structure, read_structures};
use crate::model::{Contract, ModelOutput, OnnxModel, OutputKind};

/// Atoms of all rows together that are held at most; the rows behind are not compared, and the report says so.
const MOST_ATOMS: usize = 500_000;

/// Crystals with known values.
#[derive(Clone, Debug, Default)]
pub struct Golden {
    /// The rows that have a crystal and at least one value.
    pub rows: Vec<GoldenRow>,
    /// Rows that cannot be used, and why.
    pub unusable: Vec<String>,
    /// Rows that are not compared and need not be, in words.
    pub set_aside: Vec<String>,
}

/// A crystal with known values.
#[derive(Clone, Debug)]
pub struct GoldenRow {
    /// Its name.
    pub id: String,
    /// The crystal.
    pub structure: Structure,
    /// For each output of the contract its known values, flattened, in our units.
    pub values: Vec<Option<Vec<f64>>>,
}

/// Why a file of known values cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No row has a value of the model's.
    #[error("{}: no row holds a crystal and a value of {outputs}, by itself or in one object such as {{\"model\": {{\"{first}\": ...}}}}{example}", path.display())]
    Nothing {
        /// The file.
        path: PathBuf,
        /// The model's outputs.
        outputs: String,
        /// The first of them.
        first: String,
        /// What is wrong with the first row, where something is.
        example: String,
    },
}

impl Golden {
    /// Reads `{lattice, species, frac_coords, OUTPUT...}` rows; the values may stand in one object of the row, too.
    ///
    /// # Errors
    /// [`GoldenError`]. A row that cannot be used is no error as long as another can.
    pub fn read(path: &Path, contract: &Contract) -> Result<Self, GoldenError> {
        let mut golden = Self::default();
        let (mut silent, mut atoms) = (0, 0);
        for record in read_structures(path)? {
            let record = record?;
            atoms += record.structure.as_ref().map_or(1, Structure::len);
            if atoms > MOST_ATOMS {
                golden
                    .set_aside
                    .push(format!("golden rows from line {} on: {MOST_ATOMS} atoms are enough", record.line));
                break;
            }
            let at = format!("{} (line {})", record.id, record.line);
            let row = record.structure.map_err(|error| error.to_string()).and_then(|structure| {
                let values = values(&record.extra, contract, structure.len())?;
                Ok(GoldenRow { id: record.id, structure, values })
            });
            match row {
                Ok(row) if row.values.iter().all(Option::is_none) => silent += 1,
                Ok(row) => golden.rows.push(row),
                Err(reason) => golden.unusable.push(format!("{at}: {reason}")),
            }
        }
        if silent > 0 {
            golden.set_aside.push(format!("{silent} golden rows: no value of the model's outputs"));
        }
        if golden.rows.is_empty() {
            let names: Vec<&str> = contract.outputs.iter().map(|output| output.quantity.as_str()).collect();
            let example = golden.unusable.first().map_or_else(String::new, |reason| format!("; {reason}"));
            let (outputs, first) = (names.join(", "), names.first().copied().unwrap_or_default().to_owned());
            return Err(GoldenError::Nothing { path: path.into(), outputs, first, example });
        }
        Ok(golden)
    }
}

/// The known values of a row by output; an error if one has the wrong size.
fn values(extra: &Map<String, Value>, contract: &Contract, atoms: usize) -> Result<Vec<Option<Vec<f64>>>, String> {
    let holds = |object: &Map<String, Value>| contract.outputs.iter().any(|o| object.contains_key(&o.quantity));
    let objects: Vec<(&String, &Map<String, Value>)> =
        extra.iter().filter_map(|(key, value)| Some((key, value.as_object()?))).filter(|(_, o)| holds(o)).collect();
    let object = match &objects[..] {
        _ if holds(extra) => extra,
        [(_, only)] => only,
        [] => return Ok(vec![None; contract.outputs.len()]),
        [(first, _), (second, _), ..] => {
            return Err(format!("both `{first}` and `{second}` hold values of the model's outputs"));
        }
    };
    contract.outputs.iter().map(|output| value(object.get(&output.quantity), output, atoms)).collect()
}

fn value(value: Option<&Value>, output: &ModelOutput, atoms: usize) -> Result<Option<Vec<f64>>, String> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let (count, what) = match output.kind {
        OutputKind::Forces => (3 * atoms, "three numbers for each atom"),
        OutputKind::Stress => (9, "three rows of three numbers"),
        OutputKind::Magmoms => (atoms, "one number for each atom"),
        _ => (1, "one number"),
    };
    let mut numbers = Vec::new();
    match flatten(value, 0, &mut numbers) {
        Some(()) if numbers.len() == count => Ok(Some(numbers)),
        _ => Err(format!("`{}` is not {what}", output.quantity)),
    }
}

/// The numbers of nested arrays in order; `None` if anything else is in them.
fn flatten(value: &Value, depth: usize, numbers: &mut Vec<f64>) -> Option<()> {
    match value {
        Value::Array(values) if depth < 3 => values.iter().try_for_each(|inner| flatten(inner, depth + 1, numbers)),
        other => {
            numbers.push(other.as_f64()?);
            Some(())
        }
    }
}

/// The model's outputs against the known values. A crystal that the model has no value for is a failure.
pub(super) fn checks(model: &OnnxModel, golden: &Golden) -> Vec<CheckResult> {
    let mut largest = LargestDeviation::of(&model.contract().outputs);
    for row in &golden.rows {
        let found = alone(model, &row.structure);
        for (index, (largest, known)) in largest.iter_mut().zip(&row.values).enumerate() {
            match (known, &found) {
                (Some(known), Ok(found)) => largest.compare(known, &found[index], row.structure.len(), &row.id),
                (Some(_), Err(failure)) => largest.fail(failure, &row.id),
                (None, _) => {}
            }
        }
    }
    let mut checks: Vec<CheckResult> = largest.into_iter().map(|largest| largest.check("golden")).collect();
    if !golden.unusable.is_empty() {
        checks.push(CheckResult::count("golden rows", &golden.unusable, "rows not usable"));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelOutput;

    fn port(quantity: &str, kind: OutputKind) -> ModelOutput {
        ModelOutput { name: quantity.into(), quantity: quantity.into(), kind, factor: 1.0, unit: None }
    }

    #[test]
    fn values_have_the_size_of_their_output() {
        let read = |json: &str, kind| value(Some(&serde_json::from_str(json).unwrap()), &port("x", kind), 2);
        assert_eq!(read("-3.5", OutputKind::Energy), Ok(Some(vec![-3.5])));
        assert_eq!(read("null", OutputKind::Energy), Ok(None));
        assert_eq!(read("[1, 2]", OutputKind::Magmoms), Ok(Some(vec![1.0, 2.0])));
        assert_eq!(read("[[1, 2, 3], [4, 5, 6]]", OutputKind::Forces).unwrap().unwrap().len(), 6);
        for (json, kind) in [
            ("[1, 2]", OutputKind::Energy),
            ("\"a\"", OutputKind::Energy),
            ("[[1, 2, 3]]", OutputKind::Forces),
            ("[[1, 2, 3], [4, 5, null]]", OutputKind::Forces),
            ("[1, 2, 3]", OutputKind::Stress),
            ("[[[[1]]]]", OutputKind::Energy),
        ] {
            assert!(read(json, kind).unwrap_err().starts_with("`x` is not "), "{json}");
        }
    }
}
