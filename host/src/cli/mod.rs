//! The command line: arguments, the subcommands (one file each), how errors are shown, and where files are looked for.
//! The only module that writes to standard output and error, and the only one that erases the types of errors.
//! Computes nothing itself.

mod arguments;
mod compare;
mod completions;
mod conformance;
mod context;
mod doctor;
mod elements;
mod errors;
mod evaluate;
mod export;
mod failure;
mod finetune;
mod hull;
mod index;
mod init;
mod interrupts;
mod known;
mod logp;
mod match_pairs;
mod model;
mod output;
mod paths;
mod plan;
mod plugin;
mod policy;
mod pretrain;
mod progress;
mod recipe;
mod relax;
mod report;
mod resume;
mod runtime;
mod sample;
mod score;
mod setup;
mod status;
mod structures;
mod terminal;
mod token_rows;
mod tokenize;
mod wanted;

pub use arguments::{Arguments, Command, Globals};
pub use context::Context;
pub use failure::{Exit, Failure};
pub use interrupts::Interrupts;
pub use output::{Output, Table};
pub use paths::Search;
pub use plan::Plan;
pub use progress::Progress;
pub use recipe::Recipe;
pub use terminal::end_output;
