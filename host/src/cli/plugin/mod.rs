//! `temper plugin`: see which plugins there are, and serve one to the host that started this process.

mod list;
mod serve;

use clap::Subcommand;

use super::{Context, Failure};

/// Plugins: list.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Which plugins there are, and why a library is none
    List(list::List),
    /// Serve a plugin by the worker protocol; for Temper itself
    #[command(hide = true)]
    Serve(serve::Serve),
}

impl Plugin {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(arguments) => arguments.run(context),
            Self::Serve(arguments) => arguments.run(),
        }
    }
}
