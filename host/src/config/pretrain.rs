//! The config of `temper pretrain`.

use std::fmt;
use std::path::PathBuf;

use serde::de::{SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

use super::finetune::MOST_STEPS;
use super::sampling::LARGEST_BATCH;
use super::seed_in_path::check_braces;
use super::{Config, MOST_THREADS, Memory, PretrainRecord, Problem};

/// A training on a file of crystals: by maximum likelihood, or on preferences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretrain {
    /// The crystals to learn from.
    pub data: Data,
    /// What is trained.
    pub policy: PretrainPolicy,
    /// Preferences that are learnt; without it, the likelihood of the crystals is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpo: Option<Dpo>,
    /// Where and how it runs.
    #[serde(default)]
    pub run: PretrainRun,
    /// The optimisation.
    #[serde(default)]
    pub train: Train,
    /// What the run writes about itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<PretrainRecord>,
}

/// The `[data]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Files of structures or of tokens, folders of them, or patterns.
    #[serde(deserialize_with = "one_or_more")]
    pub files: Vec<PathBuf>,
    /// A table with the column `id` that has numbers of the crystals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<PathBuf>,
    /// A condition on the numbers of a crystal; those that do not meet it are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<String>,
    /// Crystals with more atoms in the cell as the file has it are left out.
    #[serde(default = "twenty")]
    pub max_atoms: usize,
    /// Crystals with more Wyckoff sites are left out.
    #[serde(default = "twenty")]
    pub max_sites: usize,
    /// Share held out for validation, chosen by a hash of each crystal's id.
    #[serde(default = "five_percent")]
    pub holdout: f64,
    /// Tolerance of the symmetry search, angstrom.
    #[serde(default = "symprec")]
    pub symprec: f64,
}

fn twenty() -> usize {
    20
}

fn five_percent() -> f64 {
    0.05
}

fn symprec() -> f64 {
    0.01
}

/// A list of paths, or one by itself.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    struct OneOrMore;

    impl<'de> Visitor<'de> for OneOrMore {
        type Value = Vec<PathBuf>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a path or a list of paths")
        }

        fn visit_str<E>(self, path: &str) -> Result<Vec<PathBuf>, E> {
            Ok(vec![path.into()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, paths: A) -> Result<Vec<PathBuf>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(paths))
        }
    }

    deserializer.deserialize_any(OneOrMore)
}

/// The `[dpo]` table: direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dpo {
    /// A condition on the numbers of a crystal: those that meet it are preferred.
    pub chosen: String,
    /// A condition that the others meet; absent: all that are not preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    /// Scale of the log-ratios in the loss.
    #[serde(default = "a_tenth")]
    pub beta: f64,
    /// Most pairs that a crystal stands in.
    #[serde(default = "one")]
    pub pairs_per_crystal: usize,
    /// Whether the crystals of a pair have their elements in the same proportions too.
    #[serde(default)]
    pub same_family: bool,
}

fn a_tenth() -> f64 {
    0.1
}

fn one() -> usize {
    1
}

/// Most pairs of a crystal that anybody could mean.
const MOST_PAIRS: usize = 1000;

/// The `[policy]` table: a policy to start from, or the shape of a new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "PolicyTable")]
pub enum PretrainPolicy {
    /// Directory of the policy to go on from.
    Model(PathBuf),
    /// A new CrystalFormer.
    CrystalFormer(CrystalFormerShape),
}

/// The `[policy]` table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyTable {
    model: Option<PathBuf>,
    crystalformer: Option<CrystalFormerShape>,
}

impl TryFrom<PolicyTable> for PretrainPolicy {
    type Error = &'static str;

    fn try_from(table: PolicyTable) -> Result<Self, Self::Error> {
        match (table.model, table.crystalformer) {
            (Some(directory), None) => Ok(Self::Model(directory)),
            (None, Some(shape)) => Ok(Self::CrystalFormer(shape)),
            _ => Err("give either `model`, a directory to start from, or the table [policy.crystalformer]"),
        }
    }
}

/// `[policy.crystalformer]`, under the reference's names; defaults are the paper's Table S1. The policy checks their ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(non_snake_case, reason = "the names of the reference's hyper-parameters")]
pub struct CrystalFormerShape {
    /// Fourier frequencies of a coordinate.
    pub Nf: usize,
    /// Von Mises components per coordinate.
    pub Kx: usize,
    /// Gaussian components per lattice parameter.
    pub Kl: usize,
    /// Site slots per crystal.
    pub n_max: usize,
    /// Hidden width of the first Wyckoff letter's network; 0: a table.
    pub h0_size: usize,
    /// Transformer layers.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Width of a head's queries, keys and values.
    pub key_size: usize,
    /// Width of the residual stream.
    pub model_size: usize,
    /// Width of the embeddings.
    pub embed_size: usize,
    /// Atom types, padding included.
    pub atom_types: usize,
    /// Wyckoff letters, padding included.
    pub wyck_types: usize,
    /// Share of the feed-forward activations dropped in training.
    pub dropout_rate: f64,
    /// Share of the attention weights dropped in training.
    pub attn_dropout: f64,
    /// In which of their equivalent descriptions crystals are learnt.
    #[serde(skip_serializing_if = "Description::is_found")]
    pub description: Description,
}

