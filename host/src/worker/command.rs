//! Which program a worker is, and how it is supervised.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

/// A program that speaks the worker protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerCommand {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables of its environment besides Temper's own, or instead of them.
    pub environment: Environment,
}

/// Variables of an environment.
pub type Environment = BTreeMap<String, String>;

impl WorkerCommand {
    /// A program with its arguments, and with Temper's own environment.
    pub fn new(program: impl Into<OsString>, arguments: Vec<OsString>) -> Self {
        Self { program: program.into(), arguments, environment: Environment::new() }
    }

    /// The same, started by `guard`, this program, as `temper plugin guard`: a process that ends whatever the command has started when
    /// the command or Temper ends, even if Temper is killed. Only Linux lets it; elsewhere the command is as it was.
    #[must_use]
    pub fn guarded_by(self, guard: &Path) -> Self {
        if cfg!(not(target_os = "linux")) {
            return self;
        }
        let mut arguments: Vec<OsString> = ["plugin", "guard", "--"].map(OsString::from).into();
        arguments.push(self.program);
        arguments.extend(self.arguments);
        let environment = self.environment;
        Self { program: guard.into(), arguments, environment }
    }
}

/// How workers are supervised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supervision {
    /// How long one batch may take.
    pub deadline: Duration,
    /// How long a worker may take to greet.
    pub start_deadline: Duration,
    /// Bytes of memory that one worker may hold; `None`: no limit.
    pub memory: Option<u64>,
    /// How many workers share a batch.
    pub workers: usize,
    /// Most crystals that a worker gets at once; `None`: its share of the batch.
    pub max_batch: Option<usize>,
    /// How many restarts in a row may fail before the worker is given up.
    pub max_restarts: u32,
}

impl Supervision {
    /// One worker, which is not started again.
    pub fn of_one(deadline: Duration, start_deadline: Duration, memory: Option<u64>) -> Self {
        Self { deadline, start_deadline, memory, workers: 1, max_batch: None, max_restarts: 0 }
    }
}
