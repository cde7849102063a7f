//! A mistake in a config and the place where it stands.

use std::fmt;

use crate::hint::Hint;

/// Where a mistake stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the file `file`; `line` and `column` count from 1, columns in characters; `text` is the line.
    File {
        /// The file's name as the user gave it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The line itself.
        text: String,
    },
    /// In `--set` on the command line; holds `key=value` as given.
    CommandLine(String),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column, .. } => write!(f, "{file}:{line}:{column}"),
            Self::CommandLine(assignment) => write!(f, "--set {assignment}"),
        }
    }
}

/// Why a config is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the config {file}: {source}")]
    Unreadable {
        /// The file's name as the user gave it.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{place}: {message}")]
    Mistake {
        /// Where.
        place: Location,
        /// What is wrong, values named.
        message: String,
        /// What would be right.
        hints: Vec<String>,
    },
    /// An argument of `--set` is not `key=value`.
    #[error("--set {0}: expected KEY=VALUE")]
    NotAnAssignment(String),
}

impl Hint for ConfigError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Mistake { hints, .. } => hints.clone(),
            Self::NotAnAssignment(_) => vec!["give a key and its value, such as run.steps=3".to_owned()],
            Self::Unreadable { .. } => Vec::new(),
        }
    }
}

/// A value that cannot be used, before its place in the file is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its key: the table names from the root, then the key.
    pub key: Vec<String>,
    /// What is wrong with it.
    pub message: String,
    /// What would be right.
    pub hints: Vec<String>,
}

impl Problem {
    /// A problem of the key `dotted`, such as `ppo.clip`.
    pub fn new(dotted: &str, message: impl Into<String>) -> Self {
        Self { key: dotted.split('.').map(str::to_owned).collect(), message: message.into(), hints: Vec::new() }
    }

    /// Adds what would be right.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// `Err` unless `fine`; the message reads "`ppo.clip` = 1.5: must be between 0 and 1".
    pub(super) fn unless(fine: bool, dotted: &str, value: impl fmt::Display, rule: &str) -> Result<(), Self> {
        if fine { Ok(()) } else { Err(Self::new(dotted, format!("`{dotted}` = {value}: {rule}"))) }
    }
}
