//! A fine-tuning run with everything opened and checked: every mistake that a user can make is found here, before anything runs.

mod plugins;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::elements::element_flags;
use super::{Context, Exit, Failure, Search, hull};
use crate::config::{self, Config, Deadline, Document, Finetune, Problem, Reward, Role, SpaceGroups};
use crate::hull::Hull;
use crate::policy::{MODEL, ModelToml, PARAMETERS, Parameters, PolicyDirectory, Resources, SpaceGroupDistribution};
use crate::reward::{
    BuiltinTerm, ForceModel, ForceScale, ForceTerm, HullTerm, KnownCompositions, ModelOptions, Objective, OnFailure,
    OnnxModel, Rewards, Sanity, Term, TermKind, WORST_E_HULL,
};
use crate::runtime::{Device, Runtime};
use crate::train::{FinetuneSettings, KlGradient, Monitor, Objectives};

/// A run, ready to start.
pub struct Plan {
    /// The config as it will be recorded.
    pub config: Finetune,
    /// The same as TOML.
    pub text: String,
    /// The policy's description.
    pub model: ModelToml,
    /// Parameters to start from.
    pub start: Parameters,
    /// Parameters that KL is measured against.
    pub base: Parameters,
    /// Terms and objective.
    pub objectives: Objectives,
    /// Settings of the training.
    pub settings: FinetuneSettings,
    /// ONNX Runtime.
    pub runtime: Arc<Runtime>,
    /// Hashes of everything that the run's numbers depend on.
    pub lock: BTreeMap<String, String>,
}

/// Terms of the same file, state and deadline share a model.
type ModelKey = (PathBuf, Option<i64>, Option<Duration>);

/// The model of a term, as its table names it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    path: &'a Path,
    state: Option<i64>,
    deadline: Option<Duration>,
}

impl<'a> Asked<'a> {
    fn new(path: &'a Path, deadline: Option<Deadline>) -> Self {
        Self { path, state: None, deadline: deadline.map(Deadline::duration) }
    }
}

/// Opens what a config names.
struct Planner<'a> {
    context: &'a Context,
    document: &'a Document,
    search: Search,
    runtime: Arc<Runtime>,
    device: Device,
    threads: usize,
    memory: u64,
    lock: BTreeMap<String, String>,
    models: BTreeMap<ModelKey, Arc<OnnxModel>>,
    force_models: BTreeMap<ModelKey, Arc<ForceModel>>,
    hulls: BTreeMap<PathBuf, Arc<Hull>>,
}

impl Plan {
    /// Checks a config, opens and hashes what it names, and sets the run up.
    ///
    /// # Errors
    /// The first mistake, with its place in the config.
    pub fn new(context: &Context, document: &Document, folder: Option<&Path>) -> Result<Self, Failure> {
        let mut config: Finetune = document.read()?;
        let globals = &context.globals;
        config.run.seed = globals.seed.unwrap_or(config.run.seed);
        config.run.threads = globals.threads.unwrap_or(config.run.threads);
        config.run.device = globals.device.clone().unwrap_or(config.run.device);
        let wish: Device = config.run.device.parse()?;
        let runtime = context.runtime(wish)?;
        let device = runtime.resolve(wish, &|line| context.say(line))?;
        let threads = context.threads(config.run.threads);
        let lock = BTreeMap::from([
            ("program".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("config".to_owned(), hash(written(&without_length(&config))?.as_bytes())),
        ]);
        let mut planner = Planner {
            context,
            document,
            search: Search::new(folder),
            runtime: Arc::clone(&runtime),
            device,
            threads,
            memory: config.run.memory.bytes(),
            lock,
            models: BTreeMap::new(),
            force_models: BTreeMap::new(),
            hulls: BTreeMap::new(),
        };
        let PolicyDirectory { model, parameters: start } = planner.policy("policy.model", &config.policy.model)?;
        let base = match &config.policy.base {
            None => start.clone(),
            Some(path) => {
                let PolicyDirectory { model: other, parameters: base } = planner.policy("policy.base", path)?;
                if other.hyper != model.hyper {
                    return Err(planner.mistake("policy.base", "`policy.base` has other hyper-parameters"));
                }
                base
            }
        };
        let objectives = planner.objectives(&config)?;
        let resources = Resources { device, threads, memory: config.run.memory.bytes() };
        let settings = planner.settings(&config, &model, resources)?;
        let text = written(&config)?;
        Ok(Self { config, text, model, start, base, objectives, settings, runtime, lock: planner.lock })
    }
}

impl Planner<'_> {
    fn mistake(&self, key: &str, message: impl Into<String>) -> Failure {
        self.document.locate(Problem::new(key, message)).into()
    }

