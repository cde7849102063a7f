//! The samples after a relaxation by the first judge's potential, judged once more.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Evaluate;
use super::criteria::Criteria;
use super::judgement::Judgement;
use super::table::StructureTable;
use crate::cli::relax::{RelaxTable, relax_rows, with_results};
use crate::cli::{Context, Failure, Progress};
use crate::crystal::{Record, RowError, Structure, StructureWriter};
use crate::matching::StructureMatcher;
use crate::metrics::{Evaluation, Proportion};
use crate::model::ForceModel;
use crate::relax::{Cell, RelaxSettings, Relaxed, mean_lattice};

/// Force (eV/A) below which a sample counts as relaxed: LeMat-GenBench's.
const FMAX: f64 = 0.02;

/// How the samples of an evaluation are relaxed.
pub(super) fn settings(steps: usize) -> RelaxSettings {
    RelaxSettings { fmax: FMAX, steps, cell: Cell::Relaxed, symmetry: None }
}

/// The relaxed samples, as they come.
pub(super) struct RelaxedSamples<'a> {
    model: ForceModel,
    settings: RelaxSettings,
    judgement: Judgement<'a>,
    table: StructureTable<'a>,
    relaxation: RelaxTable,
    structures: StructureWriter,
    converged: usize,
    /// Distances to the relaxed structures, angstrom, and how many of them a matching confirms.
    rmsd: Vec<f64>,
    matched: usize,
}

/// What is said of them.
pub(super) struct RelaxedFigures {
    pub evaluation: Evaluation,
    /// Of the relaxation itself.
    pub relaxation: Value,
}

impl<'a> RelaxedSamples<'a> {
    pub fn open(evaluate: &Evaluate, criteria: &'a Criteria, context: &Context) -> Result<Option<Self>, Failure> {
        let (Some(steps), Some(judge)) = (evaluate.relax, criteria.judges.first()) else { return Ok(None) };
        let at = |name: &str| context.writable(&evaluate.out.join(name));
        Ok(Some(Self {
            model: context.force_model(Arc::clone(judge.potential()))?,
            settings: settings(steps),
            judgement: Judgement::new(criteria),
            table: StructureTable::create(&at("relaxed.csv"), criteria)?,
            relaxation: RelaxTable::create(&at("relaxation.csv"))?,
            structures: StructureWriter::create(&at("relaxed.extxyz"), &[])?,
            converged: 0,
            rmsd: Vec::new(),
            matched: 0,
        }))
    }

    /// Relaxes and judges the next samples.
    pub fn add(&mut self, records: &[Record], progress: &Progress) -> Result<(), Failure> {
        let rows = relax_rows(&self.model, records, &self.settings, progress);
        let mut relaxed = Vec::with_capacity(records.len());
        for (record, row) in records.iter().zip(rows) {
            self.relaxation.add(record, &row)?;
            if let (Ok(start), Ok(end)) = (&record.structure, &row) {
                self.measure(start, end);
                self.structures.add(&with_results(record, end.clone()))?;
            }
            relaxed.push(as_relaxed(record, row));
        }
        for (record, row) in relaxed.iter().zip(self.judgement.add(&relaxed)?) {
            self.table.add(record, &row)?;
        }
        Ok(())
    }

    /// The distance to the relaxed structure as MatterGen has it: the root mean square of a matching with wide tolerances and without
    /// scaling, half the length per atom where there is none.
    fn measure(&mut self, start: &Structure, end: &Relaxed) {
        let matcher = StructureMatcher { ltol: 0.5, stol: 0.5, angle_tol: 10.0, primitive: true, scale: false };
        let unit = mean_lattice(&start.lattice, &end.structure.lattice)
            .map_or(f64::INFINITY, |lattice| (lattice.volume() / start.len() as f64).cbrt());
        let pair = matcher.reduce(start).ok().zip(matcher.reduce(&end.structure).ok());
        let found = pair.and_then(|(start, end)| matcher.displacement(&start, &end));
        self.converged += usize::from(end.converged);
        self.matched += usize::from(found.is_some());
        self.rmsd.push(unit * found.map_or(matcher.stol, |found| found.rms));
    }

    /// Puts the files in their places.
    pub fn finish(mut self, requested: usize) -> Result<RelaxedFigures, Failure> {
        self.table.finish()?;
        self.relaxation.finish()?;
        self.structures.finish()?;
        self.rmsd.sort_by(f64::total_cmp);
        let count = self.rmsd.len();
        let mean = self.rmsd.iter().sum::<f64>() / count as f64;
        let relaxation = json!({
            "steps": self.settings.steps, "fmax": self.settings.fmax,
            "relaxed": Proportion::new(count, requested), "converged": Proportion::new(self.converged, requested),
            "rmsd": { "of": count, "matched": self.matched, "mean": (count > 0).then_some(mean), "median": self.rmsd.get(count / 2) },
        });
        Ok(RelaxedFigures { evaluation: self.judgement.evaluation(requested), relaxation })
    }
}

impl RelaxedFigures {
    /// What is said at the terminal before the shares.
    pub fn sentence(&self) -> String {
        let number = |pointer: &str| self.relaxation.pointer(pointer).cloned().unwrap_or_default();
        let (relaxed, converged) = (number("/relaxed/count"), number("/converged/count"));
        let rmsd =
            number("/rmsd/mean").as_f64().map_or_else(String::new, |rmsd| format!(", {rmsd:.3} A away on average"));
        format!("relaxed: {relaxed}, {converged} to rest{rmsd}")
    }

    /// For metrics.json.
    pub fn json(&self) -> Value {
        let mut all = Map::from_iter([("relaxation".to_owned(), self.relaxation.clone())]);
        if let Ok(Value::Object(figures)) = serde_json::to_value(&self.evaluation) {
            all.extend(figures);
        }
        Value::Object(all)
    }
}

/// The record with its relaxed structure, or with the reason why there is none.
fn as_relaxed(record: &Record, row: Result<Relaxed, String>) -> Record {
    match (&record.structure, row) {
        (Err(_), _) => record.clone(),
        (Ok(_), Ok(relaxed)) => Record { structure: Ok(relaxed.structure), orbits: None, ..record.clone() },
        (Ok(_), Err(reason)) => {
            let mut failed = record.clone();
            failed.structure = Err(RowError::Missing { what: "relaxed structure".into() });
            failed.extra.insert("refused".into(), json!(format!("not relaxed: {reason}")));
            failed
        }
    }
}
