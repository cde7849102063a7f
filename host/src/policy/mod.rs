//! CrystalFormer as a policy over crystals: hyper-parameters, parameters and their files, the distributions that a row of the
//! network's output stands for, and the random streams that samples are drawn with.
//!
//! Runs no code from a checkpoint, trains nothing, and scores no crystal.

mod batch;
mod completion;
mod directory;
#[cfg(test)]
mod golden;
mod gradient;
mod head;
mod hyper;
mod import;
mod letters;
mod likelihood;
mod loss;
mod model_toml;
mod network;
mod on_device;
mod parameters;
mod partial_crystal;
mod pickle;
mod random;
mod resources;
mod restriction;
mod sample;
mod space_groups;
mod workers;

pub use batch::{BatchError, Features, check_crystal};
pub use directory::{MODEL, PARAMETERS, PolicyDirectory, PolicyDirectoryError};
pub use gradient::{GradientBatch, LossGradient, MakeMasks};
pub use head::HeadError;
#[cfg(test)]
pub use hyper::tests::tiny as tiny_hyperparameters;
pub use hyper::{HyperparameterError, Hyperparameters, Temperatures};
pub use import::{ImportError, import_checkpoint};
pub use likelihood::{Likelihood, LikelihoodError, LogProbability};
pub use loss::{DropoutMasks, Loss, row_input, scalar_input};
pub use model_toml::{ModelToml, ModelTomlError};
pub use network::{ElementMask, compact_graph, decode_graph, logp_graph, loss_gradient_graph};
pub use parameters::{ParameterError, ParameterSpec, Parameters, parameter_specs};
pub use partial_crystal::{Refusal, SampleSettings};
pub use pickle::PickleError;
pub use random::{DrawError, SampleStream, keyed_stream, probabilities};
pub use resources::Resources;
pub use restriction::{Restriction, RestrictionError, WantedCrystals};
pub use sample::{Draws, Sampler};
pub use space_groups::SpaceGroupDistribution;
