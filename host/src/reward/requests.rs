//! What terms request of models. A model is run once for all terms that one run of it can answer.

use std::collections::HashSet;
use std::sync::Arc;

use super::relaxation::RelaxationId;
use crate::crystal::Structure;
use crate::model::{EvaluationError, ForceModel, ModelId, OnnxModel, Response};

/// What a term needs to know of each crystal.
#[derive(Clone, Debug)]
pub enum ModelRequest {
    /// An output that is one number.
    Number {
        /// The model.
        model: Arc<OnnxModel>,
        /// The output, one of [`OnnxModel::quantities`].
        quantity: String,
    },
    /// Forces and stress.
    Response(Arc<ForceModel>),
}

/// What a model says of a crystal.
#[derive(Clone, Debug)]
pub(super) enum ModelResult {
    /// It has not been asked.
    None,
    Number(f64),
    Response(Response),
}

/// Place of a request in the list of all different ones.
pub(super) type RequestId = usize;

/// The different requests of some terms.
#[derive(Debug, Default)]
pub(super) struct Requests(Vec<(ModelRequest, Option<RelaxationId>)>);

/// Requests that one run of a graph answers.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// What relaxes the crystals first.
    pub relaxation: Option<RelaxationId>,
    model: Arc<OnnxModel>,
    /// Outputs that are one number.
    numbers: Vec<(RequestId, String)>,
    forces: Option<(RequestId, Arc<ForceModel>)>,
}

/// Results of one request for every crystal that was evaluated.
pub(super) type Column = (RequestId, Vec<Result<ModelResult, EvaluationError>>);

impl ModelRequest {
    fn model(&self) -> &OnnxModel {
        match self {
            Self::Number { model, .. } => model,
            Self::Response(forces) => forces.model(),
        }
    }

    /// What it is, in terms of which two requests are the same: the model, and the output unless it is the forces.
    fn key(&self) -> (ModelId, Option<&str>) {
        let quantity = match self {
            Self::Number { quantity, .. } => Some(quantity.as_str()),
            Self::Response(_) => None,
        };
        (self.model().id(), quantity)
    }
}

impl Requests {
    /// The number of a request, which may be of relaxed crystals: the same for all that are equal.
    pub fn id(&mut self, request: ModelRequest, relaxation: Option<RelaxationId>) -> RequestId {
        let is_this = |known: &(ModelRequest, _)| known.0.key() == request.key() && known.1 == relaxation;
        let known = self.0.iter().position(is_this);
        known.unwrap_or_else(|| {
            self.0.push((request, relaxation));
            self.0.len() - 1
        })
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// As few runs as answer these requests, each once.
    pub fn runs(&self, ids: impl IntoIterator<Item = RequestId>) -> Vec<Run> {
        let (mut runs, mut seen) = (Vec::<Run>::new(), HashSet::new());
        for id in ids.into_iter().filter(|id| seen.insert(*id)) {
            let (request, relaxation) = &self.0[id];
            if !runs.iter_mut().any(|run| run.relaxation == *relaxation && run.takes(id, request)) {
                runs.push(Run { relaxation: *relaxation, ..Run::of(id, request) });
            }
        }
        runs
    }
}

impl Run {
    fn of(id: RequestId, request: &ModelRequest) -> Self {
        match request {
            ModelRequest::Number { model, quantity } => {
                let (model, numbers) = (Arc::clone(model), vec![(id, quantity.clone())]);
                Self { relaxation: None, model, numbers, forces: None }
            }
            ModelRequest::Response(forces) => {
                let (model, forces) = (Arc::clone(forces.model()), Some((id, Arc::clone(forces))));
                Self { relaxation: None, model, numbers: Vec::new(), forces }
            }
        }
    }

    /// Adds a request if one run of the same graph answers it too. A graph with derivatives rounds energies differently, and
    /// has room for fewer crystals; a file that gives forces itself is one graph.
    fn takes(&mut self, id: RequestId, request: &ModelRequest) -> bool {
        if self.model.id() != request.model().id() {
            return false;
        }
        let one_graph = |forces: &ForceModel| forces.has_its_own();
        match (request, &self.forces) {
            (ModelRequest::Number { quantity, .. }, forces) if forces.as_ref().is_none_or(|(_, f)| one_graph(f)) => {
                self.numbers.push((id, quantity.clone()));
                true
            }
            (ModelRequest::Response(forces), None) if one_graph(forces) => {
                self.forces = Some((id, Arc::clone(forces)));
                true
            }
            _ => false,
        }
    }

