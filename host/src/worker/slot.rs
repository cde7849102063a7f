//! Room for one worker: started again when it dies, given up when it keeps dying.

use std::time::Duration;

use tokio::time::sleep;

use super::{Frame, Limits, Supervision, Worker, WorkerCommand, WorkerFailure};

/// Delay before the second restart in a row; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Judges a greeting: why it is not the one that must come.
pub type Accept = Box<dyn Fn(&Frame) -> Result<(), String> + Send + Sync>;

/// What workers are started for.
pub struct Service {
    /// The program.
    pub command: WorkerCommand,
    /// How it is supervised.
    pub supervision: Supervision,
    /// The first message, encoded.
    pub hello: Vec<u8>,
    /// Whether the answer to that is the one that must come, or why it is not.
    pub accept: Accept,
    /// Whether restarts in a row are delayed more and more: what a worker needs may come back.
    pub delays: bool,
}

/// A message and what may be answered to it.
pub struct Request<'a> {
    /// The message, encoded.
    pub message: &'a [u8],
    /// How long the answer may be.
    pub most: Limits,
    /// How long it may take; `None`: as long as it takes.
    pub deadline: Option<Duration>,
}

/// Room for one worker.
#[derive(Default)]
pub struct Slot {
    worker: Option<Worker>,
    /// Failures since the last answer that was right, and the last of them.
    failures: u32,
    last: Option<WorkerFailure>,
}

impl Slot {
    /// With a worker that has greeted.
    pub fn with(worker: Worker) -> Self {
        Self { worker: Some(worker), ..Self::default() }
    }

    /// Takes the worker out, if there is one.
    pub fn take(&mut self) -> Option<Worker> {
        self.worker.take()
    }

    /// The answer to a request as `read` understands it; a worker is started if there is none.
    ///
    /// # Errors
    /// [`WorkerFailure`]. [`WorkerFailure::GaveUp`] from the restart on that is one too many.
    pub async fn ask<T>(
        &mut self,
        service: &Service,
        request: &Request<'_>,
        read: impl Fn(&Frame) -> Result<T, String>,
    ) -> Result<T, WorkerFailure> {
        let mut answer = self.try_once(service, request, &read).await;
        // One that serves a batch and ends has not failed; whether it had ended was not to be seen before.
        if matches!(&answer, Err(WorkerFailure::Exited { .. }))
            && self.worker.as_mut().is_some_and(Worker::has_served_and_ended_well)
        {
            self.worker = None;
            answer = self.try_once(service, request, &read).await;
        }
        match &answer {
            // Said again, not failed again.
            Err(WorkerFailure::GaveUp { .. }) => {}
            Err(failure) => {
                self.worker = None;
                self.failures += 1;
                self.last = Some(failure.clone());
            }
            Ok(_) => self.failures = 0,
        }
        answer
    }

    async fn try_once<T>(
        &mut self,
        service: &Service,
        request: &Request<'_>,
        read: impl Fn(&Frame) -> Result<T, String>,
    ) -> Result<T, WorkerFailure> {
        let memory = service.supervision.memory;
        let worker = self.started(service).await?;
        let frame = worker.ask(request.message, request.most, request.deadline, memory).await?;
        // A worker that answers beside the question may be a step behind for ever.
        read(&frame).map_err(WorkerFailure::protocol)
    }

    /// The worker, started again if it has to be.
    async fn started(&mut self, service: &Service) -> Result<&mut Worker, WorkerFailure> {
        if self.worker.as_mut().is_some_and(Worker::has_ended) {
            self.worker = None;
        }
        if self.worker.is_none() {
            if self.failures > service.supervision.max_restarts {
                let last = self.last.clone().unwrap_or_else(|| WorkerFailure::Start("for no reason".into()));
                return Err(WorkerFailure::GaveUp { failures: self.failures, last: Box::new(last) });
            }
            if service.delays {
                sleep(delay(self.failures)).await;
            }
            let Supervision { start_deadline, memory, .. } = service.supervision;
            let (worker, frame) = Worker::start(&service.command, &service.hello, start_deadline, memory)
                .await
                .map_err(|error| WorkerFailure::Start(error.to_string()))?;
            (service.accept)(&frame).map_err(WorkerFailure::Start)?;
            self.worker = Some(worker);
        }
        self.worker.as_mut().ok_or_else(|| WorkerFailure::Start("it is gone".into()))
    }
}

/// How long to wait after this many failures in a row.
fn delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => FIRST_DELAY.saturating_mul(1_u32.checked_shl(n - 2).unwrap_or(u32::MAX)).min(LONGEST_DELAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_are_delayed_further_each_time() {
        let delays: Vec<u128> = [0, 1, 2, 3, 8, 9, 40, u32::MAX].map(|n| delay(n).as_millis()).to_vec();
        assert_eq!(delays, [0, 0, 100, 200, 6_400, 10_000, 10_000, 10_000]);
    }
}
