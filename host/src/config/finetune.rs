//! The config of `temper finetune`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::document::nearest;
use super::seed_in_path::check_braces;
use super::{
    Config, Guards, Judge, Memory, ModelSupervision, Ppo, Problem, Record, Reward, Sampling, Schedule, Temperature,
};

/// A fine-tuning run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finetune {
    /// What is maximised: an expression over the names of the reward terms.
    pub objective: String,
    /// The policy under training.
    pub policy: PolicySource,
    /// Where and how it runs.
    #[serde(default)]
    pub run: Run,
    /// What is sampled.
    #[serde(default)]
    pub sampling: Sampling,
    /// The optimisation.
    #[serde(default)]
    pub ppo: Ppo,
    /// The reward terms by name.
    pub rewards: BTreeMap<String, Reward>,
    /// The crystals kept as a front over several terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pareto: Option<Pareto>,
    /// A second opinion, never in the objective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
    /// When the run warns, and when it stops by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guards: Option<Guards>,
    /// What the run writes about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
}

/// The `[policy]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySource {
    /// Directory of the policy to start from.
    pub model: PathBuf,
    /// Directory of the policy that KL is measured against; absent: the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
}

/// The `[run]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Run {
    /// Directory that receives the run's files.
    pub dir: PathBuf,
    /// Optimisation steps, each on a fresh batch.
    pub steps: usize,
    /// Seed of every random stream.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Threads; 0: all cores.
    pub threads: usize,
    /// Budget for activations and caches of a stage; absent: 4 GiB, or on a GPU a quarter of its memory.
    pub memory: Option<Memory>,
    /// Steps between checkpoints.
    pub checkpoint_every: usize,
    /// Newest checkpoints kept beside the best.
    pub keep: usize,
    /// Largest share of a batch that may fail to be scored before the run stops.
    pub max_failed: f64,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("runs/finetune"),
            steps: 100,
            seed: 42,
            device: "auto".to_owned(),
            threads: 0,
            memory: None,
            checkpoint_every: 5,
            keep: 2,
            max_failed: 0.5,
        }
    }
}

/// The `[pareto]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pareto {
    /// Names of reward terms, and which way each is better.
    pub terms: BTreeMap<String, Direction>,
    /// Most crystals that are kept.
    #[serde(default = "two_hundred")]
    pub size: usize,
}

/// Which way a term is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More is better.
    Max,
    /// Less is better.
    Min,
}

fn two_hundred() -> usize {
    200
}

/// Most crystals on a front: each is compared with all the others at every step.
const LARGEST_FRONT: usize = 5000;

impl Pareto {
    fn check(&self, rewards: &BTreeMap<String, Reward>) -> Result<(), Problem> {
        for name in self.terms.keys() {
            if !rewards.contains_key(name) {
                return Err(no_term(&format!("pareto.terms.{name}"), name, rewards));
            }
        }
        let terms = self.terms.len();
        Problem::unless(terms >= 2, "pareto.terms", format!("{terms} term(s)"), "a front needs at least 2")?;
        let size = (2 * terms..=LARGEST_FRONT).contains(&self.size);
        let rule = format!("must be at least 2 for each of the terms and at most {LARGEST_FRONT}");
        Problem::unless(size, "pareto.size", self.size, &rule)
    }
}

/// A key names a term that there is not.
pub(super) fn no_term(key: &str, name: &str, rewards: &BTreeMap<String, Reward>) -> Problem {
    let nearest = nearest(name, rewards.keys().map(String::as_str));
    let problem = Problem::new(key, format!("`{key}`: no reward term is called `{name}`"));
    nearest.map(|n| format!("did you mean `{n}`?")).into_iter().fold(problem, Problem::hint)
}

/// Random numbers are keyed by the step, which has 32 bits there.
pub(super) const MOST_STEPS: usize = 1_000_000_000;
/// More than any machine has cores.
pub const MOST_THREADS: usize = 4096;
impl Config for Finetune {
    fn check(&self) -> Result<(), Problem> {
        if self.objective.trim().is_empty() {
            return Err(
                Problem::new("objective", "`objective` is empty").hint("write an expression such as \"-e_hull\"")
            );
        }
        self.run.check()?;
        self.sampling.check()?;
        self.ppo.check()?;
        if self.rewards.is_empty() {
            return Err(
                Problem::new("rewards", "`rewards` has no term").hint("add a table such as [rewards.e_hull.hull]")
            );
        }
        for (name, reward) in &self.rewards {
            if !is_identifier(name) {
                let message = format!(
                    "`rewards.{name}`: a term's name consists of letters, digits and _, and does not begin with a digit"
                );
                return Err(Problem { key: vec!["rewards".to_owned(), name.clone()], message, hints: Vec::new() });
            }
            reward.check(name)?;
        }
        self.pareto.as_ref().map_or(Ok(()), |pareto| pareto.check(&self.rewards))?;
        self.guards.as_ref().map_or(Ok(()), Guards::check)?;
        self.record.as_ref().map_or(Ok(()), Record::check)?;
        self.judge.as_ref().map_or(Ok(()), |judge| judge.check(&self.rewards))
    }
}

impl Run {
    fn check(&self) -> Result<(), Problem> {
        check_braces("run.dir", &self.dir)?;
        let steps = (1..=MOST_STEPS).contains(&self.steps);
        Problem::unless(steps, "run.steps", self.steps, &format!("must be 1 to {MOST_STEPS}"))?;
        let threads = self.threads <= MOST_THREADS;
        Problem::unless(threads, "run.threads", self.threads, &format!("must be at most {MOST_THREADS}"))?;
        Problem::unless(
            self.checkpoint_every >= 1,
            "run.checkpoint_every",
            self.checkpoint_every,
            "must be at least 1",
        )?;
        Problem::unless(self.keep >= 1, "run.keep", self.keep, "must be at least 1")?;
        let share = self.max_failed;
        Problem::unless(share > 0.0 && share <= 1.0, "run.max_failed", share, "must be more than 0 and at most 1")
    }
}

impl Finetune {
    /// The config as far as it shapes the numbers of a step: a run may be resumed elsewhere, on more threads, with models in other
    /// processes, and with more steps unless its learning rate falls. Guards shape them only where one lowers the learning rate.
    pub fn decisive(&self) -> Self {
        // Runs of earlier versions have locked a config with this amount.
        let memory = Some(Memory::gib(4));
        // The course of the learning rate depends on where it ends.
        let falls = self.ppo.schedule == Some(Schedule::Cosine);
        let steps = if falls { self.run.steps } else { Run::default().steps };
        let run = Run { steps, seed: self.run.seed, max_failed: self.run.max_failed, memory, ..Run::default() };
        let guards = self.guards.clone().filter(Guards::change_numbers);
        let mut decisive = Self { run, guards, record: None, ..self.clone() };
        // As runs of earlier versions have it, whose policies had no temperatures of their own.
        decisive.sampling.temperature.get_or_insert(Temperature::All(1.0));
        decisive.ppo.schedule = decisive.ppo.schedule.filter(|_| falls);
        let models = decisive.rewards.values_mut().filter_map(|reward| reward.kind.model_supervision());
        let judge = decisive.judge.iter_mut().filter_map(|judge| judge.kind.model_supervision());
        models.chain(judge).for_each(|supervision| *supervision = ModelSupervision::default());
        decisive
    }
}

/// Whether the objective can name it.
fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
