//! `temper model`: inspect and check models, export the graphs of a policy, import checkpoints.

mod check;
mod export;
mod import;
mod inspect;
mod serve;

use clap::Subcommand;

use super::{Context, Exit, Failure};
use crate::model::{OnnxModel, check_quickly};

/// Refuses a model of which small crystals do not keep their numbers when they are described otherwise.
pub(super) fn sensible(model: &OnnxModel) -> Result<(), Failure> {
    check_quickly(model).complaint().map_or(Ok(()), |complaint| Err(senseless(model, &complaint)))
}

/// The failure of a model whose numbers make no sense.
fn senseless(model: &OnnxModel, complaint: &str) -> Failure {
    let failure = Failure::new(Exit::Model, format!("{}: {complaint}", model.contract().path.display()));
    let failure = model.advice().into_iter().fold(failure, Failure::hint);
    failure.hint("`temper model check` tells more")
}

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
    /// Run a graph in this process; used by Temper itself
    #[command(hide = true)]
    Serve(serve::Serve),
}

impl Model {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Inspect(arguments) => arguments.run(context),
            Self::Check(arguments) => arguments.run(context),
            Self::Export(arguments) => arguments.run(context),
            Self::Import(arguments) => arguments.run(context),
            Self::Serve(arguments) => arguments.run(),
        }
    }
}