/// A choice among the equivalent descriptions of a crystal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Description {
    /// As the symmetry search leaves it.
    #[default]
    Found,
    /// The standard one.
    Standard,
}

impl Description {
    fn is_found(&self) -> bool {
        *self == Self::Found
    }
}

impl Default for CrystalFormerShape {
    fn default() -> Self {
        Self {
            Nf: 5,
            Kx: 16,
            Kl: 4,
            n_max: 21,
            h0_size: 256,
            num_layers: 16,
            num_heads: 16,
            key_size: 64,
            model_size: 64,
            embed_size: 32,
            atom_types: 119,
            wyck_types: 28,
            dropout_rate: 0.1,
            attn_dropout: 0.1,
            description: Description::Found,
        }
    }
}

/// The `[run]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainRun {
    /// Directory that receives the run's files.
    pub dir: PathBuf,
    /// Seed of every random stream.
    pub seed: u64,
    /// `auto`, `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// Threads; 0: all cores.
    pub threads: usize,
    /// Budget for activations of a stage; absent: 4 GiB, or on a GPU a quarter of its memory.
    pub memory: Option<Memory>,
    /// Epochs between checkpoints.
    pub checkpoint_every: usize,
}

impl Default for PretrainRun {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("runs/pretrain"),
            seed: 42,
            device: "auto".to_owned(),
            threads: 0,
            memory: None,
            checkpoint_every: 1,
        }
    }
}

/// The `[train]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Train {
    /// Crystals (or pairs of them) per optimiser step.
    pub batch: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// Adam's largest learning rate.
    pub learning_rate: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// Optimiser steps over which it first rises from 0.
    pub warmup_steps: usize,
    /// Largest global norm of a gradient.
    pub grad_clip: f64,
    /// Epochs without a better validation after which it stops; 0: never.
    pub patience: usize,
    /// Directory that receives the finished policy.
    pub out: PathBuf,
    /// How often it draws each space group; absent: as often as the data have it, with `[dpo]` as often as the policy to start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spacegroups: Option<SpaceGroupsOf>,
}

/// Whose frequencies of space groups a trained policy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SpaceGroupsOf {
    /// Those of the crystals that it learnt from.
    Data,
    /// Those of the policy that the training starts from.
    Policy,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            batch: 100,
            epochs: 100,
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            warmup_steps: 200,
            grad_clip: 1.0,
            patience: 10,
            out: PathBuf::from("runs/pretrain/model"),
            spacegroups: None,
        }
    }
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Not at all.
    Constant,
    /// Along half a cosine, to 0 at the last step.
    Cosine,
}

impl Config for Pretrain {
    fn check(&self) -> Result<(), Problem> {
        self.data.check()?;
        check_braces("run.dir", &self.run.dir)?;
        check_braces("train.out", &self.train.out)?;
        let (spacegroups, has_start) = (self.train.spacegroups, matches!(self.policy, PretrainPolicy::Model(_)));
        if spacegroups == Some(SpaceGroupsOf::Policy) && !has_start {
            let text = "`train.spacegroups` is \"policy\", but `policy.model` is not given";
            return Err(Problem::new("train.spacegroups", text));
        }
        if let Some(dpo) = &self.dpo {
            dpo.check()?;
            if spacegroups == Some(SpaceGroupsOf::Data) {
                let text = "`train.spacegroups` is \"data\", but with [dpo] they are those of the policy";
                return Err(Problem::new("train.spacegroups", text).hint("leave the key out"));
            }
            if !has_start {
                let text =
                    "[dpo] compares with the policy that the training starts from, and `policy.model` is not given";
                return Err(Problem::new("dpo", text));
            }
        }
        let every = self.run.checkpoint_every;
        Problem::unless(every >= 1, "run.checkpoint_every", every, "must be at least 1")?;
        let threads = self.run.threads;
        let rule = format!("must be at most {MOST_THREADS}");
        Problem::unless(threads <= MOST_THREADS, "run.threads", threads, &rule)?;
        self.train.check()
    }
}

impl Pretrain {
    /// The config as far as it shapes the numbers of the training. How long it goes on, where, and on how many threads, does not, nor
    /// how often the finished policy draws each space group, which is written beside the parameters.
    pub fn decisive(&self) -> Self {
        // Runs of earlier versions have locked a config with this amount.
        let run = PretrainRun { seed: self.run.seed, memory: Some(Memory::gib(4)), ..PretrainRun::default() };
        let Train { epochs, patience, out, spacegroups, .. } = Train::default();
        let train = Train { epochs, patience, out, spacegroups, ..self.train.clone() };
        Self { run, train, record: None, ..self.clone() }
    }
}

