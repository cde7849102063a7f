//! The terms of a run, and the scoring of a batch of crystals by all of them.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::hull_term::WORST_E_HULL;
use super::{Builtin, Column, Failure, ForceTerm, HullTerm, OnFailure, OnnxModel, Outcome, RewardTable, Sanity};
use crate::crystal::Structure;

/// What computes a term.
#[derive(Clone, Debug)]
pub enum TermKind {
    /// The structure alone.
    Builtin(Builtin),
    /// One output of a model.
    Onnx {
        /// The model.
        model: Arc<OnnxModel>,
        /// The output, one of [`OnnxModel::quantities`].
        quantity: String,
    },
    /// A potential and a hull.
    Hull(HullTerm),
    /// The size of a potential's forces and stress.
    Force(ForceTerm),
}

/// A named reward term.
#[derive(Clone, Debug)]
pub struct Term {
    /// Its name in the objective.
    pub name: String,
    /// What computes it.
    pub kind: TermKind,
    /// What its failures mean.
    pub on_failure: OnFailure,
    /// Makes it a filter: rows with a lower value, or none, skip the terms that are no filters.
    pub bound: Option<f64>,
}

impl TermKind {
    /// Terms are asked in this order.
    fn dearness(&self) -> u8 {
        match self {
            Self::Builtin(_) => 0,
            Self::Onnx { .. } => 1,
            Self::Hull(_) => 2,
            Self::Force(_) => 3,
        }
    }

    fn documented_worst(&self) -> Option<f64> {
        match self {
            Self::Hull(_) => Some(WORST_E_HULL),
            Self::Force(term) => Some(term.worst()),
            Self::Builtin(_) | Self::Onnx { .. } => None,
        }
    }
}

/// The terms of a run.
#[derive(Clone, Debug)]
pub struct Rewards {
    terms: Vec<Term>,
    sanity: Sanity,
}

impl Rewards {
    /// Terms with different names, and the bounds outside which no model is believed.
    pub fn new(terms: Vec<Term>, sanity: Sanity) -> Self {
        Self { terms, sanity }
    }

    /// Names of the terms, over which an objective is parsed.
    pub fn names(&self) -> Vec<&str> {
        self.terms.iter().map(|term| term.name.as_str()).collect()
    }

    /// Asks every term about every row, filters first and cheap terms before dear ones. A row without a structure (its
    /// reason given as text) fails every term. Equal structures are evaluated once.
    pub fn score(&self, rows: &[Result<Structure, String>]) -> RewardTable {
        let columns = self.terms.iter().map(Term::column).collect();
        let mut table = RewardTable::new(columns, rows.len());
        for (row, reason) in rows.iter().enumerate().filter_map(|(row, r)| Some((row, r.as_ref().err()?))) {
            for column in 0..self.terms.len() {
                table.set(row, column, Outcome::Failed(Failure::NoStructure(reason.clone())));
            }
        }
        let mut crystals = distinct(rows);
        let mut order: Vec<usize> = (0..self.terms.len()).collect();
        order.sort_by_key(|&term| (self.terms[term].bound.is_none(), self.terms[term].kind.dearness()));
        for column in order {
            crystals.retain(|crystal| !table.rejected(crystal.rows[0]));
            let structures: Vec<&Structure> = crystals.iter().map(|crystal| crystal.structure).collect();
            let values = self.terms[column].kind.values(&structures, &self.sanity);
            for (crystal, value) in crystals.iter().zip(values) {
                let outcome = Outcome::from(value);
                crystal.rows.iter().for_each(|&row| table.set(row, column, outcome.clone()));
            }
        }
        table
    }
}

impl Term {
    fn column(&self) -> Column {
        let worst = self.kind.documented_worst();
        Column { name: self.name.clone(), on_failure: self.on_failure, worst, bound: self.bound }
    }
}

impl TermKind {
    fn values(&self, structures: &[&Structure], sanity: &Sanity) -> Vec<Result<f64, Failure>> {
        match self {
            Self::Builtin(term) => structures.par_iter().map(|s| Ok(term.evaluate(s))).collect(),
            Self::Onnx { model, quantity } => if_sane(structures, sanity, |sane| {
                let rows = model.evaluate(sane, &[quantity]);
                rows.into_iter().map(|row| row.map(|values| values[0])).collect()
            }),
            Self::Hull(term) => if_sane(structures, sanity, |sane| term.values(sane, sanity)),
            Self::Force(term) => if_sane(structures, sanity, |sane| term.values(sane)),
        }
    }
}

/// Evaluates the structures that a model may be asked about; the others fail.
fn if_sane(
    structures: &[&Structure],
    sanity: &Sanity,
    evaluate: impl Fn(&[&Structure]) -> Vec<Result<f64, Failure>>,
) -> Vec<Result<f64, Failure>> {
    let checks: Vec<Result<(), Failure>> = structures.par_iter().map(|s| sanity.check(s)).collect();
    let sane: Vec<&Structure> = structures.iter().zip(&checks).filter(|(_, c)| c.is_ok()).map(|(s, _)| *s).collect();
    let mut values = evaluate(&sane).into_iter();
    let missing = || Err(Failure::Model("it gave no result".into()));
    checks.into_iter().map(|check| check.and_then(|()| values.next().unwrap_or_else(missing))).collect()
}

