//! The terms of a run, and the scoring of a batch of crystals by all of them.

use std::collections::{BTreeMap, HashMap};
use std::panic::resume_unwind;
use std::sync::{MutexGuard, PoisonError};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::requests::{Column as ResultColumn, ModelResult, Run};
use super::schedule::{Schedule, Stage};
use super::{Column, Failure, Outcome, RecentBatches, RewardTable, Sanity, Term, TermBatch};
use crate::crystal::{Composition, Structure, map_ok};
use crate::model::{EvaluationError, Executor};
use crate::ranks::Ranks;
use crate::relax::Relaxed;

/// The terms of a run.
#[derive(Clone, Debug)]
pub struct Rewards {
    terms: Vec<Term>,
    sanity: Sanity,
    executor: Executor,
    schedule: Schedule,
    ranks: Ranks,
}

/// What terms remember of the batches that were scored, by their names.
pub type RewardMemory = BTreeMap<String, RecentBatches>;

/// What models say of crystals.
#[derive(Default)]
struct ModelResults {
    /// By request, then by crystal.
    requests: Vec<Vec<Result<ModelResult, EvaluationError>>>,
    /// By relaxation, then by crystal; `None` before it.
    relaxed: Vec<Vec<Option<Result<Relaxed, Failure>>>>,
}

/// What some terms give: the term, and its outcome for each crystal.
type Outcomes = Vec<(usize, Vec<Outcome>)>;

impl Rewards {
    /// Terms with different names, the bounds outside which no model is believed, and the threads that do the work.
    pub fn new(terms: Vec<Term>, sanity: Sanity, executor: Executor) -> Self {
        let schedule = Schedule::new(&terms);
        Self { terms, sanity, executor, schedule, ranks: Ranks::one() }
    }

    /// Shares the work of plugins among the ranks; models share theirs by themselves. The other terms see the whole batch on each.
    pub fn among(self, ranks: Ranks) -> Self {
        Self { ranks, ..self }
    }

    /// Names of the terms, over which an objective is parsed.
    pub fn names(&self) -> Vec<&str> {
        self.terms.iter().map(|term| term.name.as_str()).collect()
    }

    /// What the terms remember.
    pub fn memory(&self) -> RewardMemory {
        self.memories().map(|(name, memory)| (name.to_owned(), memory.clone())).collect()
    }

    /// Has the terms remember this, and nothing else.
    pub fn remember(&self, memory: &RewardMemory) {
        self.memories().for_each(|(name, mut own)| *own = memory.get(name).cloned().unwrap_or_default());
    }

