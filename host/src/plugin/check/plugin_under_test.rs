//! The plugin under test, in a worker that is started again whenever it has ended.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::super::message::{Answer, Hello, answer_limits, batch, read_answer};
use super::super::start::{StartError, start};
use super::super::{Descriptor, HULL_CORRECTION, Outcome, PluginError, Properties};
use super::sample::{Sample, columns};
use crate::worker::{Ending, Supervision, Worker, WorkerCommand, WorkerFailure, quotable, run};

/// How long a worker may take to greet: one in Python may have much to import.
const START: Duration = Duration::from_secs(120);

/// How the plugin is started.
#[derive(Clone)]
pub(super) struct Start {
    pub command: WorkerCommand,
    /// The program that guards the worker.
    pub guard: Option<PathBuf>,
    pub hello: Hello,
    /// How long a batch may take.
    pub deadline: Duration,
    /// Bytes that a worker may hold.
    pub memory: u64,
}

/// The plugin under check.
pub(super) struct PluginUnderTest {
    start: Start,
    pub properties: Properties,
    worker: Option<Worker>,
    next: u64,
}

impl Start {
    /// Starts a worker.
    pub fn worker(&self) -> Result<(Worker, Descriptor), StartError> {
        let Self { command, guard, hello, memory, deadline } = self.clone();
        let command = match guard {
            Some(guard) => command.guarded_by(&guard),
            None => command,
        };
        let supervision = Supervision::of_one(deadline, START, Some(memory));
        run(async move { start(&command, &hello, supervision).await })?
    }

    /// The same with another config.
    pub fn with(&self, config: Map<String, Value>) -> Self {
        Self { hello: Hello { config, ..self.hello.clone() }, ..self.clone() }
    }

    /// What it answers to its start, without being asked anything.
    pub fn greeting(&self) -> Result<Descriptor, StartError> {
        let (worker, descriptor) = self.worker()?;
        let _ = run(worker.end());
        Ok(descriptor)
    }
}

impl PluginUnderTest {
    /// `worker`: one that was started so, and claims these properties.
    pub fn new(start: Start, properties: Properties, worker: Option<Worker>) -> Self {
        Self { start, properties, worker, next: 0 }
    }

    /// Another one, with a worker of its own.
    pub fn another(&self) -> Self {
        Self::new(self.start.clone(), self.properties.clone(), None)
    }

    /// The same plugin, served by another command.
    pub fn by(&self, command: WorkerCommand) -> Self {
        Self::new(Start { command, ..self.start.clone() }, self.properties.clone(), None)
    }

    /// How long a batch may take.
    pub fn deadline(&self) -> Duration {
        self.start.deadline
    }

    /// One outcome per crystal, or what went wrong with the whole batch.
    pub fn ask(&mut self, samples: &[Sample]) -> Result<Vec<Outcome>, PluginError> {
        let mut worker = self.take()?;
        let (mut answer, mut alive) = self.exchange(worker, samples)?;
        // One that serves a batch and ends has not failed.
        if matches!(&answer, Err(WorkerFailure::Exited { .. })) && alive.has_served_and_ended_well() {
            worker = self.started()?;
            (answer, alive) = self.exchange(worker, samples)?;
        }
        match &answer {
            Err(_) => discard(alive),
            Ok(_) => self.worker = Some(alive),
        }
        match answer? {
            Answer::Outcomes(outcomes) => Ok(outcomes),
            Answer::Failed(reason) => Err(PluginError::Batch(quotable(&reason), samples.len())),
        }
    }

    /// The outcome of one crystal alone.
    pub fn ask_alone(&mut self, sample: &Sample) -> Result<Outcome, PluginError> {
        let missing = || PluginError::Outcomes("there is none for one crystal".into());
        self.ask(std::slice::from_ref(sample))?.pop().ok_or_else(missing)
    }

    /// Bytes of the worker in memory, where there is one and the system tells.
    pub fn resident(&self) -> Option<u64> {
        self.worker.as_ref()?.resident()
    }

    /// Another one, whose worker is not guarded: what it leaves behind is seen.
    pub fn unguarded(&self) -> Self {
        Self::new(Start { guard: None, ..self.start.clone() }, self.properties.clone(), None)
    }

    /// Closes the input of the worker and watches it end.
    pub fn end(&mut self) -> Result<Ending, PluginError> {
        let worker = self.take()?;
        Ok(run(worker.watch_end())?)
    }

    fn exchange(
        &mut self,
        worker: Worker,
        samples: &[Sample],
    ) -> Result<(Result<Answer, WorkerFailure>, Worker), PluginError> {
        let (id, count) = (self.next, samples.len());
        self.next += 1;
        let energies = self.properties.energies || self.start.hello.interface == HULL_CORRECTION;
        let message = batch(id, &columns(samples, &self.properties, energies).batch()).encode();
        let Start { deadline, memory, .. } = self.start;
        let (frame, worker) = run(async move {
            let mut worker = worker;
            let frame = worker.ask(&message, answer_limits(count), Some(deadline), Some(memory)).await;
            (frame, worker)
        })?;
        let answer = frame.and_then(|frame| read_answer(&frame, id, count).map_err(WorkerFailure::protocol));
        Ok((answer, worker))
    }

    fn take(&mut self) -> Result<Worker, PluginError> {
        match self.worker.take() {
            Some(mut worker) => {
                let (ended, worker) = run(async move { (worker.has_ended(), worker) })?;
                if ended { self.started() } else { Ok(worker) }
            }
            None => self.started(),
        }
    }

    fn started(&self) -> Result<Worker, PluginError> {
        let started = self.start.worker();
        started.map(|(worker, _)| worker).map_err(|error| WorkerFailure::Start(error.to_string()).into())
    }
}

impl Drop for PluginUnderTest {
    fn drop(&mut self) {
        self.worker.take().into_iter().for_each(discard);
    }
}

/// Workers are the business of the thread that started them.
fn discard(worker: Worker) {
    let _ = run(async move { drop(worker) });
}
