//! What the terms of a batch ask models. A model is asked once about a crystal, however many terms want to know.

use std::collections::HashMap;

use rayon::prelude::*;

use super::Failure;
use crate::crystal::Structure;
use crate::model::{EvaluationError, ForceModel, OnnxModel, Response};

/// One thing that a model can say about a crystal.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    /// An output that is one number.
    Number(&'a OnnxModel, &'a str),
    /// Forces and stress.
    Response(&'a ForceModel),
}

/// What it says.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Number(f64),
    Response(Response),
}

type Answered = Result<Answer, Failure>;

/// The answers so far, each under the number of its crystal.
#[derive(Debug, Default)]
pub(super) struct Answers<'a>(Vec<(Question<'a>, HashMap<usize, Answered>)>);

impl Answer {
    /// The number, if it is one.
    pub fn number(&self) -> Result<f64, Failure> {
        if let Self::Number(number) = self { Ok(*number) } else { Err(no_result()) }
    }

    /// Forces and stress, if they are that.
    pub fn response(&self) -> Result<&Response, Failure> {
        if let Self::Response(response) = self { Ok(response) } else { Err(no_result()) }
    }
}

pub(super) fn no_result() -> Failure {
    EvaluationError::Failed("it gave no result".into()).into()
}

impl<'a> Question<'a> {
    /// The model that is asked.
    pub fn model(&self) -> &'a OnnxModel {
        match self {
            Self::Number(model, _) => model,
            Self::Response(forces) => forces.model(),
        }
    }

    fn quantity(&self) -> Option<&'a str> {
        if let Self::Number(_, quantity) = self { Some(quantity) } else { None }
    }

    fn is(&self, other: &Question<'_>) -> bool {
        match (self, other) {
            (Self::Number(model, quantity), Question::Number(other, asked)) => {
                std::ptr::eq(*model, *other) && quantity == asked
            }
            (Self::Response(model), Question::Response(other)) => std::ptr::eq(*model, *other),
            _ => false,
        }
    }

    /// Whether one run of the same graph answers both.
    fn goes_with(&self, other: &Question<'_>) -> bool {
        match (*self, *other) {
            (Self::Number(model, _), Question::Number(other, _)) => std::ptr::eq(model, other),
            (Self::Response(model), Question::Response(other)) => std::ptr::eq(model, other),
            // A graph with derivatives rounds energies otherwise, and has room for fewer crystals.
            (Self::Number(model, _), Question::Response(forces)) => {
                forces.has_its_own() && std::ptr::eq(forces.model(), model)
            }
            (Self::Response(forces), Question::Number(model, _)) => {
                forces.has_its_own() && std::ptr::eq(forces.model(), model)
            }
        }
    }
}

impl<'a> Answers<'a> {
    /// Asks what has not been asked yet, side by side. Later calls ask about the same crystals or fewer.
    pub fn ask(&mut self, questions: Vec<Question<'a>>, crystals: &[(usize, &Structure)]) {
        let mut runs: Vec<Vec<Question<'a>>> = Vec::new();
        for question in questions {
            if self.to(&question).is_some() || runs.iter().flatten().any(|known| known.is(&question)) {
                continue;
            }
            match runs.iter_mut().find(|run| run.iter().all(|other| other.goes_with(&question))) {
                Some(run) => run.push(question),
                None => runs.push(vec![question]),
            }
        }
        let structures: Vec<&Structure> = crystals.iter().map(|(_, structure)| *structure).collect();
        let answered: Vec<Vec<Vec<Answered>>> = runs.par_iter().map(|run| asked(run, &structures)).collect();
        for (question, answers) in runs.into_iter().flatten().zip(answered.into_iter().flatten()) {
            self.0.push((question, crystals.iter().map(|(number, _)| *number).zip(answers).collect()));
        }
    }

    /// The answers to a question, if it has been asked.
    pub fn to(&self, question: &Question<'_>) -> Option<&HashMap<usize, Answered>> {
        self.0.iter().find(|(known, _)| known.is(question)).map(|(_, answers)| answers)
    }
}

/// Numbers, and forces and stress where they are asked for.
type Row = (Vec<f64>, Option<Response>);

/// The answers to questions that go with one another, question by question.
fn asked(questions: &[Question<'_>], structures: &[&Structure]) -> Vec<Vec<Answered>> {
    let quantities: Vec<&str> = questions.iter().filter_map(Question::quantity).collect();
    let response = questions.iter().find(|question| matches!(question, Question::Response(_)));
    let rows: Vec<Result<Row, EvaluationError>> = match response.or(questions.first()) {
        Some(Question::Response(model)) => {
            let rows = model.evaluate(structures, &quantities).into_iter();
            rows.map(|row| row.map(|(numbers, response)| (numbers, Some(response)))).collect()
        }
        Some(Question::Number(model, _)) => {
            let rows = model.evaluate(structures, &quantities).into_iter();
            rows.map(|row| row.map(|numbers| (numbers, None))).collect()
        }
        None => return Vec::new(),
    };
    // An output without a finite number must not take the others with it.
    if questions.len() > 1 && rows.iter().any(|row| matches!(row, Err(EvaluationError::NotFinite { .. }))) {
        return questions.chunks(1).flat_map(|alone| asked(alone, structures)).collect();
    }
    let answer = |question: &Question<'_>, (numbers, response): &Row| {
        let place = question.quantity().and_then(|asked| quantities.iter().position(|quantity| *quantity == asked));
        let found = match place {
            Some(place) => numbers.get(place).map(|number| Answer::Number(*number)),
            None => response.clone().map(Answer::Response),
        };
        found.ok_or_else(no_result)
    };
    let answers =
        |question| rows.iter().map(|row| answer(question, row.as_ref().map_err(EvaluationError::clone)?)).collect();
    questions.iter().map(answers).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::*;
    use crate::model::ModelOptions;
    use crate::model::testing::{json_lines, runtime, shared, structure, volume_lot_and_root};
    use crate::reward::{ForceScale, ForceTerm, OnFailure, Rewards, Sanity, Term, TermKind};

    fn open(path: &Path) -> Arc<OnnxModel> {
        let options = ModelOptions { threads: 2, ..ModelOptions::default() };
        Arc::new(OnnxModel::open(&runtime(), path, options).unwrap())
    }

    fn term(name: &str, kind: TermKind, bound: Option<[f64; 2]>) -> Term {
        Term { name: name.into(), kind, on_failure: OnFailure::Worst, bound }
    }

    fn number(name: &str, model: &Arc<OnnxModel>, quantity: &str) -> Term {
        term(name, TermKind::Onnx { model: Arc::clone(model), quantity: quantity.into() }, None)
    }

    fn force(name: &str, forces: &Arc<ForceModel>) -> Term {
        term(name, TermKind::Force(ForceTerm::new(Arc::clone(forces), ForceScale::default())), None)
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
        let table =
            Rewards::new(terms, Sanity::default()).score(&cubes(&[2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 2.1, 2.3, 2.5, 2.7]));
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
        let table = Rewards::new(terms, Sanity::default()).score(&cubes(&[2.0, 4.0, 3.0]));
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
        let score = |terms: Vec<Term>| Rewards::new(terms, Sanity::default()).score(&rows);
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
}