    fn memories(&self) -> impl Iterator<Item = (&str, MutexGuard<'_, RecentBatches>)> {
        let memories = self.terms.iter().filter_map(|term| Some((term.name.as_str(), term.kind.memory()?)));
        memories.map(|(name, memory)| (name, memory.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Evaluates every term on every row, filters first and cheap terms before expensive ones. A row without a structure (its
    /// reason given as text) fails every term. Equal structures are evaluated once. The table's funnel says how many rows
    /// were sampled, decoded, passed each filter, and were sane enough for a model, in that order.
    pub fn score(&self, rows: &[Result<Structure, String>]) -> RewardTable {
        let mut table = RewardTable::new(self.terms.iter().map(Term::column).collect(), rows.len());
        for (row, reason) in rows.iter().enumerate().filter_map(|(row, r)| Some((row, r.as_ref().err()?))) {
            for column in 0..self.terms.len() {
                table.set(row, column, Outcome::Failed(Failure::NoStructure(reason.clone())));
            }
        }
        let mut crystals = distinct(rows);
        let all: Vec<(&Structure, usize)> = crystals.iter().map(|c| (c.structure, c.rows.len())).collect();
        let mut results = ModelResults {
            requests: vec![vec![Ok(ModelResult::None); crystals.len()]; self.schedule.requests],
            relaxed: vec![vec![None; crystals.len()]; self.schedule.relaxations.len()],
        };
        table.reached("sampled", rows.len());
        table.reached("decoded", count(&crystals));
        for stage in &self.schedule.stages {
            if stage.checks_sanity {
                self.check_sanity(&mut crystals);
                table.reached("sane", crystals.iter().filter(|c| c.sane.is_ok()).map(|c| c.rows.len()).sum());
            }
            record(&mut table, &crystals, self.outcomes(stage, &crystals, &all, &mut results));
            record_relaxed(&mut table, &crystals, &results);
            if let Some(filter) = stage.filter {
                crystals.retain(|crystal| !table.rejected(crystal.rows[0]));
                table.reached(&self.terms[filter].name, count(&crystals));
            }
        }
        table
    }

    fn check_sanity(&self, crystals: &mut [Crystal<'_>]) {
        let check = |crystal: &mut Crystal<'_>| crystal.sane = self.sanity.check(crystal.structure);
        self.executor.run(|| crystals.par_iter_mut().for_each(check));
    }

    /// What the terms of a stage give for every crystal. Models are run side by side on the same threads: where one has not
    /// enough crystals left for all of them, the next one's fill the rest. Other processes work meanwhile. The numbers do not
    /// depend on either.
    fn outcomes(
        &self,
        stage: &Stage,
        crystals: &[Crystal<'_>],
        all: &[(&Structure, usize)],
        results: &mut ModelResults,
    ) -> Outcomes {
        std::thread::scope(|scope| {
            let elsewhere =
                |term: usize| (term, scope.spawn(move || self.evaluate(term, crystals, all, &ModelResults::default())));
            let elsewhere: Vec<_> = stage.out_of_process.iter().map(|&term| elsewhere(term)).collect();
            let mut outcomes = self.executor.run(|| {
                self.relax(stage, crystals, results);
                self.run_models(stage, crystals, results);
                let outcomes = |&term: &usize| (term, self.evaluate(term, crystals, all, results));
                stage.in_process.par_iter().map(outcomes).collect::<Outcomes>()
            });
            let joined =
                elsewhere.into_iter().map(|(term, thread)| (term, thread.join().unwrap_or_else(|p| resume_unwind(p))));
            outcomes.extend(joined);
            outcomes.into_iter().map(|(term, own)| (term, self.of_all_ranks(term, own))).collect()
        })
    }

    /// The crystals on which this rank evaluates a term.
    fn share<'c, 's>(&self, term: usize, crystals: &'c [Crystal<'s>]) -> &'c [Crystal<'s>] {
        match self.terms[term].kind.is_shared() {
            true => &crystals[self.ranks.rows(crystals.len(), 1)],
            false => crystals,
        }
    }

    fn of_all_ranks(&self, term: usize, own: Vec<Outcome>) -> Vec<Outcome> {
        if self.terms[term].kind.is_shared() { self.ranks.gather(own) } else { own }
    }

    /// One outcome per crystal. The term is evaluated on the crystals that are sane enough for it and have what it requested of
    /// a model; the others fail.
    fn evaluate(
        &self,
        term: usize,
        crystals: &[Crystal<'_>],
        all: &[(&Structure, usize)],
        results: &ModelResults,
    ) -> Vec<Outcome> {
        let kind = &self.terms[term].kind;
        let row = |crystal| {
            let relaxed = self.relaxed(term, crystal, results)?;
            Ok((crystal, relaxed, self.result(term, crystal, results)?))
        };
        let rows = self.share(term, crystals).iter().map(row).collect();
        let outcomes = map_ok(rows, |rows| kind.evaluate(&self.batch(rows, all)).into_iter().map(Ok).collect());
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(Outcome::Failed)).collect()
    }

    /// What a term requested of a model for a crystal.
    fn result<'a>(
        &self,
        term: usize,
        crystal: &Crystal<'_>,
        results: &'a ModelResults,
    ) -> Result<&'a ModelResult, Failure> {
        match self.schedule.request_of[term] {
            Some(request) => Ok(results.requests[request][crystal.place].as_ref().map_err(EvaluationError::clone)?),
            None => Ok(&ModelResult::None),
        }
    }

    /// The relaxed crystal, if the term asks for it and the crystal is sane enough.
    fn relaxed<'a>(
        &self,
        term: usize,
        crystal: &Crystal<'_>,
        results: &'a ModelResults,
    ) -> Result<Option<&'a Relaxed>, Failure> {
        if self.terms[term].kind.cost().needs_sane() {
            crystal.sane.clone()?;
        }
        let found = self.schedule.relaxation_of[term].and_then(|id| results.relaxed[id][crystal.place].as_ref());
        found.map(|relaxed| relaxed.as_ref().map_err(Failure::clone)).transpose()
    }

