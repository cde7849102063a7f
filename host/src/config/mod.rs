//! What the user writes: the TOML of a run (`temper finetune`) and of a pretraining (`temper pretrain`), as plain
//! values.
//!
//! Keys, types and ranges are checked here, and every mistake is reported with its file, line and column. Nothing
//! outside is checked: no file is opened but the config itself, and names that other modules give meaning to (devices,
//! elements, terms of the objective) remain text. `cli` turns these values into a plan.

mod changes;
mod deadline;
mod document;
mod error;
mod finetune;
mod guards;
mod judge;
mod memory;
mod plugin_config;
mod ppo;
mod pretrain;
mod record;
mod reference;
mod reward;
mod sampling;
mod seed_in_path;
mod shared_keys;
mod supervision;
mod temperature;

pub use changes::{ChangedKey, apart_from_seed, changed_keys};
pub use deadline::Deadline;
pub use document::{Document, Override};
pub use error::{ConfigError, Location, Problem};
pub use finetune::{Direction, Finetune, MOST_THREADS, Pareto, PolicySource, Run};
pub use guards::{Guards, Reaction};
pub use judge::{Judge, JudgeHull, JudgeKind, Verdicts};
pub use memory::Memory;
pub use plugin_config::check_plugin_config;
pub use ppo::{AdvantageScale, Baseline, EntropyBonus, KlGradient, Ppo, Replay};
pub use pretrain::{
    CrystalFormerShape, Data, Description, Dpo, Pretrain, PretrainPolicy, PretrainRun, Schedule, SpaceGroupsOf, Train,
};
pub use record::{PretrainRecord, Record, SampleChoice};
pub use reference::{FINETUNE_KEYS, Key, KeyTable, PRETRAIN_KEYS};
pub use reward::{
    Bound, BuiltinTerm, ComparedBy, Correction, CorrectionPlugin, CorrectionProcess, DisplacementTerm, Ends, ForceTerm,
    Gate, HullTerm, OnFailure, OnnxTerm, PluginTerm, ProcessTerm, Relax, Reward, RewardKind, Role,
};
pub use sampling::{ElementCount, Elements, Sampling, SpaceGroups};
pub use seed_in_path::with_seed;
pub use supervision::{Isolation, ModelIsolation, ModelSupervision, Supervision};
pub use temperature::{Temperature, TemperatureTable};

/// A kind of config file.
pub trait Config: serde::de::DeserializeOwned + serde::Serialize {
    /// The first value that is outside its range, if any.
    fn check(&self) -> Result<(), Problem>;

    /// The resolved config as TOML: every key with the value in force.
    fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}
