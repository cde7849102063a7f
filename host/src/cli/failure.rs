//! How a subcommand fails: exit code, message, excerpt and hint.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::config::{ConfigError, Location};
use crate::hint::Hint;

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
    /// A file could not be written: the disk is full, say.
    Write = 74,
    /// Our fault.
    Internal = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error as the user sees it: what is wrong, the line it stands on, what may help, and the exit code.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    excerpt: Option<String>,
    hints: Vec<String>,
    /// Whether another rank says it.
    silent: bool,
}

impl Failure {
    /// A mistake of the user's.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure of the given kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), excerpt: None, hints: Vec::new(), silent: false }
    }

    /// The failure of an error with all of its causes. Where one of them is a full disk, that is what the exit code says.
    pub fn from_error(exit: Exit, error: &(dyn std::error::Error + 'static)) -> Self {
        let exit = if causes(error).any(is_disk_full) { Exit::Write } else { exit };
        let mut message = error.to_string();
        for cause in causes(error).skip(1) {
            let said = cause.to_string();
            // Many errors repeat their cause in their own sentence.
            if !message.contains(&said) {
                message = format!("{message}: {said}");
            }
        }
        Self::new(exit, message)
    }

    /// The failure of an error that may have hints.
    pub fn with_hints(exit: Exit, error: &(impl Hint + 'static)) -> Self {
        error.hints().into_iter().fold(Self::from_error(exit, error), Self::hint)
    }

    /// Says first what the failure is about.
    pub fn about(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// Adds what may help.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, of which another rank says all that there is to say.
    pub fn silently(self) -> Self {
        Self { silent: true, ..self }
    }

    /// Says it on standard error.
    pub fn report(&self) {
        if !self.silent {
            super::terminal::line(&self.to_string());
        }
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
        self.hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

/// An error and its causes.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let mut failure = Self::with_hints(Exit::Usage, &error);
        if let ConfigError::Mistake { place: Location::File { line, column, text, .. }, .. } = error {
            let margin = line.to_string();
            let (blank, indent) = (" ".repeat(margin.len()), " ".repeat(column - 1));
            failure.excerpt = Some(format!("  {margin} | {text}\n  {blank} | {indent}^"));
        }
        failure
    }
}
