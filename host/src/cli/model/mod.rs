//! `temper model`: inspect and check models, export the graphs of a policy, import checkpoints.

mod check;
mod export;
mod import;
mod inspect;

use clap::Subcommand;

use super::{Context, Failure};

/// Inspect, check, export and import models.
#[derive(Debug, Subcommand)]
pub enum Model {
    /// Show the inputs, outputs and metadata of a model, and whether it can be used
    Inspect(inspect::Inspect),
    /// Test whether a potential or property model obeys physics
    Check(check::Check),
    /// Write the ONNX graphs of a policy
    Export(export::Export),
    /// Turn a checkpoint of CrystalFormer's reference code into a policy
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
