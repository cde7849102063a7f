//! Temper: reinforcement fine-tuning of crystal generators.
//!
//! The modules are the stages of the computation; `ARCHITECTURE.md` maps them and says which may import which.
//! Nothing here prints: standard output belongs to [`cli`].

pub mod atomic;
pub mod cli;
pub mod config;
pub mod conformance;
pub mod crystal;
pub mod figures;
pub mod graph;
pub mod hint;
pub mod hull;
pub mod input;
pub mod matching;
pub mod metrics;
pub mod model;
pub mod plugin;
pub mod policy;
pub mod ranks;
pub mod record;
pub mod relax;
pub mod report;
pub mod reward;
pub mod runtime;
pub mod spelling;
pub mod train;
pub mod worker;