    /// Relaxes the sane crystals as the terms of a stage ask for.
    fn relax(&self, stage: &Stage, crystals: &[Crystal<'_>], results: &mut ModelResults) {
        let sane: Vec<&Crystal<'_>> = crystals.iter().filter(|crystal| crystal.sane.is_ok()).collect();
        let structures: Vec<&Structure> = sane.iter().map(|crystal| crystal.structure).collect();
        for &id in &stage.relaxations {
            let relaxed = self.schedule.relaxations[id].relaxed(&structures, &self.sanity);
            for (crystal, relaxed) in sane.iter().zip(relaxed) {
                results.relaxed[id][crystal.place] = Some(relaxed);
            }
        }
    }

    /// Runs the models of a stage on the sane crystals, or on what they relaxed to: side by side, or one after the other on all ranks.
    fn run_models(&self, stage: &Stage, crystals: &[Crystal<'_>], results: &mut ModelResults) {
        let run = |run: &Run| {
            let asked = crystals.iter().filter_map(|crystal| crystal_of_run(run, crystal, results));
            let (places, structures): (Vec<usize>, Vec<&Structure>) = asked.unzip();
            (places, run.evaluate(&structures))
        };
        let found: Vec<(Vec<usize>, Vec<ResultColumn>)> = match self.ranks.size() {
            1 => stage.runs.par_iter().map(run).collect(),
            _ => stage.runs.iter().map(run).collect(),
        };
        for (places, columns) in found {
            for (request, column) in columns {
                for (place, result) in places.iter().zip(column) {
                    results.requests[request][*place] = result;
                }
            }
        }
    }

    fn batch<'a>(
        &self,
        rows: Vec<(&'a Crystal<'_>, Option<&'a Relaxed>, &'a ModelResult)>,
        all: &'a [(&'a Structure, usize)],
    ) -> TermBatch<'a> {
        let mut batch = TermBatch { sanity: self.sanity, all, ..TermBatch::default() };
        for (crystal, relaxed, result) in rows {
            batch.structures.push(relaxed.map_or(crystal.structure, |relaxed| &relaxed.structure));
            batch.displacements.extend(relaxed.map(|relaxed| relaxed.displacement));
            batch.formulas.push(&crystal.formula);
            batch.copies.push(crystal.copies);
            batch.places.push(crystal.place);
            match result {
                ModelResult::None => {}
                ModelResult::Number(number) => batch.numbers.push(*number),
                ModelResult::Response(response) => batch.responses.push(response),
            }
        }
        batch
    }
}

/// A sane crystal, or what it relaxed to, and its place.
fn crystal_of_run<'a>(run: &Run, crystal: &Crystal<'a>, results: &'a ModelResults) -> Option<(usize, &'a Structure)> {
    crystal.sane.as_ref().ok()?;
    let structure = match run.relaxation {
        None => crystal.structure,
        Some(id) => &results.relaxed[id][crystal.place].as_ref()?.as_ref().ok()?.structure,
    };
    Some((crystal.place, structure))
}

/// Keeps what the crystals relaxed to, in the first relaxation if there are several.
fn record_relaxed(table: &mut RewardTable, crystals: &[Crystal<'_>], results: &ModelResults) {
    let Some(relaxed) = results.relaxed.first() else { return };
    for crystal in crystals {
        if let Some(Ok(relaxed)) = &relaxed[crystal.place] {
            crystal.rows.iter().for_each(|&row| table.set_relaxed(row, relaxed.structure.clone()));
        }
    }
}

/// Puts what some terms gave into the rows of the crystals.
fn record(table: &mut RewardTable, crystals: &[Crystal<'_>], outcomes: Outcomes) {
    for (column, outcomes) in outcomes {
        for (crystal, outcome) in crystals.iter().zip(outcomes) {
            crystal.rows.iter().for_each(|&row| table.set(row, column, outcome.clone()));
        }
    }
}

impl Term {
    fn column(&self) -> Column {
        Column {
            name: self.name.clone(),
            on_failure: self.on_failure,
            worst: self.kind.worst(),
            bound: self.bound,
            limits: self.kind.limits(),
        }
    }
}

/// A structure and the rows that have it.
#[derive(Clone)]
struct Crystal<'a> {
    /// Its place among the different crystals of the batch.
    place: usize,
    structure: &'a Structure,
    /// Reduced.
    formula: String,
    /// How many rows of the batch have this formula.
    copies: usize,
    /// Whether models may be run on it; settled before the first one is.
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
                crystals.push(Crystal { place, structure, formula, copies: 0, sane: Ok(()), rows: vec![row] });
            }
        }
    }
    let mut copies: HashMap<String, usize> = HashMap::new();
    for crystal in &crystals {
        *copies.entry(crystal.formula.clone()).or_default() += crystal.rows.len();
    }
    crystals.iter_mut().for_each(|crystal| crystal.copies = copies[&crystal.formula]);
    crystals
}

