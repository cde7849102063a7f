//! Training: the optimiser, the losses, the loops. The loops read like the papers they implement; what they report goes to an
//! observer, so that this module writes no files and prints nothing.

mod adam;
mod finetune;
mod pretrain;

pub use adam::{Adam, global_norm};
pub use finetune::{
    FinetuneError, FinetuneObserver, FinetuneSettings, FinetuneState, Finetuning, Judgement, KlGradient, STABLE,
    Sample, StageTimes, StepRecord,
};
pub use pretrain::{
    Epoch, PretrainData, PretrainError, PretrainObserver, PretrainSettings, PretrainState, Schedule, pretrain,
};
