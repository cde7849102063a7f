//! The terms of a run, and the scoring of a batch of crystals by all of them.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::hull_term::WORST_E_HULL;
use super::questions::{Answer, Answers, Question, no_result};
use super::{
    Builtin, Column, Failure, ForceTerm, HullTerm, KnownCompositions, OnFailure, Outcome, PluginTerm, RewardTable,
    Sanity,
};
use crate::crystal::{Composition, Structure};
use crate::model::OnnxModel;

/// What computes a term.
#[derive(Clone, Debug)]
pub enum TermKind {
    /// The structure alone.
    Builtin(Builtin),
    /// 1 if the reduced composition is not among these, else 0.
    Novelty(Arc<KnownCompositions>),
    /// 1 / n where n rows of the batch have the reduced composition, rows that a filter rejects included.
    Uniqueness,
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
    /// A plugin, or a program of the user's.
    Plugin(PluginTerm),
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
    /// Makes it a filter: rows with a value outside of these ends, and failed ones, skip the terms that are no filters.
    pub bound: Option<[f64; 2]>,
}

impl TermKind {
    /// Terms are asked in this order.
    fn dearness(&self) -> u8 {
        match self {
            Self::Builtin(_) | Self::Novelty(_) | Self::Uniqueness => 0,
            Self::Onnx { .. } => 1,
            Self::Hull(_) => 2,
            Self::Force(_) => 3,
            Self::Plugin(_) => 4,
        }
    }

