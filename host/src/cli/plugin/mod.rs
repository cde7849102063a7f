//! `temper plugin`: list, create and check plugins, and serve one to the host that started this process.

mod check;
mod correction;
#[cfg(target_os = "linux")]
mod guard;
mod info;
mod list;
mod new;
mod serve;

use clap::Subcommand;

use super::{Context, Failure};

/// List, create and check plugins.
#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// List the plugins that were found, and say why a library cannot be used
    List(list::List),
    /// Say what a plugin offers, and the keys of its config
    Info(info::Info),
    /// Write a plugin to start from
    New(new::New),
    /// Test a plugin on awkward input and against its own claims
    Check(check::Check),
    /// Serve a plugin over the worker protocol; used by Temper itself
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
            Self::Info(arguments) => arguments.run(context),
            Self::New(arguments) => arguments.run(context),
            Self::Check(arguments) => arguments.run(context),
            Self::Serve(arguments) => arguments.run(),
            #[cfg(target_os = "linux")]
            Self::Guard(arguments) => arguments.run(),
        }
    }
}
