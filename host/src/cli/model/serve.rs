//! `temper model serve`: one graph in a process of its own.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::cli::Exit;
use crate::model::serve_graph;
use crate::runtime::{Locator, Runtime};

/// Run a graph that arrives on standard input, for Temper itself.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper model serve libonnxruntime.so")]
pub struct Serve {
    /// ONNX Runtime's library
    #[arg(value_name = "LIBRARY")]
    library: PathBuf,
    /// The graph, if it does not arrive on standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let silent = |_: &str| ();
        let locator = Locator { dylib: Some(self.library.clone()), ..Locator::from_env(&silent) };
        let served = serve_graph(|device| Runtime::open(&locator, device), self.file.as_deref());
        served.map_err(|error| Failure::from_error(Exit::Model, &error))
    }
}
