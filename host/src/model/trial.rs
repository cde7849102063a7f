//! What the inputs of a foreign file mean, found by trying.
//!
//! A name does not tell whether shifts count cells or angstroms, nor which way an edge points. A crystal does: described otherwise
//! (other atoms wrapped, other vectors, turned, doubled) it keeps its energy only if the model gets what it was made for.

use super::check::{QuickCheck, check_until};
use super::contract::Choices;
use super::{Contract, Executor, Inspection, Isolation, ModelError, ModelOptions, ModelProcesses, OnnxModel};
use crate::runtime::Runtime;

/// The most combinations of meanings that are tried.
const MOST: usize = 256;

/// Assumed cutoffs of edges and triplets where a file states none, angstrom: a model with its own cutoff does not mind another, and one
/// without has the symmetries all the same.
const CUTOFF: f64 = 4.5;
const TRIPLET_CUTOFF: f64 = 3.5;

/// Elements that are tried where a file declares none: tables of elements may be short.
const ELEMENTS: [&[u8]; 3] = [&[6, 8, 13, 14], &[1, 6, 7, 8], &[1]];

/// By how much numbers may differ that are the same, relative.
const SAME: f64 = 1e-4;

/// What a trial found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trial {
    /// No input was in doubt.
    NotNeeded,
    /// Nothing can be run, and why.
    NotMade(String),
    /// So many combinations of meanings were tried, and every crystal keeps its numbers with those that are filled in.
    Settled(usize),
    /// With several meanings the crystals keep their numbers, so that the user must say.
    Open(usize),
    /// With none do they; the least wrong of them in words.
    Contradicted(usize, String),
}

/// The meanings of the inputs in doubt, by the name of the input.
type Meanings<'a> = Vec<(&'a str, &'a str)>;

impl Inspection {
    /// Finds the meanings of the inputs in doubt by trying all, and fills in those that are certain. Nobody has looked at the file
    /// yet: it runs in a process of its own, where there are any.
    ///
    /// # Errors
    /// What opening a model may give.
    pub fn try_inputs(&mut self, runtime: &Runtime, processes: Option<ModelProcesses>) -> Result<Trial, ModelError> {
        let options = ModelOptions { isolation: Some(Isolation::Process), processes, ..ModelOptions::default() };
        let lines =
            self.missing.iter().filter_map(|line| line.choices.as_ref().map(|choices| (line.value.is_some(), choices)));
        let choices: Vec<(bool, Choices)> = lines.map(|(known, choices)| (known, choices.clone())).collect();
        if choices.is_empty() || self.beyond.is_some() {
            return Ok(Trial::NotNeeded);
        }
        // Of what no symmetry tells, the most likely will do; all of it only where nothing else is right.
        let likely: Vec<(bool, Choices)> = choices
            .iter()
            .map(|(known, choices)| {
                (*known || !choices.names.first().is_some_and(|name| is_geometry(name)), choices.clone())
            })
            .collect();
        match self.try_combinations(runtime, &options, &combinations(&likely), &choices)? {
            Trial::Contradicted(..) if likely != choices => {
                self.try_combinations(runtime, &options, &combinations(&choices), &choices)
            }
            trial => Ok(trial),
        }
    }

