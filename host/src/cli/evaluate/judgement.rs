//! A set of structures, judged: the samples as they are, or what a relaxation made of them.

use rayon::prelude::*;
use serde_json::Value;

use super::criteria::Criteria;
use super::twins::{Pair, Twin};
use crate::cli::Failure;
use crate::crystal::{Record, SYMPREC, SpaceGroup, Structure, symmetry};
use crate::matching::{DistinctStructures, ReducedStructure};
use crate::metrics::{AverageDistances, Evaluation, Measure, Sample, Tally, has_sound_geometry};
use crate::reward::Sanity;

/// The judgement of a set, as it grows.
pub(super) struct Judgement<'a> {
    criteria: &'a Criteria,
    distinct: DistinctStructures,
    /// Identifiers in order.
    pub ids: Vec<String>,
    samples: Vec<Sample>,
    tally: Tally,
}

/// A sample with what the table says of it besides.
#[derive(Default)]
pub(super) struct Row {
    pub sample: Sample,
    reduced: Option<ReducedStructure>,
    /// The space group that is found.
    pub group: Option<SpaceGroup>,
    pub duplicate_of: Option<String>,
    pub known_as: Option<String>,
    /// Shortest vector of the reduced cell, angstrom.
    pub a: Option<f64>,
    /// What the property models say.
    pub properties: Vec<Option<f64>>,
    /// The same crystal in the training data and in data of a property.
    pub twins: Pair,
    /// Why something could not be found out.
    pub reasons: Vec<String>,
}

impl<'a> Judgement<'a> {
    pub fn new(criteria: &'a Criteria) -> Self {
        let distinct = DistinctStructures::new(criteria.settings.matcher.clone());
        Self { criteria, distinct, ids: Vec::new(), samples: Vec::new(), tally: Tally::default() }
    }

    /// Judges the next structures of the set.
    pub fn add(&mut self, records: &[Record]) -> Result<Vec<Row>, Failure> {
        let rows = records.par_iter().map(|record| self.criteria.row(record));
        let mut rows = rows.collect::<Result<Vec<Row>, Failure>>()?;
        self.criteria.judge(records, &mut rows);
        for (record, row) in records.iter().zip(&mut rows) {
            if let Some(reduced) = row.reduced.take() {
                let first = self.distinct.first_or_insert(self.ids.len(), reduced);
                row.sample.unique = Some(first.is_none());
                row.duplicate_of = first.map(|first| self.ids[first].clone());
            }
            if let (Ok(structure), Some(true)) = (&record.structure, row.sample.geometry) {
                self.tally.add(structure, row.group);
            }
            self.ids.push(record.id.clone());
            self.samples.push(row.sample.clone());
        }
        Ok(rows)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// The figures, as shares of the samples that were asked for.
    pub fn evaluation(&self, requested: usize) -> Evaluation {
        let Criteria { settings, judges, tally, .. } = self.criteria;
        let measure = Measure { requested, limits: settings.limits, judges: judges.len(), known: tally.as_ref() };
        Evaluation::new(&self.samples, &self.tally, measure)
    }
}

impl Criteria {
    /// What can be said of a record without the other samples and without the judges.
    fn row(&self, record: &Record) -> Result<Row, Failure> {
        let mut row = Row::default();
        row.sample.group = stated_group(record);
        let structure = match &record.structure {
            Ok(structure) => structure,
            Err(error) => {
                let refused = record.extra.get("refused").and_then(Value::as_str);
                row.reasons.push(refused.map_or_else(|| error.to_string(), |reason| format!("no crystal: {reason}")));
                return Ok(row);
            }
        };
        match has_sound_geometry(structure) {
            Ok(sound) => row.sample.geometry = Some(sound),
            Err(error) => row.reasons.push(error.to_string()),
        }
        match self.neutrality.value(structure) {
            Ok(value) => row.sample.composition = Some(value == 1.0),
            Err(failure) => row.reasons.push(failure.to_string()),
        }
        if row.sample.geometry == Some(true) {
            row.find_group(structure);
            self.measure_nearest(structure, &mut row);
        }
        match self.settings.matcher.reduce(structure) {
            Ok(reduced) => {
                let found = self.known.iter().find_map(|index| index.find(&reduced).transpose()).transpose()?;
                row.sample.novel = (!self.known.is_empty()).then_some(found.is_none());
                row.known_as = found;
                row.twins = self.twins.find(&reduced)?;
                row.a = reduced.to_structure().ok().map(|cell| cell.lattice.parameters().0[0]);
                row.reduced = Some(reduced);
            }
            Err(error) => row.reasons.push(error.to_string()),
        }
        Ok(row)
    }