impl Data {
    fn check(&self) -> Result<(), Problem> {
        if self.files.is_empty() {
            return Err(Problem::new("data.files", "`data.files` is empty").hint("name at least one file"));
        }
        Problem::unless(self.max_atoms >= 1, "data.max_atoms", self.max_atoms, "must be at least 1")?;
        Problem::unless(self.max_sites >= 1, "data.max_sites", self.max_sites, "must be at least 1")?;
        let holdout = self.holdout;
        Problem::unless((0.0..1.0).contains(&holdout), "data.holdout", holdout, "must be at least 0 and less than 1")?;
        let positive = self.symprec > 0.0 && self.symprec.is_finite();
        Problem::unless(positive, "data.symprec", self.symprec, "must be more than 0")
    }
}

impl Dpo {
    fn check(&self) -> Result<(), Problem> {
        let positive = self.beta > 0.0 && self.beta.is_finite();
        Problem::unless(positive, "dpo.beta", self.beta, "must be more than 0")?;
        let pairs = self.pairs_per_crystal;
        let rule = format!("must be 1 to {MOST_PAIRS}");
        Problem::unless((1..=MOST_PAIRS).contains(&pairs), "dpo.pairs_per_crystal", pairs, &rule)
    }
}

impl Train {
    fn check(&self) -> Result<(), Problem> {
        for (key, value, most) in
            [("train.batch", self.batch, LARGEST_BATCH), ("train.epochs", self.epochs, MOST_STEPS)]
        {
            Problem::unless((1..=most).contains(&value), key, value, &format!("must be 1 to {most}"))?;
        }
        for (key, value) in [("train.learning_rate", self.learning_rate), ("train.grad_clip", self.grad_clip)] {
            Problem::unless(value > 0.0 && value.is_finite(), key, value, "must be more than 0")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, Document, Pretrain, PretrainPolicy, Schedule};

    const DATA: &str = "[data]\nfiles = [\"a.csv\"]\n";

    fn read(rest: &str) -> Result<Pretrain, ConfigError> {
        Document::new("p.toml", format!("{DATA}{rest}"), vec![]).read()
    }

    #[test]
    fn a_new_policy_has_the_shape_of_the_paper() {
        let config = read("[policy.crystalformer]\nnum_layers = 4\n[train]\nschedule = \"constant\"\n").unwrap();
        let PretrainPolicy::CrystalFormer(shape) = &config.policy else { panic!() };
        assert_eq!((shape.num_layers, shape.Kx, shape.dropout_rate), (4, 16, 0.1));
        assert_eq!(config.train.schedule, Schedule::Constant);
        assert_eq!(Document::new("", config.to_toml().unwrap(), vec![]).read::<Pretrain>().unwrap(), config);
    }

    #[test]
    fn one_path_is_a_list_of_one() {
        let read = |files: &str| {
            let text = format!("[data]\nfiles = {files}\n[policy]\nmodel = \"m\"\n");
            Document::new("p.toml", text, vec![]).read::<Pretrain>()
        };
        assert_eq!(read("\"mine\"").unwrap(), read("[\"mine\"]").unwrap());
        let said = read("7").unwrap_err().to_string();
        assert!(said.contains("`data.files`: invalid type: integer `7`, expected a path or a list of paths"), "{said}");
    }

    #[test]
    fn mistakes_are_named() {
        for (rest, expected) in [
            ("", "p.toml:1:1: the key `policy` is missing"),
            ("[policy]\nmodle = \"x\"\n", "p.toml:4:1: unknown key `policy.modle`"),
            ("[policy.crystalformer]\nkx = 3\n", "p.toml:4:1: unknown key `policy.crystalformer.kx`"),
            (
                "[policy.crystalformer]\n[train]\nspacegroups = \"policy\"\n",
                "p.toml:5:1: `train.spacegroups` is \"policy\", but `policy.model` is not given",
            ),
            (
                "[policy]\nmodel = \"m\"\n[dpo]\nchosen = \"x < 1\"\n[train]\nspacegroups = \"data\"\n",
                "p.toml:8:1: `train.spacegroups` is \"data\", but with [dpo] they are those of the policy",
            ),
            ("[policy]\nmodel = \"x\"\n[train]\nbatch = 0\n", "p.toml:6:1: `train.batch` = 0: must be 1 to 1000000"),
            (
                "[policy.crystalformer]\n[dpo]\nchosen = \"x < 1\"\n",
                "p.toml:4:2: [dpo] compares with the policy that the training starts from, and `policy.model` is not given",
            ),
            (
                "[policy]\nmodel = \"x\"\n[dpo]\nchosen = \"x < 1\"\nbeta = -1\n",
                "p.toml:7:1: `dpo.beta` = -1: must be more than 0",
            ),
            (
                "[policy]\nmodel = \"x\"\n[dpo]\nchosen = \"x < 1\"\npairs_per_crystal = 0\n",
                "p.toml:7:1: `dpo.pairs_per_crystal` = 0: must be 1 to 1000",
            ),
            ("[policy]\nmodel = \"x\"\n[dpo]\nbeta = 1.0\n", "p.toml:5:2: the key `dpo.chosen` is missing"),
        ] {
            assert_eq!(read(rest).unwrap_err().to_string(), expected);
        }
    }
}