    /// The requests that it answers: numbers, then forces and stress.
    pub fn ids(&self) -> Vec<RequestId> {
        self.numbers.iter().map(|(id, _)| *id).chain(self.forces.iter().map(|(id, _)| *id)).collect()
    }

    /// The results of each request for every structure.
    pub fn evaluate(&self, structures: &[&Structure]) -> Vec<Column> {
        let rows = self.rows(structures);
        let ids = self.ids();
        // An output that is not finite must not take the others with it.
        if ids.len() > 1 && rows.iter().any(|row| matches!(row, Err(EvaluationError::NotFinite { .. }))) {
            return self.one_by_one().iter().flat_map(|run| run.evaluate(structures)).collect();
        }
        let column = |(place, id): (usize, RequestId)| {
            let results = rows.iter().map(|row| Ok(row.as_ref().map_err(EvaluationError::clone)?[place].clone()));
            (id, results.collect())
        };
        ids.into_iter().enumerate().map(column).collect()
    }

    /// The results of every structure: the numbers, then forces and stress.
    fn rows(&self, structures: &[&Structure]) -> Vec<Result<Vec<ModelResult>, EvaluationError>> {
        let quantities: Vec<&str> = self.numbers.iter().map(|(_, quantity)| quantity.as_str()).collect();
        let numbers = |values: Vec<f64>| values.into_iter().map(ModelResult::Number);
        match &self.forces {
            None => {
                let rows = self.model.evaluate_smallest(structures, &quantities).into_iter();
                rows.map(|row| Ok(numbers(row?).collect())).collect()
            }
            Some((_, forces)) => {
                let rows = forces.evaluate_smallest(structures, &quantities).into_iter();
                let all = |(values, response)| numbers(values).chain([ModelResult::Response(response)]).collect();
                rows.map(|row| row.map(all)).collect()
            }
        }
    }

