//! How a subcommand fails: exit code, message, excerpt and hint.

use std::fmt;
use std::process::ExitCode;

use crate::config::{ConfigError, Place};

/// The program's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The user's mistake.
    Usage = 2,
    /// A model or plugin failed beyond its policy.
    Model = 3,
    /// Interrupted with a checkpoint written.
    Interrupted = 4,
    /// Our fault.
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error as the user sees it: what is wrong, the line it stands on, what to do, and the exit code.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    excerpt: Option<String>,
    hint: Option<String>,
}

impl Failure {
    /// A mistake of the user's.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure of the given kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), excerpt: None, hint: None }
    }

    /// The failure of an error with all of its causes.
    pub fn from_error(exit: Exit, error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // Many errors repeat their cause in their own sentence.
            if !message.contains(&said) {
                message = format!("{message}: {said}");
            }
            cause = error.source();
        }
        Self::new(exit, message)
    }

    /// Adds what the user can do.
    pub fn hint(mut self, advice: impl Into<String>) -> Self {
        self.hint = Some(advice.into());
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let mut failure = Self::user(error.to_string());
        if let ConfigError::Mistake { place, hint, .. } = error {
            failure.hint = hint;
            if let Place::File { line, column, text, .. } = place {
                let margin = line.to_string();
                let (blank, indent) = (" ".repeat(margin.len()), " ".repeat(column - 1));
                failure.excerpt = Some(format!("  {margin} | {text}\n  {blank} | {indent}^"));
            }
        }
        failure
    }
}