    fn find(&self, key: &str, path: &Path) -> Result<PathBuf, Failure> {
        self.search.find(&format!("`{key}`"), path)
    }

    fn lock(&mut self, key: &str, file: &Path) -> Result<(), Failure> {
        let bytes = std::fs::read(file).map_err(|e| Failure::user(format!("{}: {e}", file.display())))?;
        self.lock.insert(key.to_owned(), hash(&bytes));
        Ok(())
    }

    fn policy(&mut self, key: &str, path: &Path) -> Result<PolicyDirectory, Failure> {
        let folder = self.find(key, path)?;
        let policy = PolicyDirectory::open(&folder)?;
        self.lock(key, &folder.join(PARAMETERS))?;
        self.lock(&format!("{MODEL} of {key}"), &folder.join(MODEL))?;
        Ok(policy)
    }

    /// Opens a model, unless a term before has named the same.
    fn model(&mut self, key: &str, asked: Asked<'_>) -> Result<Arc<OnnxModel>, Failure> {
        let Asked { path, state, deadline } = asked;
        let path = self.find(key, path)?;
        let model_key = (path.clone(), state, deadline);
        if let Some(open) = self.models.get(&model_key) {
            return Ok(Arc::clone(open));
        }
        let (device, threads, memory) = (self.device, self.threads, self.memory);
        let options = ModelOptions { device, threads, memory, deadline, ..ModelOptions::default() };
        let mut model = OnnxModel::open(&self.runtime, &path, options)?;
        self.models.values().next().into_iter().for_each(|other| model.share_threads(other));
        if let Some(state) = state {
            model.set_state(state);
        }
        model.contract().warnings.iter().for_each(|w| self.context.say(&format!("warning: {w}")));
        self.lock(key, &model.contract().path.clone())?;
        let model = Arc::new(model);
        self.models.insert(model_key, Arc::clone(&model));
        Ok(model)
    }

    fn hull(&mut self, key: &str, path: &Path) -> Result<Arc<Hull>, Failure> {
        let path = self.find(key, path)?;
        if let Some(open) = self.hulls.get(&path) {
            return Ok(Arc::clone(open));
        }
        let hull = Arc::new(hull::open(&path, self.context)?);
        self.lock(key, &path)?;
        self.hulls.insert(path, Arc::clone(&hull));
        Ok(hull)
    }

