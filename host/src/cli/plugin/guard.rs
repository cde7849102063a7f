//! `temper plugin guard`: a process between Temper and a worker.

use std::ffi::OsString;

use clap::Args;

use super::Failure;
use crate::cli::Exit;
use crate::worker::guard;

/// Run a program, and end all that it has started when it ends or Temper does.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper plugin guard -- python3 my_reward.py")]
pub struct Guard {
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    words: Vec<OsString>,
}

impl Guard {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let (program, arguments) = self.words.split_first().ok_or_else(|| Failure::user("no program to guard"))?;
        let exit = guard(program, arguments).map_err(|error| Failure::from_error(Exit::Model, &error))?;
        exit.repeat()
    }
}
