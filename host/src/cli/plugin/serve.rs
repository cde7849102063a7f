//! `temper plugin serve`: one plugin in a process of its own.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::cli::Exit;
use crate::plugin::{LoadError, PluginLibrary, builtin_plugin, serve, sha256};

/// Serve a plugin over standard input and output, by the protocol of plugin-api/PROTOCOL.md.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper plugin serve target/release/libmy_reward.so")]
pub struct Serve {
    /// A shared library, or the name of a plugin that this program carries
    #[arg(value_name = "PLUGIN")]
    plugin: PathBuf,
    /// Serve it only if this is its hash
    #[arg(long, value_name = "HASH")]
    sha256: Option<String>,
    /// Give each batch to so many threads at once and fail it if they disagree
    #[arg(long = "at-once", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    at_once: u8,
}

impl Serve {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let carried = self.plugin.to_str().and_then(builtin_plugin);
        let open = || match carried {
            Some(carried) => Ok(carried),
            None => self.is_unchanged().and_then(|()| PluginLibrary::open(&self.plugin)),
        };
        serve(open, self.at_once.into()).map_err(|error| Failure::from_error(Exit::Model, &error))
    }

    /// A library that is built again in the middle of a run would give values of two versions.
    fn is_unchanged(&self) -> Result<(), LoadError> {
        let changed = |wanted: &String| sha256(&self.plugin).is_ok_and(|found| found != *wanted);
        if self.sha256.as_ref().is_some_and(changed) {
            return Err(LoadError::Changed { path: self.plugin.clone() });
        }
        Ok(())
    }
}
