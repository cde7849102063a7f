//! `temper model import`: a checkpoint of the reference implementation as a policy.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure};
use crate::policy::{Hyperparameters, ModelToml, PolicyDirectory, import_checkpoint};

/// Turn a checkpoint of the reference implementation into a policy. No code from the file is ever run.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper model import epoch_003800.pkl -o models/crystalformer-alex")]
pub struct Import {
    /// The checkpoint: a pickle; no code in it is run
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// Folder that receives model.toml and params.safetensors
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// A model.toml with the hyper-parameters; without it, those of the paper's Table S1
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
}

impl Import {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let model = match &self.config {
            Some(path) => ModelToml::read(path)?,
            None => ModelToml { hyper: Hyperparameters::paper(), spacegroups: None, provenance: None },
        };
        let parameters = import_checkpoint(&self.checkpoint, &model.hyper)?;
        let policy = PolicyDirectory { model, parameters };
        policy.save(&self.out)?;
        context.say(&format!("{} parameters: {}", policy.parameters.count(), self.out.display()));
        Ok(())
    }
}
