//! `temper plugin`: see which plugins there are, start one, check one, and serve one to the host that started this process.

mod check;
mod correction;
#[cfg(target_os = "linux")]
mod guard;
mod list;
mod new;
mod serve;

use clap::Subcommand;

use super::{Context, Failure};

/// Plugins: list, new, check.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Which plugins there are, and why a library is none
    List(list::List),
    /// Write a plugin to start from
    New(new::New),
    /// Try a plugin on all that can come
    Check(check::Check),
    /// Serve a plugin by the worker protocol; for Temper itself
    #[command(hide = true)]
    Serve(serve::Serve),
    /// Run a worker and end what it leaves behind; for Temper itself
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Guard(guard::Guard),
}

impl Plugin {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(arguments) => arguments.run(context),
            Self::New(arguments) => arguments.run(context),
            Self::Check(arguments) => arguments.run(context),
            Self::Serve(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Guard(arguments) => arguments.run(),
        }
    }
}