    /// A run for each of the requests.
    fn one_by_one(&self) -> Vec<Self> {
        let (relaxation, model) = (self.relaxation, &self.model);
        let alone = |numbers, forces| Self { relaxation, model: Arc::clone(model), numbers, forces };
        let numbers = self.numbers.iter().map(|number| alone(vec![number.clone()], None));
        numbers.chain(self.forces.iter().map(|forces| alone(Vec::new(), Some(forces.clone())))).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::*;
    use crate::model::testing::{json_lines, runtime, shared, structure, volume_lot_and_root};
    use crate::model::{Executor, ModelOptions};
    use crate::reward::{ForceScale, ForceTerm, OnFailure, OnnxTerm, Rewards, Sanity, Term, TermKind};

    fn open(path: &Path) -> Arc<OnnxModel> {
        Arc::new(OnnxModel::open(&runtime(), &threads(), path, ModelOptions::default()).unwrap())
    }

    fn threads() -> Executor {
        Executor::new(2).unwrap()
    }

    fn term(name: &str, kind: Arc<dyn TermKind>) -> Term {
        Term { name: name.into(), kind, on_failure: OnFailure::Worst, bound: None }
    }

    fn number(name: &str, model: &Arc<OnnxModel>, quantity: &str) -> Term {
        term(name, Arc::new(OnnxTerm::new(Arc::clone(model), Some(quantity)).unwrap()))
    }

    fn force(name: &str, forces: &Arc<ForceModel>) -> Term {
        term(name, Arc::new(ForceTerm::new(Arc::clone(forces), ForceScale::default())))
    }

    /// Cubes of iron with these edges, angstrom.
    fn cubes(edges: &[f64]) -> Vec<Result<Structure, String>> {
        use crate::crystal::{Element, Lattice};
        let cube = |a: f64| {
            let lattice = Lattice([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
            Structure::new(lattice, vec![Element::from_symbol("Fe").unwrap()], vec![[0.0; 3]]).unwrap()
        };
        edges.iter().map(|a| Ok(cube(*a))).collect()
    }

    #[test]
    fn terms_of_one_model_see_one_run_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let model = open(&volume_lot_and_root(folder.path()));
        let filter = Term { bound: Some([0.3, 1.0]), ..number("filter", &model, "lot") };
        let terms = vec![number("a", &model, "lot"), filter, number("b", &model, "lot"), number("c", &model, "volume")];
        let table = Rewards::new(terms, Sanity::default(), threads())
            .score(&cubes(&[2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 2.1, 2.3, 2.5, 2.7]));
        let (mut passed, mut lots) = (0, Vec::new());
        for row in (0..table.rows()).map(|row| table.row(row)) {
            if row[0].value().is_some() {
                assert!(row[0] == row[1] && row[0] == row[2], "{row:?}");
                passed += 1;
            }
            lots.extend(row[1].value());
        }
        assert!(passed > 0 && lots.len() == 10);
        assert!(lots.iter().any(|lot| *lot != lots[0]));
    }

    #[test]
    fn an_output_without_a_number_leaves_the_others_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let model = open(&volume_lot_and_root(folder.path()));
        let terms = vec![number("volume", &model, "volume"), number("root", &model, "root")];
        let table = Rewards::new(terms, Sanity::default(), threads()).score(&cubes(&[2.0, 4.0, 3.0]));
        let volumes = [0, 1, 2].map(|row| table.row(row)[0].value().unwrap());
        assert!(volumes.iter().zip([8.0, 64.0, 27.0]).all(|(found, expected)| (found - expected).abs() < 1e-4));
        let roots = [0, 1, 2].map(|row| table.row(row)[1].value().map(f64::round));
        assert_eq!(roots, [Some(5.0), None, Some(2.0)]);
    }

    /// To the bit, whether the file gives forces itself or they are derived.
    #[test]
    fn terms_give_together_what_they_give_alone() {
        let Some(shared) = shared() else { return };
        let rows = json_lines(&shared.join("golden/mlip.dev.jsonl"));
        let rows: Vec<Result<Structure, String>> = rows[..30].iter().map(|row| Ok(structure(row))).collect();
        let score = |terms: Vec<Term>| Rewards::new(terms, Sanity::default(), threads()).score(&rows);
        let shipped: PathBuf = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx").into();
        for path in [shared.join("models/chgnet-0.3.0-efs.onnx"), shipped] {
            let model = open(&path);
            let forces = Arc::new(ForceModel::new(&runtime(), Arc::clone(&model), None).unwrap());
            let energy = |name| number(name, &model, "energy");
            let (energies, rest) = (score(vec![energy("e")]), score(vec![force("rest", &forces)]));
            let together = score(vec![force("rest", &forces), energy("e"), force("again", &forces), energy("f")]);
            for row in 0..rows.len() {
                let (energy, rest) = (&energies.row(row)[0], &rest.row(row)[0]);
                assert!(energy.value().is_some() && rest.value().is_some());
                assert_eq!(together.row(row), [rest.clone(), energy.clone(), rest.clone(), energy.clone()]);
            }
        }
    }

    fn requests(terms: &[Term]) -> (Requests, Vec<RequestId>) {
        let mut requests = Requests::default();
        let ids = terms.iter().map(|term| requests.id(term.kind.request().unwrap(), None)).collect();
        (requests, ids)
    }

    /// What each run answers: its numbers, and whether forces with them.
    fn answered(runs: &[Run]) -> Vec<(Vec<&str>, bool)> {
        runs.iter()
            .map(|run| (run.numbers.iter().map(|(_, quantity)| quantity.as_str()).collect(), run.forces.is_some()))
            .collect()
    }

    #[test]
    fn equal_requests_are_one_and_a_model_runs_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = volume_lot_and_root(folder.path());
        let (model, opened_again) = (open(&path), open(&path));
        let terms = [("a", &model, "lot"), ("b", &model, "volume"), ("c", &model, "lot"), ("d", &opened_again, "lot")];
        let terms = terms.map(|(name, model, quantity)| number(name, model, quantity));
        let (requests, ids) = requests(&terms);
        assert_eq!((ids.as_slice(), requests.len()), (&[0, 1, 0, 2][..], 3));
        assert_eq!(answered(&requests.runs(ids)), [(vec!["lot", "volume"], false), (vec!["lot"], false)]);
    }

    /// A graph with derivatives gives other roundings than the plain one; a file that gives forces itself has one graph.
    #[test]
    fn forces_share_a_run_with_energies_where_the_file_gives_both() {
        let Some(shared) = shared() else { return };
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx").into();
        for (path, expected) in [
            (shared.join("models/chgnet-0.3.0-efs.onnx"), vec![(vec!["energy"], true)]),
            (shipped, vec![(vec!["energy"], false), (vec![], true)]),
        ] {
            let model = open(&path);
            // Differentiated twice, it is still the same potential.
            let forces = [(); 2].map(|()| Arc::new(ForceModel::new(&runtime(), Arc::clone(&model), None).unwrap()));
            let energy = number("e", &model, "energy");
            let terms = [energy.clone(), force("f", &forces[0]), force("g", &forces[1]), energy];
            let (requests, ids) = requests(&terms);
            assert_eq!(ids, [0, 1, 1, 0]);
            assert_eq!(answered(&requests.runs(ids)), expected, "{}", path.display());
        }
    }
}
