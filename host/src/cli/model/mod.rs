//! `temper model`: see what a model is, and turn checkpoints and hyper-parameters into policies.

mod check;
mod export;
mod import;
mod inspect;

use clap::Subcommand;

use super::{Context, Failure};

/// Models: inspect, check, export, import.
#[derive(Debug, Subcommand)]
pub enum Model {
    /// What a model takes and gives, and whether it can be used
    Inspect(inspect::Inspect),
    /// Run physics on a potential or property model
    Check(check::Check),
    /// Write the ONNX graphs of a policy
    Export(export::Export),
    /// Turn a checkpoint of the reference implementation into a policy
    Import(import::Import),
}

impl Model {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Inspect(arguments) => arguments.run(context),
            Self::Check(arguments) => arguments.run(context),
            Self::Export(arguments) => arguments.run(context),
            Self::Import(arguments) => arguments.run(context),
        }
    }
}