    /// What a model is asked, and that only about crystals that are sane.
    fn question(&self) -> Option<Question<'_>> {
        match self {
            Self::Builtin(_) | Self::Novelty(_) | Self::Uniqueness => None,
            Self::Onnx { model, quantity } => Some(Question::Number(model, quantity)),
            Self::Hull(term) => Some(Question::Number(term.model(), "energy")),
            Self::Force(term) => Some(Question::Response(term.forces())),
            Self::Plugin(term) => term.potential().map(|model| Question::Number(model, "energy")),
        }
    }

    /// Whether it may be asked about sane crystals only: what others made is not to be trusted with absurd ones.
    fn wants_sane(&self) -> bool {
        matches!(self, Self::Onnx { .. } | Self::Hull(_) | Self::Force(_) | Self::Plugin(_))
    }

    /// Whether other processes do its work, for which no thread of the models should wait.
    fn works_apart(&self) -> bool {
        matches!(self, Self::Plugin(term) if term.works_apart())
    }

    fn documented_worst(&self) -> Option<f64> {
        match self {
            Self::Hull(_) => Some(WORST_E_HULL),
            Self::Force(term) => Some(term.worst()),
            Self::Plugin(term) => term.worst(),
            _ => None,
        }
    }

    /// The values that it can have; a bound or an expression that none of them satisfies is a mistake.
    pub fn range(&self) -> [f64; 2] {
        match self {
            Self::Builtin(term) => term.range(),
            Self::Novelty(_) | Self::Uniqueness => [0.0, 1.0],
            Self::Onnx { .. } => [f64::NEG_INFINITY, f64::INFINITY],
            Self::Hull(_) => [f64::NEG_INFINITY, WORST_E_HULL],
            Self::Force(term) => [f64::NEG_INFINITY, term.worst()],
            Self::Plugin(term) => term.range(),
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
    /// reason given as text) fails every term. Equal structures are evaluated once. The table's funnel says how many rows
    /// were sampled, decoded, passed each filter, and were sane enough for a model, in that order.
    pub fn score(&self, rows: &[Result<Structure, String>]) -> RewardTable {
        let columns = self.terms.iter().map(Term::column).collect();
        let mut table = RewardTable::new(columns, rows.len());
        for (row, reason) in rows.iter().enumerate().filter_map(|(row, r)| Some((row, r.as_ref().err()?))) {
            for column in 0..self.terms.len() {
                table.set(row, column, Outcome::Failed(Failure::NoStructure(reason.clone())));
            }
        }
        let mut crystals = distinct(rows);
        let copies = copies(&crystals);
        table.reached("sampled", rows.len());
        table.reached("decoded", count(&crystals));
        let (filters, others) = self.order();
        let mut answers = Answers::default();
        let mut checked = false;
        for column in filters {
            checked = checked || self.check_sanity(&[column], &mut crystals, &mut table);
            let values = self.values(&[column], &crystals, &copies, &mut answers);
            record(&mut table, &crystals, values);
            crystals.retain(|crystal| !table.rejected(crystal.rows[0]));
            table.reached(&self.terms[column].name, count(&crystals));
        }
        if !checked {
            self.check_sanity(&others, &mut crystals, &mut table);
        }
        let values = self.values(&others, &crystals, &copies, &mut answers);
        record(&mut table, &crystals, values);
        table
    }

    /// Settles which crystals are sane, if any of the terms asks a model; says whether it did.
    fn check_sanity(&self, columns: &[usize], crystals: &mut [Crystal<'_>], table: &mut RewardTable) -> bool {
        let needed = columns.iter().any(|&column| self.terms[column].kind.wants_sane());
        if needed {
            crystals.par_iter_mut().for_each(|crystal| crystal.sane = self.sanity.check(crystal.structure));
            table.reached("sane", crystals.iter().filter(|c| c.sane.is_ok()).map(|c| c.rows.len()).sum());
        }
        needed
    }

    /// What each of some terms gives for every crystal. Programs of others work meanwhile.
    fn values<'a>(
        &'a self,
        columns: &[usize],
        crystals: &[Crystal<'_>],
        copies: &HashMap<String, usize>,
        answers: &mut Answers<'a>,
    ) -> Vec<(usize, Vec<Outcome>)> {
        let (apart, here): (Vec<usize>, Vec<usize>) = columns.iter().partition(|&&c| self.terms[c].kind.works_apart());
        std::thread::scope(|scope| {
            let outcomes = |c: usize| self.terms[c].kind.outcomes(crystals, copies, &Answers::default(), &self.sanity);
            let apart: Vec<_> = apart.into_iter().map(|c| (c, scope.spawn(move || outcomes(c)))).collect();
            let mut values = self.values_here(&here, crystals, copies, answers);
            let joined = apart.into_iter().map(|(c, thread)| (c, thread.join().unwrap_or_else(|p| resume_unwind(p))));
            values.extend(joined);
            values
        })
    }

    /// The same in this process. Models are asked side by side on the same threads: where one has not enough crystals left for
    /// all of them, the next one's fill the rest. The numbers do not change by it.
    fn values_here<'a>(
        &'a self,
        columns: &[usize],
        crystals: &[Crystal<'_>],
        copies: &HashMap<String, usize>,
        answers: &mut Answers<'a>,
    ) -> Vec<(usize, Vec<Outcome>)> {
        let questions: Vec<Question<'a>> = columns.iter().filter_map(|&c| self.terms[c].kind.question()).collect();
        let first = questions.first().map(Question::model);
        let all = || {
            let sane = crystals.iter().filter(|crystal| crystal.sane.is_ok());
            let sane: Vec<(usize, &Structure)> = sane.map(|crystal| (crystal.rows[0], crystal.structure)).collect();
            answers.ask(questions, &sane);
            let outcomes = |c: usize| (c, self.terms[c].kind.outcomes(crystals, copies, answers, &self.sanity));
            columns.par_iter().map(|&column| outcomes(column)).collect()
        };
        match first {
            Some(model) => model.on_its_threads(all),
            None => all(),
        }
    }

    /// Filters, then the other terms, each in the order in which they are asked.
    fn order(&self) -> (Vec<usize>, Vec<usize>) {
        let mut order: Vec<usize> = (0..self.terms.len()).collect();
        order.sort_by_key(|&term| self.terms[term].kind.dearness());
        order.into_iter().partition(|&term| self.terms[term].bound.is_some())
    }
}

/// Puts what some terms gave into the rows of the crystals.
fn record(table: &mut RewardTable, crystals: &[Crystal<'_>], values: Vec<(usize, Vec<Outcome>)>) {
    for (column, outcomes) in values {
        for (crystal, outcome) in crystals.iter().zip(outcomes) {
            crystal.rows.iter().for_each(|&row| table.set(row, column, outcome.clone()));
        }
    }
}

impl Term {
    fn column(&self) -> Column {
        let worst = self.kind.documented_worst();
        Column { name: self.name.clone(), on_failure: self.on_failure, worst, bound: self.bound }
    }
}

impl TermKind {
    /// One outcome per crystal.
    fn outcomes(
        &self,
        crystals: &[Crystal<'_>],
        copies: &HashMap<String, usize>,
        answers: &Answers<'_>,
        sanity: &Sanity,
    ) -> Vec<Outcome> {
        let answered = |value: &(dyn Fn(&Crystal<'_>, &Answer) -> Result<f64, Failure> + Sync)| {
            let value = |crystal: &Crystal<'_>| value(crystal, self.answer(crystal, answers)?);
            crystals.par_iter().map(|crystal| value(crystal).into()).collect()
        };
        match self {
            Self::Builtin(term) => crystals.par_iter().map(|c| term.evaluate(c.structure).into()).collect(),
            Self::Novelty(known) => {
                let novel = |c: &Crystal<'_>| f64::from(u8::from(!known.contains(&c.formula)));
                crystals.iter().map(|c| Outcome::Value(novel(c))).collect()
            }
            Self::Uniqueness => crystals.iter().map(|c| Outcome::Value(1.0 / copies[&c.formula] as f64)).collect(),
            Self::Onnx { .. } => answered(&|_, answer| answer.number()),
            Self::Hull(term) => self.of_energies(crystals, answers, |structures, energies| {
                term.values(structures, energies, sanity).into_iter().map(Outcome::from).collect()
            }),
            Self::Force(term) => answered(&|_, answer| Ok(term.value(answer.response()?))),
            Self::Plugin(term) => {
                self.of_energies(crystals, answers, |structures, energies| term.outcomes(structures, energies))
            }
        }
    }

    /// What somebody says of the crystals that are sane, and of their energies (eV per cell) if a model is asked for them; the
    /// others fail.
    fn of_energies(
        &self,
        crystals: &[Crystal<'_>],
        answers: &Answers<'_>,
        ask: impl FnOnce(&[&Structure], &[f64]) -> Vec<Outcome>,
    ) -> Vec<Outcome> {
        let energy = |crystal: &Crystal<'_>| match self.question() {
            None => crystal.sane.clone().map(|()| f64::NAN),
            Some(_) => self.answer(crystal, answers)?.number(),
        };
        let energies: Vec<Result<f64, Failure>> = crystals.iter().map(energy).collect();
        let asked =
            crystals.iter().zip(&energies).filter_map(|(c, energy)| Some((c.structure, *energy.as_ref().ok()?)));
        let (structures, known): (Vec<&Structure>, Vec<f64>) = asked.unzip();
        let mut outcomes = ask(&structures, &known).into_iter();
        let outcome = |energy: Result<f64, Failure>| match energy {
            Ok(_) => outcomes.next().unwrap_or_else(|| Outcome::Failed(no_result())),
            Err(failure) => Outcome::Failed(failure),
        };
        energies.into_iter().map(outcome).collect()
    }

    /// What the model says about a crystal; a crystal that is not sane fails without being asked about.
    fn answer<'a>(&self, crystal: &Crystal<'_>, answers: &'a Answers<'_>) -> Result<&'a Answer, Failure> {
        crystal.sane.clone()?;
        let asked = self.question().and_then(|question| answers.to(&question)?.get(&crystal.rows[0]));
        asked.ok_or_else(no_result)?.as_ref().map_err(Failure::clone)
    }
}

/// A structure and the rows that have it.
#[derive(Clone)]
struct Crystal<'a> {
    structure: &'a Structure,
    /// Reduced.
    formula: String,
    /// Whether a model may be asked; settled before the first one is.
    sane: Result<(), Failure>,
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
            None => {
                let formula =
                    Composition::of_structure(structure).map_or_else(|_| String::new(), |c| c.reduced_formula());
                crystals.push(Crystal { structure, formula, sane: Ok(()), rows: vec![row] });
            }
        }
    }
    crystals
}