    /// The outcome of some combinations of meanings; what is certain is filled in.
    fn try_combinations(
        &mut self,
        runtime: &Runtime,
        options: &ModelOptions,
        combinations: &[Meanings<'_>],
        choices: &[(bool, Choices)],
    ) -> Result<Trial, ModelError> {
        let mut tried = 0;
        let mut passed: Vec<(&Meanings<'_>, QuickCheck)> = Vec::new();
        let mut complaint = None;
        let mut model: Option<OnnxModel> = None;
        for meanings in combinations {
            let Ok(contract) = self.with_inputs(meanings) else { continue };
            let contract = self.assumed_cutoffs(contract);
            let model = match &mut model {
                Some(model) => {
                    model.contract = contract;
                    model
                }
                none => none.insert(OnnxModel::with_contract(runtime, &Executor::new(1)?, contract, options.clone())?),
            };
            tried += 1;
            let check = self.quick_check(model);
            if check.passed() {
                passed.push((meanings, check));
            } else if complaint.is_none() {
                complaint = check.complaint();
            }
        }
        let Some((first, numbers)) = passed.first() else {
            return Ok(Trial::Contradicted(tried, complaint.unwrap_or_else(|| "no crystal could be tried".into())));
        };
        // A meaning is certain if it is the same, or makes no difference, wherever the numbers are right.
        let certain = |port: &str, meaning: &str| {
            let other = |(meanings, check): &(&Meanings<'_>, QuickCheck)| {
                meanings.iter().any(|(p, m)| *p == port && *m != meaning) && !same(&numbers.outputs, &check.outputs)
            };
            !passed.iter().any(other)
        };
        let found: Vec<(String, String)> = first
            .iter()
            .filter(|(port, meaning)| is_geometry(meaning) && certain(port, meaning))
            .map(|(port, meaning)| ((*port).to_owned(), (*meaning).to_owned()))
            .collect();
        let doubtful =
            |(known, choices): &&(bool, Choices)| !known && !found.iter().any(|(port, _)| *port == choices.port);
        let open = choices.iter().filter(doubtful).count();
        self.fill_in(&found, tried);
        Ok(if open == 0 { Trial::Settled(tried) } else { Trial::Open(open) })
    }

    /// The contract with cutoffs that suit small crystals where they are only assumed.
    fn assumed_cutoffs(&self, mut contract: Contract) -> Contract {
        if self.assumes("cutoff") {
            contract.cutoff = contract.cutoff.map(|_| CUTOFF);
        }
        if self.assumes("triplet_cutoff") {
            let most = contract.cutoff.unwrap_or(CUTOFF);
            contract.triplet_cutoff = contract.triplet_cutoff.map(|_| TRIPLET_CUTOFF.min(most));
        }
        contract
    }

    /// The check on crystals of elements that the model takes.
    fn quick_check(&self, model: &mut OnnxModel) -> QuickCheck {
        if model.contract.inputs.iter().any(|input| input.kind.needs_elements()) || !model.contract.assumes_elements {
            return check_until(model, true);
        }
        let mut found = None;
        for elements in ELEMENTS {
            model.contract.restrict_to(elements);
            let check = check_until(model, true);
            if check.ran() {
                return check;
            }
            found.get_or_insert(check);
        }
        found.unwrap_or_else(|| check_until(model, true))
    }

    fn fill_in(&mut self, found: &[(String, String)], tried: usize) {
        for line in &mut self.missing {
            let Some(choices) = &line.choices else { continue };
            if let Some((_, meaning)) =
                found.iter().find(|(port, _)| *port == choices.port).filter(|_| line.value.is_none())
            {
                line.value = Some(format!("\"{meaning}\""));
                line.comment = format!("found by a trial of {tried} meanings on small crystals");
            }
        }
    }
}

/// Whether a wrong meaning shows when a crystal is described otherwise. Which element an atom is, it does not show.
fn is_geometry(meaning: &str) -> bool {
    let bare = meaning.trim_start_matches('-');
    bare.starts_with("edge") || ["positions", "cell", "triplet_index"].contains(&bare)
}

/// All combinations of meanings, no meaning twice in one; those in doubt keep the order of likelihood, the last changing first.
fn combinations(choices: &[(bool, Choices)]) -> Vec<Meanings<'_>> {
    let mut all: Vec<Meanings<'_>> = vec![Vec::new()];
    for (known, Choices { port, names }) in choices {
        let names = if *known { &names[..names.len().min(1)] } else { &names[..] };
        let mut longer = Vec::new();
        for meanings in &all {
            let free = |name: &&String| {
                let bare = |name: &str| name.trim_start_matches('-').to_owned();
                !meanings.iter().any(|(_, taken)| bare(taken) == bare(name))
            };
            longer.extend(names.iter().filter(free).map(|name| {
                let mut meanings = meanings.clone();
                meanings.push((port, name));
                meanings
            }));
        }
        longer.truncate(MOST);
        all = longer;
    }
    all
}

/// Whether two runs gave the same numbers.
fn same(one: &[Vec<Vec<f64>>], other: &[Vec<Vec<f64>>]) -> bool {
    let flat = |numbers: &[Vec<Vec<f64>>]| numbers.iter().flatten().flatten().copied().collect::<Vec<f64>>();
    let (one, other) = (flat(one), flat(other));
    let size = one.iter().fold(1.0_f64, |size, x| size.max(x.abs()));
    one.len() == other.len() && one.iter().zip(&other).all(|(a, b)| (a - b).abs() <= SAME * size)
}
