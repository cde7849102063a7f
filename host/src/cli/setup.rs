//! `temper setup`: fetch ONNX Runtime ahead of time.

use clap::Args;

use super::{Context, Failure};
use crate::runtime::{Device, Locator, Setup as Done};

/// Fetch ONNX Runtime ahead of time, for machines without a network.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper setup --device cuda\n\n\
    The library goes into the cache: the folder TEMPER_CACHE_DIR, or the system's folder for caches, which may be shared. \
    NVIDIA's driver is not fetched. Libraries of CUDA in the cache are used where the system has none.")]
pub struct Setup {
    /// With --device cuda: fetch the libraries of CUDA 13 that it needs as well, from NVIDIA's Python packages (483 MB)
    #[arg(long)]
    with_cuda: bool,
}

impl Setup {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let announce = |line: &str| context.say(line);
        let (locator, device) = (Locator::from_env(&announce), context.device()?);
        if self.with_cuda && !matches!(device, Device::Cuda(_)) {
            return Err(Failure::user("--with-cuda goes with --device cuda"));
        }
        let (what, library) = match locator.setup(device)? {
            Done::Present(library) => ("already installed", library),
            Done::Fetched(library) => ("fetched", library),
        };
        let version = library.version().unwrap_or_default();
        context.print(&format!("ONNX Runtime {version} {what}: {}", library.path.display()))?;
        let libraries = if self.with_cuda { locator.setup_cuda_libraries()? } else { Vec::new() };
        libraries.iter().try_for_each(|file| context.print(&format!("CUDA: {}", file.display())))
    }
}
