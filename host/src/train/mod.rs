//! Training: the optimiser, the losses, the loops. The loops read like the papers they implement; what they report goes to an
//! observer, so that this module writes no files and prints nothing.

mod adam;
mod advantages;
mod dropout;
mod finetune;
mod follow;
mod kl_target;
mod likelihood_task;
mod losses;
mod pairs;
mod preference_task;
mod pretrain;
mod settings;
mod statistics;
mod step_record;

pub use adam::{Adam, global_norm};
pub use finetune::{
    ElementFrequencies, FinetuneError, FinetuneObserver, FinetuneState, Finetuning, Replay, ReplayMemory,
};
pub use likelihood_task::{MaximumLikelihood, PretrainData};
pub use losses::{DirectPreference, NegativeLogLikelihood, PairFigures, PairLogRatios, PpoSurrogate};
pub use pairs::{JudgedCrystal, Pair, PairCounts, PairSettings, Preferences};
pub use preference_task::{PreferenceError, PreferenceOptimisation, PreferenceSettings};
pub use pretrain::{
    Epoch, Measured, PretrainError, PretrainObserver, PretrainSettings, PretrainState, Schedule, Task, check_examples,
    pretrain,
};
pub use settings::{AdvantageScale, Baseline, EntropyBonus, FinetuneSettings, KlGradient, Monitor, Objectives};
pub use step_record::{Gap, STABLE, Sample, Spread, StageTimes, StepRecord, UpdateStatistics};