/// Rows in all.
fn count(crystals: &[Crystal<'_>]) -> usize {
    crystals.iter().map(|crystal| crystal.rows.len()).sum()
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
    use std::sync::Arc;

    use super::*;
    use crate::crystal::{Element, Lattice};
    use crate::matching::{StructureIndex, StructureIndexBuilder, StructureMatcher};
    use crate::model::testing::{json_lines, runtime, shared, structure};
    use crate::model::{ModelOptions, OnnxModel};
    use crate::reward::{
        Bucket, BuiltinTerm, Diversity, KnownCompositions, Novelty, Objective, OnFailure, OnnxTerm, StructureNovelty,
        StructureUniqueness, TermKind, Uniqueness,
    };

    /// Iron alone.
    fn known() -> KnownCompositions {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.txt");
        std::fs::write(&path, "Fe4").unwrap();
        KnownCompositions::read(&path).unwrap()
    }

    fn threads() -> Executor {
        Executor::new(2).unwrap()
    }

    fn cubic(symbol: &str, a: f64) -> Structure {
        let lattice = Lattice([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
        Structure::new(lattice, vec![Element::from_symbol(symbol).unwrap()], vec![[0.0; 3]]).unwrap()
    }

    fn builtin(name: &str, text: &str, bound: Option<[f64; 2]>) -> Term {
        let kind: Arc<dyn TermKind> = match text.parse().unwrap() {
            BuiltinTerm::OfStructure(term) => Arc::new(term),
            BuiltinTerm::Uniqueness => Arc::new(Uniqueness),
            BuiltinTerm::Diversity => Arc::new(Diversity::new(Bucket::Composition, 1, 5)),
            BuiltinTerm::Novelty => Arc::new(Novelty::new(known())),
        };
        Term { name: name.into(), kind, on_failure: OnFailure::Worst, bound }
    }

    /// A cube, the same described as two cubes, and another crystal of the composition.
    #[test]
    fn structures_are_rare_and_new_where_no_other_is_the_same_crystal() {
        let iron = Element::from_symbol("Fe").unwrap();
        let doubled = {
            let lattice = Lattice([[5.6, 0.0, 0.0], [0.0, 2.8, 0.0], [0.0, 0.0, 2.8]]);
            Structure::new(lattice, vec![iron; 2], vec![[0.1, 0.2, 0.3], [0.6, 0.2, 0.3]]).unwrap()
        };
        let hexagonal = {
            let lattice = Lattice::from_parameters([2.5, 2.5, 8.0], [90.0, 90.0, 120.0]).unwrap();
            Structure::new(lattice, vec![iron], vec![[0.0; 3]]).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.index");
        let matcher = StructureMatcher::default();
        let mut builder = StructureIndexBuilder::create(&path, &matcher).unwrap();
        builder.add("hexagonal", &matcher.reduce(&hexagonal).unwrap()).unwrap();
        builder.finish().unwrap();
        let index = StructureIndex::open(&path, matcher).unwrap();
        let term = |name: &str, kind: Arc<dyn TermKind>, bound| Term {
            name: name.into(),
            kind,
            on_failure: OnFailure::Worst,
            bound,
        };
        let terms = vec![
            term("rare", Arc::new(StructureUniqueness), None),
            term("new", Arc::new(StructureNovelty::new(index)), None),
            builtin("atoms", "n_atoms", Some([1.0, 1.0])),
        ];
        let rewards = Rewards::new(terms, Sanity::default(), threads());
        let rows = [Ok(cubic("Fe", 2.8)), Ok(doubled), Ok(hexagonal), Ok(cubic("Fe", 2.8)), Ok(cubic("Li", 2.8))];
        let table = rewards.score(&rows);
        let values = |row: usize| [0, 1].map(|column| table.row(row)[column].value());
        // The doubled cell is rejected by the filter and counts all the same.
        assert_eq!(values(0), [Some(1.0 / 3.0), Some(1.0)]);
        assert_eq!(table.row(1)[0], Outcome::NotAsked);
        assert_eq!(values(2), [Some(1.0), Some(0.0)]);
        assert_eq!(values(3), values(0));
        assert_eq!(values(4), [Some(1.0), Some(1.0)]);
    }

    #[test]
    fn filters_are_asked_first_and_spare_the_other_terms() {
        let terms =
            vec![builtin("volume", "volume_per_atom", None), builtin("iron", "has_element(Fe)", Some([1.0, 1.0]))];
        let rewards = Rewards::new(terms, Sanity::default(), threads());
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
        let rewards = Rewards::new(terms, Sanity::default(), threads());
        // Two cells of iron, one of them twice: three of the same composition. A filter does not change how many there are.
        let rows = [cubic("Fe", 2.0), cubic("Fe", 2.1), cubic("Fe", 2.0), cubic("Li", 3.0)].map(Ok);
        let table = rewards.score(&rows);
        let third = Outcome::Value(1.0 / 3.0);
        for row in 0..3 {
            assert_eq!(table.row(row)[..2], [third.clone(), Outcome::Value(0.0)]);
        }
        assert_eq!(table.row(3)[..2], [Outcome::NotAsked, Outcome::NotAsked]);
        let unfiltered = Rewards::new(rewards.terms[..2].to_vec(), Sanity::default(), threads()).score(&rows);
        assert_eq!(unfiltered.row(3), [Outcome::Value(1.0), Outcome::Value(1.0)]);
        // The mean of uniqueness is the share of different compositions.
        assert!((unfiltered.statistics()[0].mean.unwrap() - 0.5).abs() < 1e-15);
    }

    /// Of two batches; a crystal that a filter rejects is not counted.
    #[test]
    fn diversity_remembers_what_passed_the_filters() {
        let terms = vec![builtin("diverse", "diversity", None), builtin("iron", "has_element(Fe)", Some([1.0, 1.0]))];
        let rewards = Rewards::new(terms, Sanity::default(), threads());
        let score = |rows: &[Structure]| {
            let table = rewards.score(&rows.iter().cloned().map(Ok).collect::<Vec<_>>());
            (0..rows.len()).map(|row| table.row(row)[0].value()).collect::<Vec<_>>()
        };
        let rows = [cubic("Fe", 2.0), cubic("Li", 2.0), cubic("Fe", 2.1)];
        assert_eq!(score(&rows), [Some(1.0), None, Some(0.5)]);
        let memory = rewards.memory();
        assert_eq!(serde_json::to_string(&memory).unwrap(), r#"{"diverse":[{"Fe":2}]}"#);
        assert_eq!(score(&rows[2..]), [Some(1.0 / 3.0)]);
        rewards.remember(&RewardMemory::default());
        assert_eq!(score(&rows[2..]), [Some(1.0)]);
        rewards.remember(&memory);
        assert_eq!(score(&rows[2..]), [Some(1.0 / 3.0)]);
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
        assert!(Rewards::new(vec![], Sanity::default(), threads()).score(&[]).statistics().is_empty());
    }

    fn onnx(name: &str, model: &Arc<OnnxModel>, quantity: &str) -> Term {
        let kind = Arc::new(OnnxTerm::new(Arc::clone(model), Some(quantity)).unwrap());
        Term { name: name.into(), kind, on_failure: OnFailure::Worst, bound: None }
    }

    /// The same numbers, to the bit, as from each model alone on threads of its own.
    #[test]
    fn models_side_by_side_give_what_they_give_alone() {
        let Some(shared) = shared() else { return };
        let open = |executor: &Executor, name: &str| {
            let path = shared.join("models").join(name);
            Arc::new(OnnxModel::open(&runtime(), executor, &path, ModelOptions::default()).unwrap())
        };
        let rows = json_lines(&shared.join("golden/mlip.dev.jsonl"));
        let rows: Vec<Result<Structure, String>> = rows[..40].iter().map(|row| Ok(structure(row))).collect();
        let score = |terms, executor| Rewards::new(terms, Sanity::default(), executor).score(&rows);
        let models = [("energy", "chgnet-0.3.0-fast.onnx"), ("band_gap", "megnet-bandgap-mfi.onnx")];
        let alone = models.map(|(quantity, file)| {
            let executor = threads();
            score(vec![onnx(quantity, &open(&executor, file), quantity)], executor)
        });
        let executor = threads();
        let terms = models.map(|(quantity, file)| onnx(quantity, &open(&executor, file), quantity));
        let both = score(terms.into(), executor);
        for row in 0..rows.len() {
            assert_eq!(both.row(row), [alone[0].row(row)[0].clone(), alone[1].row(row)[0].clone()]);
        }
        assert!(both.statistics().iter().all(|term| term.values > 20));
    }

    #[test]
    fn a_model_is_not_asked_about_absurd_crystals() {
        let Some(shared) = shared() else { return };
        let path = shared.join("models/chgnet-0.3.0-fast.onnx");
        let executor = Executor::new(1).unwrap();
        let model = Arc::new(OnnxModel::open(&runtime(), &executor, &path, ModelOptions::default()).unwrap());
        let rewards = Rewards::new(vec![onnx("energy", &model, "energy")], Sanity::default(), executor);
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
