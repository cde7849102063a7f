//! `temper model export`: the ONNX graphs of a policy.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure};
use crate::cli::{Exit, Output, Search};
use crate::graph::onnx::ModelProto;
use crate::graph::{GraphError, encode};
use crate::policy::{Hyperparameters, PolicyDirectory, decode_graph, logp_graph, loss_gradient_graph};
use crate::train::{NegativeLogLikelihood, PpoSurrogate};

type MakeGraph = fn(&Hyperparameters) -> Result<ModelProto, GraphError>;

/// The graphs of a policy, by file.
pub(super) const GRAPHS: [(&str, MakeGraph); 4] = [
    ("decode.onnx", decode_graph),
    ("logp.onnx", logp_graph),
    ("nll_grad.onnx", loss_gradient_graph::<NegativeLogLikelihood>),
    ("ppo_grad.onnx", loss_gradient_graph::<PpoSurrogate>),
];

/// Write the ONNX graphs of a policy: decode, logp, nll_grad and ppo_grad.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper model export models/crystalformer-small")]
pub struct Export {
    /// The policy: a folder with model.toml and params.safetensors
    #[arg(value_name = "DIR")]
    policy: PathBuf,
    /// Folder that receives the graphs; by default that of the policy
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Export {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let policy = Search::new(None).find("the policy", &self.policy)?;
        // Parameters are inputs of the graphs; that they fit is checked all the same.
        let model = PolicyDirectory::open(&policy)?.model;
        let folder = self.out.as_ref().unwrap_or(&policy);
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::user(format!("cannot write to {}: {error}", folder.display())))?;
        for (name, make) in GRAPHS {
            let graph = make(&model.hyper).map_err(|error| Failure::from_error(Exit::Internal, &error))?;
            let path = folder.join(name);
            let mut output = Output::create(&path)?;
            output.write_all(&encode(&graph)).map_err(|error| output.failed(&error))?;
            output.finish()?;
            context.say(&path.display().to_string());
        }
        Ok(())
    }
}
