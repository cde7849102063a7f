//! The same crystal in the training data and in data of a property (the paper's tables S2 and S3).

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::known::{known_structures, known_structures_by};
use crate::cli::{Context, Failure};
use crate::crystal::{Record, Structure};
use crate::matching::{ReducedStructure, StructureIndex, StructureMatcher};

/// Data in which a twin may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Training,
    Property,
}

/// The data.
pub(super) struct Twins {
    training: Vec<StructureIndex>,
    property: Option<Property>,
}

/// Structures with values of a property.
struct Property {
    /// Its ids are numbers of rows.
    index: StructureIndex,
    columns: Vec<String>,
    /// Identifier and values of each row.
    rows: Vec<(String, Vec<Option<f64>>)>,
}

/// A known structure that is the same crystal as a sample.
#[derive(Clone, Debug)]
pub(super) struct Twin {
    pub id: String,
    /// In its reduced cell.
    pub structure: Structure,
    /// By the first judge, eV/atom.
    pub e_above_hull: Option<f64>,
    /// By the property models.
    pub predicted: Vec<Option<f64>>,
    /// In the order of the columns.
    pub values: Vec<Option<f64>>,
}

/// Of a sample: its twin in the training data, and in the data of a property.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    pub training: Option<Twin>,
    pub property: Option<Twin>,
}

impl Twins {
    pub fn open(
        training: &[PathBuf],
        property: Option<&str>,
        matcher: &StructureMatcher,
        context: &Context,
    ) -> Result<Self, Failure> {
        let training = training.iter().map(|path| known_structures(path, matcher, context));
        let property = property.map(|text| Property::open(text, matcher, context)).transpose()?;
        Ok(Self { training: training.collect::<Result<_, _>>()?, property })
    }

    /// Whether there is data of this kind.
    pub fn has(&self, data: Data) -> bool {
        match data {
            Data::Training => !self.training.is_empty(),
            Data::Property => self.property.is_some(),
        }
    }

    /// Columns of the property.
    pub fn columns(&self) -> &[String] {
        self.property.as_ref().map_or(&[], |property| &property.columns)
    }

    pub fn find(&self, reduced: &ReducedStructure) -> Result<Pair, Failure> {
        let of_training = self.training.iter().find_map(|index| index.find_structure(reduced).transpose());
        let training = match of_training.transpose()? {
            Some((id, known)) => Twin::new(id, &known, Vec::new()),
            None => None,
        };
        let property = match &self.property {
            Some(property) => property.find(reduced)?,
            None => None,
        };
        Ok(Pair { training, property })
    }
}

impl Twin {
    fn new(id: String, known: &ReducedStructure, values: Vec<Option<f64>>) -> Option<Self> {
        let structure = known.to_structure().ok()?;
        Some(Self { id, structure, e_above_hull: None, predicted: Vec::new(), values })
    }
}

impl Property {
    /// Of `DATA=COLUMN,COLUMN`.
    fn open(text: &str, matcher: &StructureMatcher, context: &Context) -> Result<Self, Failure> {
        let (path, names) =
            text.rsplit_once('=').filter(|(path, names)| !path.is_empty() && !names.is_empty()).ok_or_else(|| {
                Failure::user(format!("--property {text}: not a file and its columns"))
                    .hint("write FILE=COLUMN or FILE=COLUMN,COLUMN")
            })?;
        let path = Path::new(path);
        if path.extension().is_some_and(|extension| extension == "index") {
            return Err(Failure::user(format!("--property {}: an index holds no columns", path.display()))
                .hint("name the file that it was built from"));
        }
        context.same_files_on_all_ranks(path)?;
        let columns: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
        let mut rows = Vec::new();
        let index = known_structures_by(path, matcher, context, &mut |record: &Record| {
            rows.push((record.id.clone(), columns.iter().map(|column| number(record, column)).collect::<Vec<_>>()));
            (rows.len() - 1).to_string()
        })?;
        let missing = (0..columns.len()).find(|column| rows.iter().all(|(_, values)| values[*column].is_none()));
        if let Some(missing) = missing {
            let (path, column) = (path.display(), &columns[missing]);
            return Err(Failure::user(format!("--property {path}: no row has a number in a column {column}")));
        }
        Ok(Self { index, columns, rows })
    }

    fn find(&self, reduced: &ReducedStructure) -> Result<Option<Twin>, Failure> {
        let Some((number, known)) = self.index.find_structure(reduced)? else { return Ok(None) };
        let row = number.parse::<usize>().ok().and_then(|row| self.rows.get(row));
        Ok(row.and_then(|(id, values)| Twin::new(id.clone(), &known, values.clone())))
    }
}

/// A number that a row carries besides its structure.
pub(super) fn number(record: &Record, column: &str) -> Option<f64> {
    match record.extra.get(column)? {
        Value::String(text) => text.trim().parse().ok().filter(|value: &f64| value.is_finite()),
        value => value.as_f64(),
    }
}
