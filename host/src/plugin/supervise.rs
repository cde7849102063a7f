//! Workers of one term: restarted when they die, given up when they do nothing else.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use temper_plugin_api::{Crystals, Descriptor};
use tokio::sync::{Mutex, oneshot};
use tokio::time::sleep;

use super::Trouble;
use super::message::{Answer, Hello, batch, read_answer};
use super::process::{StartError, Worker, supervisor};

/// Delay before the second restart in a row; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// Bytes of the arrays that answer one crystal: a value and a status.
pub(super) const ANSWER: u64 = 9;

/// A program that speaks the worker protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerCommand {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// How workers are watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supervision {
    /// How long one batch may take.
    pub deadline: Duration,
    /// How long a worker may take to greet.
    pub start_deadline: Duration,
    /// How many bytes of memory a worker may hold; `None`: as many as there are.
    pub memory: Option<u64>,
    /// How many workers share a batch.
    pub workers: usize,
    /// How many restarts in a row may be in vain.
    pub max_restarts: u32,
}

/// The workers of one term.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    command: WorkerCommand,
    hello: Hello,
    supervision: Supervision,
    slots: Vec<Mutex<Slot>>,
    next: AtomicU64,
}

/// The place of a worker.
#[derive(Default)]
struct Slot {
    worker: Option<Worker>,
    /// Failures since the last batch that succeeded, and the last of them.
    deaths: u32,
    last: Option<Trouble>,
}

impl Pool {
    /// Starts the first worker, which says what it is. The others are started when they are needed.
    pub fn start(
        command: WorkerCommand,
        hello: Hello,
        supervision: Supervision,
    ) -> Result<(Self, Descriptor), StartError> {
        let first = run({
            let (command, hello) = (command.clone(), hello.clone());
            async move { Worker::start(&command, &hello, supervision.start_deadline, supervision.memory).await }
        });
        let (worker, descriptor) = first??;
        let mut slots: Vec<Slot> = (0..supervision.workers.max(1)).map(|_| Slot::default()).collect();
        slots[0].worker = Some(worker);
        let slots = slots.into_iter().map(Mutex::new).collect();
        let shared = Shared { command, hello, supervision, slots, next: AtomicU64::new(0) };
        Ok((Self { shared: Arc::new(shared) }, descriptor))
    }

    /// How many batches can be evaluated at once.
    pub fn width(&self) -> usize {
        self.shared.slots.len()
    }

    /// Evaluates batches, each by a worker of its own as far as there are enough.
    pub fn evaluate(&self, batches: Vec<Crystals>) -> Vec<Result<Answer, Trouble>> {
        let lost = |_| Err(Trouble::Start("the thread of the workers has ended".into()));
        let asked: Vec<_> = (batches.into_iter().enumerate())
            .map(|(index, crystals)| {
                let shared = Arc::clone(&self.shared);
                spawn(async move { shared.evaluate(index % shared.slots.len(), &crystals).await })
            })
            .collect();
        asked.into_iter().map(|answer| answer.and_then(|a| a.blocking_recv().unwrap_or_else(lost))).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _ = run(async move {
            for slot in &shared.slots {
                if let Some(worker) = slot.lock().await.worker.take() {
                    worker.end().await;
                }
            }
        });
    }
}

impl Shared {
    async fn evaluate(&self, slot: usize, crystals: &Crystals) -> Result<Answer, Trouble> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = batch(id, &crystals.batch()).encode();
        let slot = &mut *self.slots[slot].lock().await;
        let mut answer = self.ask(slot, &message, id, crystals.batch().len()).await;
        // One that serves a batch and ends has not failed; whether it had ended was not to be seen before.
        if matches!(&answer, Err(Trouble::Died { .. }))
            && slot.worker.as_mut().is_some_and(Worker::has_served_and_ended_well)
        {
            slot.worker = None;
            answer = self.ask(slot, &message, id, crystals.batch().len()).await;
        }
        match &answer {
            Err(trouble) if trouble.is_the_end() => {
                slot.worker = None;
                slot.deaths += 1;
                slot.last.get_or_insert_with(|| trouble.clone()).clone_from(trouble);
            }
            _ => slot.deaths = 0,
        }
        answer
    }

    async fn ask(&self, slot: &mut Slot, message: &[u8], id: u64, crystals: usize) -> Result<Answer, Trouble> {
        let Supervision { deadline, memory, .. } = self.supervision;
        let worker = self.worker(slot).await?;
        let frame = worker.ask(message, ANSWER * crystals as u64, deadline, memory).await?;
        // A worker that answers beside the question may be a step behind for ever.
        read_answer(&frame, id, crystals).map_err(Trouble::Protocol)
    }

    /// The worker of a slot, started again if it has to be.
    async fn worker<'a>(&self, slot: &'a mut Slot) -> Result<&'a mut Worker, Trouble> {
        if slot.worker.as_mut().is_some_and(Worker::has_ended) {
            slot.worker = None;
        }
        if slot.worker.is_none() {
            if slot.deaths > self.supervision.max_restarts {
                let last = slot.last.clone().unwrap_or_else(|| Trouble::Start("for no reason".into()));
                return Err(Trouble::GaveUp { deaths: slot.deaths, last: Box::new(last) });
            }
            sleep(delay(slot.deaths)).await;
            let Supervision { start_deadline, memory, .. } = self.supervision;
            let (worker, _) = Worker::start(&self.command, &self.hello, start_deadline, memory)
                .await
                .map_err(|error| Trouble::Start(error.to_string()))?;
            slot.worker = Some(worker);
        }
        slot.worker.as_mut().ok_or_else(|| Trouble::Start("it is gone".into()))
    }
}

/// How long to wait after this many failures in a row.
fn delay(deaths: u32) -> Duration {
    match deaths {
        0 | 1 => Duration::ZERO,
        n => FIRST_DELAY.saturating_mul(1_u32.checked_shl(n - 2).unwrap_or(u32::MAX)).min(LONGEST_DELAY),
    }
}

/// Has the thread of the workers do something.
fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<oneshot::Receiver<T>, Trouble> {
    let supervisor = supervisor().map_err(|e| Trouble::Start(format!("no thread for the workers: {e}")))?;
    let (sender, receiver) = oneshot::channel();
    supervisor.spawn(async move {
        // Nobody waits any more only if the program ends.
        let _ = sender.send(work.await);
    });
    Ok(receiver)
}

/// Has the thread of the workers do something, and waits for it.
pub(super) fn run<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Trouble> {
    let lost = |_| Trouble::Start("the thread of the workers has ended".into());
    spawn(work)?.blocking_recv().map_err(lost)
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
