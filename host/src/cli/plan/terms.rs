//! The reward terms, the objective and the judge.

use std::path::Path;
use std::sync::Arc;

use super::Planner;
use super::models::ModelRef;
use crate::cli::Failure;
use crate::cli::known::known_structures;
use crate::config::{
    self, ComparedBy, Document, Finetune, Judge, JudgeHull, JudgeKind, Problem, Reward, RewardKind, Role,
};
use crate::hint::Hint;
use crate::matching::StructureMatcher;
use crate::record::OWN_NAMES;
use crate::relax::{Cell, RelaxSettings};
use crate::reward::{
    Bucket, BuiltinTerm, DisplacementTerm, Diversity, ForceScale, ForceTerm, HullTerm, KnownCompositions, Novelty,
    Objective, OnFailure, OnnxTerm, Relaxation, Rewards, Sanity, StructureNovelty, StructureUniqueness, Term, TermKind,
    Uniqueness, WORST_E_HULL,
};
use crate::train::{Monitor, Objectives};

/// The objective of a config, over its terms by their names.
pub(in crate::cli) fn parsed_objective(document: &Document, config: &Finetune) -> Result<Objective, Failure> {
    let names: Vec<&String> = config.rewards.keys().collect();
    Objective::parse(&config.objective, &names).map_err(|error| {
        let problem = Problem::new("objective", format!("`objective`: {error}"));
        error.hints().into_iter().fold(document.locate(problem).into(), Failure::hint)
    })
}