/// Rows in all.
fn count(crystals: &[Crystal<'_>]) -> usize {
    crystals.iter().map(|crystal| crystal.rows.len()).sum()
}

/// How many rows have each reduced formula.
fn copies(crystals: &[Crystal<'_>]) -> HashMap<String, usize> {
    let mut copies = HashMap::new();
    for crystal in crystals {
        *copies.entry(crystal.formula.clone()).or_default() += crystal.rows.len();
    }
    copies
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
    use crate::model::ModelOptions;
    use crate::model::testing::{json_lines, runtime, shared, structure};
    use crate::reward::{BuiltinTerm, Objective};

    /// Iron alone.
    fn known() -> Arc<KnownCompositions> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.txt");
        std::fs::write(&path, "Fe4").unwrap();
        Arc::new(KnownCompositions::read(&path).unwrap())
    }

    fn cubic(symbol: &str, a: f64) -> Structure {
        let lattice = Lattice([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
        Structure::new(lattice, vec![Element::from_symbol(symbol).unwrap()], vec![[0.0; 3]]).unwrap()
    }

    fn builtin(name: &str, text: &str, bound: Option<[f64; 2]>) -> Term {
        let kind = match text.parse().unwrap() {
            BuiltinTerm::OfStructure(term) => TermKind::Builtin(term),
            BuiltinTerm::Uniqueness => TermKind::Uniqueness,
            BuiltinTerm::Novelty => TermKind::Novelty(known()),
        };
        Term { name: name.into(), kind, on_failure: OnFailure::Worst, bound }
    }

    #[test]
    fn filters_are_asked_first_and_spare_the_other_terms() {
        let terms =
            vec![builtin("volume", "volume_per_atom", None), builtin("iron", "has_element(Fe)", Some([1.0, 1.0]))];
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
        assert_eq!((values.failed(), values.scored()), (1, 2));
        let funnel: Vec<(&str, usize)> = table.funnel().iter().map(|s| (s.name.as_str(), s.rows)).collect();
        assert_eq!(funnel, [("sampled", 4), ("decoded", 3), ("iron", 2)]);
        assert_eq!([0, 1, 2, 3].map(|row| table.complete(row)), [true, false, false, true]);
    }

    #[test]
    fn novelty_and_uniqueness_go_by_reduced_composition() {
        let terms = vec![
            builtin("unique", "uniqueness", None),
            builtin("new", "novelty", None),
            builtin("iron", "has_element(Fe)", Some([1.0, 1.0])),
        ];
        let rewards = Rewards::new(terms, Sanity::default());
        // Two cells of iron, one of them twice: three of the same composition. A filter does not change how many there are.
        let rows = [cubic("Fe", 2.0), cubic("Fe", 2.1), cubic("Fe", 2.0), cubic("Li", 3.0)].map(Ok);
        let table = rewards.score(&rows);
        let third = Outcome::Value(1.0 / 3.0);
        for row in 0..3 {
            assert_eq!(table.row(row)[..2], [third.clone(), Outcome::Value(0.0)]);
        }
        assert_eq!(table.row(3)[..2], [Outcome::NotAsked, Outcome::NotAsked]);
        let unfiltered = Rewards::new(rewards.terms[..2].to_vec(), Sanity::default()).score(&rows);
        assert_eq!(unfiltered.row(3), [Outcome::Value(1.0), Outcome::Value(1.0)]);
        // The mean of uniqueness is the share of different compositions.
        assert!((unfiltered.statistics()[0].mean.unwrap() - 0.5).abs() < 1e-15);
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

    /// The same numbers, to the bit, as from each model alone on threads of its own.
    #[test]
    fn models_side_by_side_give_what_they_give_alone() {
        let Some(shared) = shared() else { return };
        let options = ModelOptions { threads: 2, ..ModelOptions::default() };
        let open = |name: &str| OnnxModel::open(&runtime(), &shared.join("models").join(name), options).unwrap();
        let term = |name: &str, model: &Arc<OnnxModel>, quantity: &str| {
            let kind = TermKind::Onnx { model: Arc::clone(model), quantity: quantity.into() };
            Term { name: name.into(), kind, on_failure: OnFailure::Worst, bound: None }
        };
        let rows = json_lines(&shared.join("golden/mlip.dev.jsonl"));
        let rows: Vec<Result<Structure, String>> = rows[..40].iter().map(|row| Ok(structure(row))).collect();
        let score = |terms: Vec<Term>| Rewards::new(terms, Sanity::default()).score(&rows);
        let (chgnet, mut megnet) = (open("chgnet-0.3.0-fast.onnx"), open("megnet-bandgap-mfi.onnx"));
        let alone = [
            ("energy", Arc::new(open("chgnet-0.3.0-fast.onnx"))),
            ("band_gap", Arc::new(open("megnet-bandgap-mfi.onnx"))),
        ];
        let alone = alone.map(|(quantity, model)| score(vec![term(quantity, &model, quantity)]));
        megnet.share_threads(&chgnet);
        let (chgnet, megnet) = (Arc::new(chgnet), Arc::new(megnet));
        let both = score(vec![term("energy", &chgnet, "energy"), term("band_gap", &megnet, "band_gap")]);
        for row in 0..rows.len() {
            assert_eq!(both.row(row), [alone[0].row(row)[0].clone(), alone[1].row(row)[0].clone()]);
        }
        assert!(both.statistics().iter().all(|term| term.values > 20));
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
        let funnel: Vec<usize> = table.funnel().iter().map(|stage| stage.rows).collect();
        assert_eq!((funnel, table.funnel()[2].name.as_str()), (vec![4, 4, 2], "sane"));
    }
}
