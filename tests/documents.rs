//! The documents say what the program does: links, commands, configs, and the tables of keys, options, files and metrics.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

#[path = "documents/commands.rs"]
mod commands;
#[path = "documents/configs.rs"]
mod configs;
#[path = "documents/links.rs"]
mod links;
#[path = "documents/pages.rs"]
mod pages;
#[path = "documents/runs.rs"]
mod runs;
mod support;
