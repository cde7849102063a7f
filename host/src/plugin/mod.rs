//! Plugins: shared libraries and worker programs of third parties. The only module that opens libraries.
//!
//! A library is opened in a process of its own (`temper plugin serve`) or, if the user trusts it, in this one; any other program
//! may serve by the same protocol (`plugin-api/PROTOCOL.md`). Whatever goes wrong on the other side becomes the failure of
//! the crystals under way, with its reason.

mod builtin;
mod check;
mod discover;
mod error;
mod evaluator;
mod library;
mod message;
mod permissions;
mod pool;
mod probe;
mod serve;
mod start;

pub use builtin::{builtin_plugin, builtin_plugins};
pub use check::{PluginReport, PluginToCheck, check_plugin};
pub use discover::{Discovered, Discovery, NotFound, Usable, is_path};
pub use error::PluginError;
pub use evaluator::{Evaluator, OpenError};
pub use library::{LoadError, PluginLibrary};
#[doc(hidden)]
pub use message::read_conversation;
pub use probe::{Probe, ProbeResult, probe, sha256};
pub use serve::{WorkerError, serve};
pub use temper_plugin_api::abi::{API_VERSION, HULL_CORRECTION, REWARD};
pub use temper_plugin_api::{Batch, Crystals, Descriptor, InterfaceDescriptor, Outcome, Properties};

use crate::crystal::Structure;
pub use crate::worker::{Supervision, WorkerCommand, WorkerFailure};

/// Structures as the columns that plugins see.
pub fn columns(structures: &[&Structure]) -> Crystals {
    let mut crystals = Crystals::default();
    for structure in structures {
        let numbers: Vec<u8> = structure.species.iter().map(|element| element.number()).collect();
        crystals.push(&structure.lattice.0, &numbers, &structure.frac);
    }
    crystals
}