    /// The average minimum distance to the nearest known structure, if it is asked for.
    fn measure_nearest(&self, structure: &Structure, row: &mut Row) {
        if self.distances.is_empty() {
            return;
        }
        match AverageDistances::new(structure) {
            Ok(averages) => {
                let distances = self.distances.iter().map(|known| averages.distance(known));
                row.sample.nearest = distances.min_by(f64::total_cmp);
            }
            Err(error) => row.reasons.push(error.to_string()),
        }
    }

    /// Asks the judges and the property models. What they say of something that is no crystal means nothing; with the bounds of a
    /// reward, a stable crystal is one there, too.
    fn judge(&self, records: &[Record], rows: &mut [Row]) {
        if self.judges.is_empty() && self.properties.is_empty() {
            return;
        }
        let sanity = Sanity::default();
        let sound = |(record, row): (&'_ Record, &Row)| match (&record.structure, row.sample.geometry) {
            (Ok(structure), Some(true)) => sanity.check(structure).map_err(|e| e.to_string()),
            _ => Err(String::new()),
        };
        let sound: Vec<Result<(), String>> = records.par_iter().zip(rows.par_iter()).map(sound).collect();
        let asked = records.iter().zip(&sound).map(|(record, sound)| match (&record.structure, sound) {
            (Ok(structure), Ok(())) => Ok(structure),
            _ => Err(String::new()),
        });
        let asked: Vec<Result<&Structure, String>> = asked.collect();
        for (row, reason) in rows.iter_mut().zip(sound) {
            row.reasons.extend(reason.err().filter(|reason| !reason.is_empty()));
        }
        self.ask_judges(&asked, rows);
        for (row, predicted) in rows.iter_mut().zip(self.properties.predict(&asked)) {
            row.reasons.extend(predicted.reasons);
            row.properties = predicted.values;
        }
        self.ask_about_twins(rows);
    }

    fn ask_judges(&self, asked: &[Result<&Structure, String>], rows: &mut [Row]) {
        for judge in &self.judges {
            for (row, found) in rows.iter_mut().zip(judge.energies(asked.to_vec())) {
                let name = if self.judges.len() > 1 { format!("{}: ", judge.name) } else { String::new() };
                row.reasons.extend(found.as_ref().err().filter(|reason| !reason.is_empty()).map(|r| name + r));
                row.sample.by_judge.push(found.ok());
            }
        }
        rows.iter_mut().for_each(|row| row.sample.e_above_hull = self.settings.deciding_energy(&row.sample));
    }

    /// Asks the first judge and the property models about the twins in the training data.
    fn ask_about_twins(&self, rows: &mut [Row]) {
        let mut twins: Vec<&mut Twin> = rows.iter_mut().filter_map(|row| row.twins.training.as_mut()).collect();
        let structures: Vec<Structure> = twins.iter().map(|twin| twin.structure.clone()).collect();
        let asked: Vec<Result<&Structure, String>> = structures.iter().map(Ok).collect();
        for (twin, predicted) in twins.iter_mut().zip(self.properties.predict(&asked)) {
            twin.predicted = predicted.values;
        }
        if let Some(judge) = self.judges.first() {
            for (twin, found) in twins.iter_mut().zip(judge.energies(asked)) {
                twin.e_above_hull = found.ok();
            }
        }
    }
}

impl Row {
    /// The space group, and whether it is the one that was asked for.
    fn find_group(&mut self, structure: &Structure) {
        match symmetry(structure, SYMPREC) {
            Ok(found) => {
                self.sample.group_kept = self.sample.group.map(|asked| asked == found.group);
                self.group = Some(found.group);
                self.sample.group.get_or_insert(found.group);
            }
            Err(error) => self.reasons.push(error.to_string()),
        }
    }
}

/// The space group that was asked for: a key or column `spacegroup`, or that of the tokens.
fn stated_group(record: &Record) -> Option<SpaceGroup> {
    let of_tokens = || record.extra.get("tokens").and_then(|tokens| tokens.get("spacegroup"));
    let number = match record.extra.get("spacegroup").or_else(of_tokens)? {
        Value::String(text) => text.trim().parse().ok()?,
        number => number.as_i64()?,
    };
    SpaceGroup::new(number).ok()
}