impl Planner<'_> {
    pub(super) fn objectives(&mut self, config: &Finetune) -> Result<Objectives, Failure> {
        let mut terms = Vec::new();
        for (name, reward) in &config.rewards {
            terms.push(self.term(name, reward)?);
        }
        let hull_term = config.rewards.values().position(|reward| matches!(reward.kind, RewardKind::Hull(_)));
        let monitor = match &config.judge {
            None => None,
            Some(judge) => Some(self.monitor(config, judge)?),
        };
        let objective = self.objective(config, &terms)?;
        let rewards = Rewards::new(terms, Sanity::default(), self.executor.clone()).among(self.context.ranks);
        Ok(Objectives { rewards, objective, hull_term, monitor })
    }

    /// Refuses names that the files of a run have for themselves. Runs of earlier versions may have them, and go on.
    pub(super) fn check_names(&self, config: &Finetune) -> Result<(), Failure> {
        match config.rewards.keys().find(|name| OWN_NAMES.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let key = format!("rewards.{name}");
                let message = format!("`{key}`: samples and candidates have a value `{name}` of their own");
                Err(self.mistake(&key, message).hint(format!("call the term something else, such as `{name}_term`")))
            }
        }
    }

    fn objective(&self, config: &Finetune, terms: &[Term]) -> Result<Objective, Failure> {
        let objective = parsed_objective(self.document, config)?;
        let range = |name: &String| terms.iter().find(|term| term.name == *name).map(|term| term.kind.range());
        let ranges: Vec<[f64; 2]> = objective.terms().iter().filter_map(range).collect();
        objective.check_ranges(&ranges).map_err(|error| self.refused("objective", &error))?;
        Ok(objective)
    }

    fn monitor(&mut self, config: &Finetune, judge: &Judge) -> Result<Monitor, Failure> {
        let judged = judge.judged(&config.rewards);
        let (name, kind, on_failure): (&str, Arc<dyn TermKind>, _) = match &judge.kind {
            JudgeKind::Hull(hull) => {
                ("e_hull", Arc::new(self.judge_hull(config, hull)?), OnFailure::Value(WORST_E_HULL))
            }
            JudgeKind::Term(RewardKind::Builtin(term)) if term.term.trim() == "diversity" => {
                let message =
                    "`judge.builtin.term`: `diversity` depends on the batches before, of which a judge sees some only";
                return Err(self.mistake("judge.builtin.term", message));
            }
            JudgeKind::Term(kind) => (judged.unwrap_or(kind.name()), self.term_kind("judge", kind)?, OnFailure::Worst),
        };
        let judged = judged.and_then(|judged| config.rewards.keys().position(|name| name == judged));
        let term = Term { name: name.into(), kind, on_failure, bound: None };
        let rewards = Rewards::new(vec![term], Sanity::default(), self.executor.clone()).among(self.context.ranks);
        Ok(Monitor { rewards, every: judge.verdicts.every.max(1), judged })
    }

    fn judge_hull(&mut self, config: &Finetune, judge: &JudgeHull) -> Result<HullTerm, Failure> {
        let own = config.rewards.values().find_map(|reward| match &reward.kind {
            RewardKind::Hull(term) => Some(&term.reference),
            _ => None,
        });
        let reference = judge.reference.as_ref().or(own);
        let reference = reference
            .ok_or_else(|| self.mistake("judge.hull", "`judge.hull.reference` is missing").hint("name a hull"))?;
        let potential = ModelRef::new(&judge.potential, judge.deadline, judge.supervision);
        self.hull_term("judge.hull", potential, reference, &judge.correction)
    }

    fn term(&mut self, name: &str, reward: &Reward) -> Result<Term, Failure> {
        let kind = self.term_kind(&format!("rewards.{name}"), &reward.kind)?;
        let on_failure = match reward.gate.on_failure {
            config::OnFailure::Worst => OnFailure::Worst,
            config::OnFailure::Drop => OnFailure::Drop,
            config::OnFailure::Value(value) => OnFailure::Value(value),
        };
        let bound = reward.gate.bound.filter(|_| reward.gate.role == Role::Filter);
        let [least, most] = kind.range();
        if let Some(bound) = bound.filter(|bound| bound.ends()[0] > most || bound.ends()[1] < least) {
            let message =
                format!("`rewards.{name}`: no crystal passes the bound {bound}: the term is {least} to {most}");
            return Err(self.mistake(&format!("rewards.{name}"), message));
        }
        let bound = bound.map(config::Bound::ends);
        Ok(Term { name: name.to_owned(), kind, on_failure, bound })
    }

    /// `table` is where the kind is written, such as `rewards.gap`.
    fn term_kind(&mut self, table: &str, kind: &RewardKind) -> Result<Arc<dyn TermKind>, Failure> {
        let key = format!("{table}.{}", kind.name());
        Ok(match kind {
            RewardKind::Hull(term) => {
                let potential = ModelRef::new(&term.potential, term.deadline, term.supervision);
                let relaxation = self.relaxation(&key, term.relax.as_ref(), potential)?;
                let term = self.hull_term(&key, potential, &term.reference, &term.correction)?;
                Arc::new(term.of_relaxed(relaxation))
            }
            RewardKind::Force(term) => {
                let potential = ModelRef::new(&term.potential, term.deadline, term.supervision);
                let model = self.force_model(&format!("{key}.potential"), potential)?;
                let scale = ForceScale {
                    stress_weight: term.stress_weight,
                    force_clip: term.force_clip,
                    stress_clip: term.stress_clip,
                };
                Arc::new(ForceTerm::new(model, scale))
            }
            RewardKind::Displacement(term) => {
                let key = format!("{key}.relax.potential");
                let Some(potential) = &term.relax.potential else {
                    return Err(self.mistake(&key, format!("`{key}` is missing")).hint("name a potential"));
                };
                let potential = ModelRef::new(potential, term.deadline, term.supervision);
                Arc::new(DisplacementTerm::new(self.relaxation_by(&key, &term.relax, potential)?))
            }
            RewardKind::Onnx(term) => Arc::new(self.onnx(&key, term)?),
            RewardKind::Builtin(term) => self.builtin(&key, term)?,
            RewardKind::Plugin(term) => Arc::new(self.plugin(&key, term)?),
            RewardKind::Process(term) => Arc::new(self.process(&key, term)?),
        })
    }

    fn builtin(&mut self, key: &str, term: &config::BuiltinTerm) -> Result<Arc<dyn TermKind>, Failure> {
        let builtin: BuiltinTerm = term.term.parse().map_err(|error| self.refused(&format!("{key}.term"), &error))?;
        if let Some((own, why)) = misplaced(builtin, term) {
            let key = format!("{key}.{own}");
            return Err(self.mistake(&key, format!("`{key}`: {why}")));
        }
        let key = format!("{key}.reference");
        let by_structure = term.by == Some(ComparedBy::Structure);
        match (builtin, &term.reference) {
            (BuiltinTerm::OfStructure(builtin), _) => Ok(Arc::new(builtin)),
            (BuiltinTerm::Diversity, _) => Ok(Arc::new(diversity(term))),
            (BuiltinTerm::Uniqueness, _) if by_structure => Ok(Arc::new(StructureUniqueness)),
            (BuiltinTerm::Uniqueness, _) => Ok(Arc::new(Uniqueness)),
            (BuiltinTerm::Novelty, Some(path)) if by_structure => {
                let path = self.find(&key, path)?;
                self.lock(&key, &path)?;
                Ok(Arc::new(StructureNovelty::new(known_structures(
                    &path,
                    &StructureMatcher::default(),
                    self.context,
                )?)))
            }
            (BuiltinTerm::Novelty, Some(path)) => Ok(Arc::new(Novelty::new(self.known(&key, path)?))),
            (BuiltinTerm::Novelty, None) => Err(self
                .mistake(&key, format!("`{key}` is missing"))
                .hint("name a file of formulas or structures, an index of structures, or a hull")),
        }
    }

    fn known(&mut self, key: &str, path: &Path) -> Result<KnownCompositions, Failure> {
        let path = self.find(key, path)?;
        let known = KnownCompositions::read(&path)?;
        if let Some(warning) = known.warning() {
            self.context.say(&format!("warning: {}: {warning}", path.display()));
        }
        self.lock(key, &path)?;
        Ok(known)
    }

    fn onnx(&mut self, key: &str, term: &config::OnnxTerm) -> Result<OnnxTerm, Failure> {
        let model = ModelRef { state: term.state, ..ModelRef::new(&term.model, term.deadline, term.supervision) };
        let relaxation = self.relaxation(key, term.relax.as_ref(), model)?;
        let model = self.model(&format!("{key}.model"), model)?;
        Ok(OnnxTerm::new(model, term.output.as_deref())?.of_relaxed(relaxation))
    }

    /// The relaxation of a term, by its own model unless another potential is named.
    fn relaxation(
        &mut self,
        key: &str,
        relax: Option<&config::Relax>,
        own: ModelRef<'_>,
    ) -> Result<Option<Relaxation>, Failure> {
        let Some(relax) = relax else { return Ok(None) };
        let key = format!("{key}.relax");
        match &relax.potential {
            Some(path) => {
                let potential = ModelRef { path, state: None, ..own };
                self.relaxation_by(&format!("{key}.potential"), relax, potential).map(Some)
            }
            None => self.relaxation_by(&key, relax, own).map(Some),
        }
    }

    fn relaxation_by(
        &mut self,
        key: &str,
        relax: &config::Relax,
        potential: ModelRef<'_>,
    ) -> Result<Relaxation, Failure> {
        let settings = RelaxSettings { fmax: relax.fmax, steps: relax.steps, cell: Cell::Relaxed, symmetry: None };
        Ok(Relaxation { potential: self.force_model(key, potential)?, settings })
    }

    fn hull_term(
        &mut self,
        key: &str,
        potential: ModelRef<'_>,
        reference: &Path,
        correction: &config::Correction,
    ) -> Result<HullTerm, Failure> {
        let correction = self.correction(&format!("{key}.correction"), correction)?;
        let model = self.model(&format!("{key}.potential"), potential)?;
        let hull = self.hull(&format!("{key}.reference"), reference)?;
        let term = HullTerm::new(model, hull, correction)?;
        if let Some(warning) = term.warning() {
            self.context.say(&format!("warning: {warning}"));
        }
        Ok(term)
    }
}

