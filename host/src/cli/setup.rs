//! `temper setup`: fetch ONNX Runtime ahead of time.

use clap::Args;

use super::{Context, Failure};
use crate::runtime::{Locator, Setup as Done};

/// Fetch ONNX Runtime ahead of time, for machines without a network.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper setup --device cuda\n\n\
    The library goes into the cache: the folder TEMPER_CACHE_DIR, or the system's folder for caches, which may be shared.")]
pub struct Setup {}

impl Setup {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let announce = |line: &str| context.say(line);
        let (what, library) = match Locator::from_env(&announce).setup(context.device()?)? {
            Done::Present(library) => ("already installed", library),
            Done::Fetched(library) => ("fetched", library),
        };
        let version = library.version().unwrap_or_default();
        context.print(&format!("ONNX Runtime {version} {what}: {}", library.path.display()))
    }
}
