//! `structures.csv`: one row per sample.

use std::collections::BTreeMap;
use std::path::Path;

use super::criteria::Criteria;
use super::judgement::Row;
use super::twins::{Data, Twin, number};
use crate::cli::{Failure, Table};
use crate::crystal::{Composition, Record};
use crate::metrics::Comparison;

/// The table in the making.
pub(super) struct StructureTable<'a> {
    criteria: &'a Criteria,
    table: Table,
    twinned: Twinned,
}

/// Samples beside their twins in known data.
#[derive(Default)]
pub(super) struct Twinned {
    /// Samples that have one, by column.
    pub found: BTreeMap<&'static str, usize>,
    /// Their values, by column.
    pub compared: BTreeMap<String, Comparison>,
}

impl<'a> StructureTable<'a> {
    pub fn create(path: &Path, criteria: &'a Criteria) -> Result<Self, Failure> {
        let table = Table::create(path, &columns(criteria))?;
        let has = [(Data::Training, "in_training_data"), (Data::Property, "in_property_data")];
        let found = has.into_iter().filter(|(data, _)| criteria.twins.has(*data)).map(|(_, name)| (name, 0)).collect();
        Ok(Self { criteria, table, twinned: Twinned { found, ..Twinned::default() } })
    }

    pub fn add(&mut self, record: &Record, row: &Row) -> Result<(), Failure> {
        let sample = &row.sample;
        let structure = record.structure.as_ref().ok();
        let formula = structure.and_then(|s| Composition::of_structure(s).ok()).map(|c| c.reduced_formula());
        let limits = self.criteria.settings.limits;
        let mut cells = vec![
            record.id.clone(),
            formula.unwrap_or_default(),
            structure.map_or_else(String::new, |s| s.len().to_string()),
            text(row.group),
            text(sample.geometry),
            text(sample.composition),
            text(row.duplicate_of.as_ref()),
            text(row.known_as.as_ref()),
            text(sample.e_above_hull),
            sample.is_sun(limits.stable).to_string(),
            sample.is_sun(limits.metastable).to_string(),
        ];
        if self.criteria.judges.len() > 1 {
            let padded = (0..self.criteria.judges.len()).map(|judge| sample.by_judge.get(judge).copied().flatten());
            let within = |(energy, judge): (Option<f64>, usize)| {
                energy.filter(|energy| *energy <= limits.metastable).map(|_| judge.to_string())
            };
            let likes: Vec<String> = padded.clone().zip(1..).filter_map(within).collect();
            cells.extend(padded.map(text));
            cells.push(likes.join(" "));
        }
        cells.extend((!self.criteria.distances.is_empty()).then(|| text(sample.nearest)));
        self.predictions(row, &mut cells);
        self.twins(record, row, &mut cells);
        cells.push(if row.reasons.is_empty() { "ok".into() } else { row.reasons.join("; ") });
        self.table.row(&cells)
    }

    /// What the property models say of the sample and, with training data, of its twin.
    fn predictions(&mut self, row: &Row, cells: &mut Vec<String>) {
        let at = |values: &[Option<f64>], place: usize| values.get(place).copied().flatten();
        for (place, name) in self.criteria.properties.names().iter().enumerate() {
            let own = at(&row.properties, place);
            cells.push(text(own));
            if self.criteria.twins.has(Data::Training) {
                let known = row.twins.training.as_ref().and_then(|twin| at(&twin.predicted, place));
                cells.push(text(known));
                self.count(name, own, known);
            }
        }
    }

    fn twins(&mut self, record: &Record, row: &Row, cells: &mut Vec<String>) {
        if self.criteria.twins.has(Data::Training) {
            let twin = row.twins.training.as_ref();
            self.found("in_training_data", twin, cells);
            let a = |twin: &Twin| twin.structure.lattice.parameters().0[0];
            self.compare("a", row.a, twin.map(a), cells);
            if !self.criteria.judges.is_empty() {
                let first = row.sample.by_judge.first().copied().flatten();
                let known = twin.and_then(|twin| twin.e_above_hull);
                cells.push(text(known));
                self.count("e_hull", first, known);
            }
        }
        if self.criteria.twins.has(Data::Property) {
            let twin = row.twins.property.as_ref();
            self.found("in_property_data", twin, cells);
            for (place, column) in self.criteria.twins.columns().iter().enumerate() {
                self.compare(column, number(record, column), twin.and_then(|twin| twin.values[place]), cells);
            }
        }
    }

    fn found(&mut self, name: &'static str, twin: Option<&Twin>, cells: &mut Vec<String>) {
        *self.twinned.found.entry(name).or_default() += usize::from(twin.is_some());
        cells.extend([twin.is_some().to_string(), text(twin.map(|twin| &twin.id))]);
    }

    fn compare(&mut self, column: &str, own: Option<f64>, known: Option<f64>, cells: &mut Vec<String>) {
        cells.extend([text(own), text(known)]);
        self.count(column, own, known);
    }

    fn count(&mut self, column: &str, own: Option<f64>, known: Option<f64>) {
        if let (Some(own), Some(known)) = (own, known) {
            self.twinned.compared.entry(column.to_owned()).or_default().add(own, known);
        }
    }

    /// Puts the table in its place.
    pub fn finish(self) -> Result<Twinned, Failure> {
        self.table.finish()?;
        Ok(self.twinned)
    }
}

fn columns(criteria: &Criteria) -> Vec<String> {
    let mut columns: Vec<String> = [
        "id",
        "formula",
        "n_atoms",
        "space_group",
        "valid_structure",
        "valid_composition",
        "duplicate_of",
        "match",
        "e_hull",
        "sun",
        "msun",
    ]
    .map(String::from)
    .into();
    if criteria.judges.len() > 1 {
        columns.extend((1..=criteria.judges.len()).map(|judge| format!("e_hull_{judge}")));
        columns.push("metastable_by".into());
    }
    columns.extend((!criteria.distances.is_empty()).then(|| "nearest_amd".into()));
    for name in criteria.properties.names() {
        columns.extend([name.clone()]);
        columns.extend(criteria.twins.has(Data::Training).then(|| format!("twin_{name}")));
    }
    if criteria.twins.has(Data::Training) {
        columns.extend(["in_training_data", "training_match", "a", "known_a"].map(String::from));
        columns.extend((!criteria.judges.is_empty()).then(|| "known_e_hull".into()));
    }
    if criteria.twins.has(Data::Property) {
        columns.extend(["in_property_data", "property_match"].map(String::from));
        columns.extend(criteria.twins.columns().iter().flat_map(|name| [name.clone(), format!("known_{name}")]));
    }
    columns.push("status".into());
    columns
}

fn text(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