/// A key that the built-in term does not have, and why.
fn misplaced(builtin: BuiltinTerm, term: &config::BuiltinTerm) -> Option<(&'static str, &'static str)> {
    let (is_novelty, is_diversity) = (builtin == BuiltinTerm::Novelty, builtin == BuiltinTerm::Diversity);
    let compares = !matches!(builtin, BuiltinTerm::OfStructure(_));
    let by = |by| term.by == Some(by);
    let wrong = [
        ("by", term.by.is_some() && !compares, "only `novelty`, `uniqueness` and `diversity` compare crystals"),
        ("by", by(ComparedBy::Family) && !is_diversity, "only `diversity` goes by families"),
        ("by", by(ComparedBy::Structure) && is_diversity, "`diversity` goes by \"family\" or by \"composition\""),
        ("reference", term.reference.is_some() && !is_novelty, "only `novelty` has a reference"),
        ("bucket_size", term.bucket_size.is_some() && !is_diversity, "only `diversity` has buckets"),
        ("window", term.window.is_some() && !is_diversity, "only `diversity` remembers batches"),
    ];
    wrong.into_iter().find(|(_, is_wrong, _)| *is_wrong).map(|(key, _, why)| (key, why))
}

fn diversity(term: &config::BuiltinTerm) -> Diversity {
    let bucket = match term.by {
        Some(ComparedBy::Composition) => Bucket::Composition,
        _ => Bucket::Family,
    };
    let size = term.bucket_size.unwrap_or(config::BuiltinTerm::BUCKET_SIZE);
    Diversity::new(bucket, size, term.window.unwrap_or(config::BuiltinTerm::WINDOW))
}