    fn hull_term(
        &mut self,
        key: &str,
        potential: Asked<'_>,
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

    fn force_model(&mut self, key: &str, potential: Asked<'_>) -> Result<Arc<ForceModel>, Failure> {
        let model = self.model(key, potential)?;
        let model_key = (model.contract().path.clone(), potential.state, potential.deadline);
        if let Some(open) = self.force_models.get(&model_key) {
            return Ok(Arc::clone(open));
        }
        let forces = ForceModel::new(&self.runtime, model, self.context.cache().as_deref())?;
        let forces = Arc::new(forces);
        self.force_models.insert(model_key, Arc::clone(&forces));
        Ok(forces)
    }

    fn objectives(&mut self, config: &Finetune) -> Result<Objectives, Failure> {
        let mut terms = Vec::new();
        for (name, reward) in &config.rewards {
            terms.push(self.term(name, reward)?);
        }
        let hull_term = terms.iter().position(|t| matches!(t.kind, TermKind::Hull(_)));
        let monitor = match &config.judge {
            None => None,
            Some(judge) => Some(self.monitor(config, &judge.hull)?),
        };
        let objective = self.objective(&config.objective, &terms)?;
        let rewards = Rewards::new(terms, Sanity::default());
        Ok(Objectives { rewards, objective, hull_term, monitor })
    }

    fn objective(&self, text: &str, terms: &[Term]) -> Result<Objective, Failure> {
        let names: Vec<&str> = terms.iter().map(|term| term.name.as_str()).collect();
        let refused = |e| self.mistake("objective", format!("`objective`: {e}"));
        let objective = Objective::parse(text, &names).map_err(refused)?;
        let range = |name: &String| terms.iter().find(|term| term.name == *name).map(|term| term.kind.range());
        let ranges: Vec<[f64; 2]> = objective.terms().iter().filter_map(range).collect();
        objective.check_ranges(&ranges).map_err(refused)?;
        Ok(objective)
    }

    fn monitor(&mut self, config: &Finetune, judge: &config::JudgeHull) -> Result<Monitor, Failure> {
        let own = config.rewards.values().find_map(|r| if let Reward::Hull(t) = r { Some(&t.reference) } else { None });
        let reference = judge.reference.as_ref().or(own);
        let reference =
            reference.ok_or_else(|| self.mistake("judge.hull", "`judge.hull.reference` is missing: name a hull"))?;
        let potential = Asked::new(&judge.potential, judge.deadline);
        let kind = TermKind::Hull(self.hull_term("judge.hull", potential, reference, &judge.correction)?);
        let term = Term { name: "e_hull".into(), kind, on_failure: OnFailure::Value(WORST_E_HULL), bound: None };
        Ok(Monitor { rewards: Rewards::new(vec![term], Sanity::default()), every: judge.every.max(1) })
    }

    fn term(&mut self, name: &str, reward: &Reward) -> Result<Term, Failure> {
        let (kind, on_failure, role, bound) = match reward {
            Reward::Hull(term) => {
                let key = format!("rewards.{name}.hull");
                let potential = Asked::new(&term.potential, term.deadline);
                let kind = TermKind::Hull(self.hull_term(&key, potential, &term.reference, &term.correction)?);
                (kind, term.on_failure, term.role, term.bound)
            }
            Reward::Force(term) => {
                let potential = Asked::new(&term.potential, term.deadline);
                let model = self.force_model(&format!("rewards.{name}.force.potential"), potential)?;
                let scale = ForceScale {
                    stress_weight: term.stress_weight,
                    force_clip: term.force_clip,
                    stress_clip: term.stress_clip,
                };
                (TermKind::Force(ForceTerm::new(model, scale)), term.on_failure, term.role, term.bound)
            }
            Reward::Onnx(term) => {
                let key = format!("rewards.{name}.onnx");
                (self.onnx(&key, term)?, term.on_failure, term.role, term.bound)
            }
            Reward::Builtin(term) => {
                let kind = self.builtin(&format!("rewards.{name}.builtin"), term)?;
                (kind, term.on_failure, term.role, term.bound)
            }
            Reward::Plugin(term) => (self.plugin(name, term)?, term.on_failure, term.role, term.bound),
            Reward::Process(term) => (self.process(name, term)?, term.on_failure, term.role, term.bound),
        };
        let on_failure = match on_failure {
            config::OnFailure::Worst => OnFailure::Worst,
            config::OnFailure::Drop => OnFailure::Drop,
            config::OnFailure::Value(value) => OnFailure::Value(value),
        };
        let bound = bound.filter(|_| role == Role::Filter);
        let [least, most] = kind.range();
        if let Some(bound) = bound.filter(|bound| bound.ends()[0] > most || bound.ends()[1] < least) {
            let message =
                format!("`rewards.{name}`: no crystal passes the bound {bound}: the term is {least} to {most}");
            return Err(self.mistake(&format!("rewards.{name}"), message));
        }
        let bound = bound.map(config::Bound::ends);
        Ok(Term { name: name.to_owned(), kind, on_failure, bound })
    }

    fn builtin(&mut self, key: &str, term: &config::BuiltinTerm) -> Result<TermKind, Failure> {
        let refused = |e| self.mistake(&format!("{key}.term"), format!("`{key}.term`: {e}"));
        let builtin: BuiltinTerm = term.term.parse().map_err(refused)?;
        let key = format!("{key}.reference");
        match (builtin, &term.reference) {
            (BuiltinTerm::OfStructure(builtin), None) => Ok(TermKind::Builtin(builtin)),
            (BuiltinTerm::Uniqueness, None) => Ok(TermKind::Uniqueness),
            (BuiltinTerm::Novelty, Some(path)) => self.known(&key, path).map(TermKind::Novelty),
            (BuiltinTerm::Novelty, None) => {
                Err(self.mistake(&key, format!("`{key}` is missing: name a file of formulas or structures, or a hull")))
            }
            (_, Some(_)) => Err(self.mistake(&key, format!("`{key}`: only `novelty` has a reference"))),
        }
    }

    fn known(&mut self, key: &str, path: &Path) -> Result<Arc<KnownCompositions>, Failure> {
        let path = self.find(key, path)?;
        let known = KnownCompositions::read(&path)?;
        if let Some(warning) = known.warning() {
            self.context.say(&format!("warning: {}: {warning}", path.display()));
        }
        self.lock(key, &path)?;
        Ok(Arc::new(known))
    }

    fn onnx(&mut self, key: &str, term: &config::OnnxTerm) -> Result<TermKind, Failure> {
        let asked = Asked { state: term.state, ..Asked::new(&term.model, term.deadline) };
        let model = self.model(&format!("{key}.model"), asked)?;
        let quantity = model.quantity(term.output.as_deref())?.to_owned();
        Ok(TermKind::Onnx { model, quantity })
    }

    fn settings(
        &self,
        config: &Finetune,
        model: &ModelToml,
        resources: Resources,
    ) -> Result<FinetuneSettings, Failure> {
        let (sampling, ppo) = (&config.sampling, &config.ppo);
        for (key, value) in [("sampling.temperature", sampling.temperature), ("sampling.top_p", sampling.top_p)] {
            if value != 1.0 {
                let message = format!(
                    "`{key}` is {value}, but fine-tuning scores crystals under the policy itself: it must be 1"
                );
                return Err(self.mistake(key, message));
            }
        }
        let groups = match (&sampling.spacegroups, &model.spacegroups) {
            (SpaceGroups::Training, None) => Some(SpaceGroupDistribution::uniform()),
            (SpaceGroups::Training, Some(frequencies)) => SpaceGroupDistribution::new(frequencies),
            (SpaceGroups::Weighted(weights), _) => {
                let weights = weights.iter().filter_map(|(n, w)| Some((u8::try_from(*n).ok()?, *w))).collect();
                SpaceGroupDistribution::new(&weights)
            }
        };
        let groups = groups.ok_or_else(|| self.mistake("sampling.spacegroups", "`sampling.spacegroups` is empty"))?;
        let elements = sampling.elements.as_ref().map(|e| element_flags(e, model.hyper.atom_types)).transpose();
        let elements = elements.map_err(|e| self.mistake("sampling.elements", format!("`sampling.elements`: {e}")))?;
        Ok(FinetuneSettings {
            steps: config.run.steps,
            batch: sampling.batch,
            epochs: ppo.epochs,
            clip: ppo.clip,
            learning_rate: ppo.learning_rate,
            grad_clip: ppo.grad_clip,
            kl_weight: ppo.kl_weight,
            kl_gradient: match ppo.kl_gradient {
                config::KlGradient::Detached => KlGradient::Detached,
                config::KlGradient::Reference => KlGradient::Reference,
            },
            kl_stop: ppo.kl_stop,
            baseline_decay: ppo.baseline_decay,
            max_failed: config.run.max_failed,
            groups,
            elements,
            seed: config.run.seed,
            resources,
        })
    }
}

/// The config as far as it shapes the numbers of a step: a run may be resumed with more steps, elsewhere, on more threads.
fn without_length(config: &Finetune) -> Finetune {
    let mut config = config.clone();
    let run = config::Run { seed: config.run.seed, max_failed: config.run.max_failed, ..config::Run::default() };
    config.run = run;
    config
}

fn written(config: &Finetune) -> Result<String, Failure> {
    config.to_toml().map_err(|e| Failure::from_error(Exit::Internal, &e))
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

impl From<crate::train::FinetuneError> for Failure {
    fn from(error: crate::train::FinetuneError) -> Self {
        use crate::train::FinetuneError as E;
        match error {
            E::Likelihood(error) => error.into(),
            error @ (E::Rewards { .. } | E::EmptyBatch { .. }) => Self::from_error(Exit::Model, &error),
            error @ E::Observer(_) => Self::from_error(Exit::Usage, &error),
        }
    }
}
