//! Training: the optimiser, the losses, the loops. The loops read like the papers they implement; what they report goes to an
//! observer, so that this module writes no files and prints nothing.

mod adam;
mod dropout;
mod finetune;
mod losses;
mod pretrain;
mod settings;
mod statistics;
mod step_record;

pub use adam::{Adam, global_norm};
pub use finetune::{FinetuneError, FinetuneObserver, FinetuneState, Finetuning};
pub use losses::{NegativeLogLikelihood, PpoSurrogate};
pub use pretrain::{
    Epoch, PretrainData, PretrainError, PretrainObserver, PretrainSettings, PretrainState, Schedule, pretrain,
};
pub use settings::{FinetuneSettings, KlGradient, Monitor, Objectives};
pub use step_record::{STABLE, Sample, StageTimes, StepRecord, UpdateStatistics};