/// A structure and the rows that have it.
struct Crystal<'a> {
    structure: &'a Structure,
    /// At least one.
    rows: Vec<usize>,
}

/// The different structures among the rows, in the order of their first row.
fn distinct(rows: &[Result<Structure, String>]) -> Vec<Crystal<'_>> {
    let mut crystals: Vec<Crystal<'_>> = Vec::new();
    let mut seen: HashMap<[u8; 32], usize> = HashMap::new();
    for (row, structure) in rows.iter().enumerate().filter_map(|(row, r)| Some((row, r.as_ref().ok()?))) {
        let place = *seen.entry(structure_hash(structure)).or_insert(crystals.len());
        match crystals.get_mut(place) {
            Some(crystal) => crystal.rows.push(row),
            None => crystals.push(Crystal { structure, rows: vec![row] }),
        }
    }
    crystals
}

/// SHA-256 of exactly these numbers: other descriptions of the same crystal hash differently.
pub fn structure_hash(structure: &Structure) -> [u8; 32] {
    let mut hash = Sha256::new();
    for number in structure.lattice.0.iter().chain(&structure.frac).flatten() {
        hash.update(number.to_le_bytes());
    }
    structure.species.iter().for_each(|element| hash.update([element.number()]));
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Lattice};
    use crate::reward::testing::{runtime, shared};
    use crate::reward::{ModelOptions, Objective};

    fn cubic(symbol: &str, a: f64) -> Structure {
        let lattice = Lattice([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
        Structure::new(lattice, vec![Element::from_symbol(symbol).unwrap()], vec![[0.0; 3]]).unwrap()
    }

    fn builtin(name: &str, text: &str, bound: Option<f64>) -> Term {
        let kind = TermKind::Builtin(text.parse().unwrap());
        Term { name: name.into(), kind, on_failure: OnFailure::Worst, bound }
    }

    #[test]
    fn filters_are_asked_first_and_spare_the_other_terms() {
        let terms = vec![builtin("volume", "volume_per_atom", None), builtin("iron", "has_element(Fe)", Some(1.0))];
        let rewards = Rewards::new(terms, Sanity::default());
        let rows = [Ok(cubic("Fe", 2.0)), Err("space group 231".into()), Ok(cubic("Li", 3.0)), Ok(cubic("Fe", 2.0))];
        let table = rewards.score(&rows);
        assert_eq!(table.row(0), [Outcome::Value(8.0), Outcome::Value(1.0)]);
        assert_eq!(table.row(2), [Outcome::NotAsked, Outcome::Value(0.0)]);
        assert_eq!(table.row(3), table.row(0));
        let refused = Outcome::Failed(Failure::NoStructure("space group 231".into()));
        assert_eq!(table.row(1), [refused.clone(), refused]);
        let objective = Objective::parse("-volume", &rewards.names()).unwrap();
        let values = table.objective_values(&objective, 0.5).unwrap();
        assert_eq!(values.values(), [Some(-8.0); 4]);
        assert_eq!(values.failed(), 1);
    }

    #[test]
    fn equal_structures_are_one_crystal() {
        let rows = [
            Ok(cubic("Fe", 2.0)),
            Ok(cubic("Fe", 2.1)),
            Err(String::new()),
            Ok(cubic("Fe", 2.0)),
            Ok(cubic("Li", 2.0)),
        ];
        let crystals = distinct(&rows);
        assert_eq!(crystals.iter().map(|c| c.rows.clone()).collect::<Vec<_>>(), [vec![0, 3], vec![1], vec![4]]);
        assert!(Rewards::new(vec![], Sanity::default()).score(&[]).statistics().is_empty());
    }

    #[test]
    fn a_model_is_not_asked_about_absurd_crystals() {
        let Some(shared) = shared() else { return };
        let path = shared.join("models/chgnet-0.3.0-fast.onnx");
        let options = ModelOptions { threads: 1, ..ModelOptions::default() };
        let model = Arc::new(OnnxModel::open(&runtime(), &path, options).unwrap());
        let kind = TermKind::Onnx { model, quantity: "energy".into() };
        let term = Term { name: "energy".into(), kind, on_failure: OnFailure::Worst, bound: None };
        let rewards = Rewards::new(vec![term], Sanity::default());
        let rows = [cubic("Fe", 0.45), cubic("Fe", 2.5), cubic("Os", 1.2), cubic("Am", 3.0)];
        let table = rewards.score(&rows.map(Ok));
        let kinds = [0, 1, 2, 3].map(|row| match &table.row(row)[0] {
            Outcome::Failed(failure) => failure.kind(),
            other => {
                if other.value().is_some() {
                    "value"
                } else {
                    "none"
                }
            }
        });
        assert_eq!(kinds, ["atoms too close", "value", "absurd density", "unknown element"]);
    }
}
