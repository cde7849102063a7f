//! Workers of one term: restarted when they die, given up when they do nothing else.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use temper_plugin_api::{Crystals, Descriptor};
use tokio::sync::{Mutex, oneshot};
use tokio::time::sleep;

use super::super::PluginError;
use super::super::frame::Limits;
use super::super::message::{Answer, Hello, batch, read_answer};
use super::process::{StartError, Worker, supervisor};

/// Delay before the second restart in a row; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

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
pub(in crate::plugin) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    command: WorkerCommand,
    hello: Hello,
    supervision: Supervision,
    /// What the first worker said it is.
    descriptor: Descriptor,
    places: Vec<Place>,
    next: AtomicU64,
}

/// A place for a worker.
struct Place {
    slot: Mutex<Slot>,
    /// No batch is given to it any more, as long as there is another place.
    given_up: AtomicBool,
}

/// The worker of a place.
#[derive(Default)]
struct Slot {
    worker: Option<Worker>,
    /// Failures since the last batch that succeeded, and the last of them.
    deaths: u32,
    last: Option<PluginError>,
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
        let place = |slot| Place { slot: Mutex::new(slot), given_up: AtomicBool::new(false) };
        let (places, next) = (slots.into_iter().map(place).collect(), AtomicU64::new(0));
        let shared = Shared { command, hello, supervision, descriptor: descriptor.clone(), places, next };
        Ok((Self { shared: Arc::new(shared) }, descriptor))
    }

    /// How many batches can be evaluated at once.
    pub fn width(&self) -> usize {
        self.places().len()
    }

    /// The places that have not been given up; all if none is left.
    fn places(&self) -> Vec<usize> {
        let places = &self.shared.places;
        let left: Vec<usize> = (0..places.len()).filter(|&i| !places[i].given_up.load(Ordering::Relaxed)).collect();
        if left.is_empty() { (0..places.len()).collect() } else { left }
    }

    /// Evaluates batches, each by a worker of its own as far as there are enough.
    pub fn evaluate(&self, batches: Vec<Crystals>) -> Vec<Result<Answer, PluginError>> {
        let lost = |_| Err(PluginError::Start("the thread of the workers has ended".into()));
        let places = self.places();
        let asked: Vec<_> = (batches.into_iter().zip(places.into_iter().cycle()))
            .map(|(crystals, place)| {
                let shared = Arc::clone(&self.shared);
                spawn(async move { shared.evaluate(place, &crystals).await })
            })
            .collect();
        asked.into_iter().map(|answer| answer.and_then(|a| a.blocking_recv().unwrap_or_else(lost))).collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _ = run(async move {
            let mut ends = Vec::new();
            for place in &shared.places {
                ends.extend(place.slot.lock().await.worker.take().map(|worker| tokio::spawn(worker.end())));
            }
            for end in ends {
                let _ = end.await;
            }
        });
    }
}

impl Shared {
    async fn evaluate(&self, place: usize, crystals: &Crystals) -> Result<Answer, PluginError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = batch(id, &crystals.batch()).encode();
        let slot = &mut *self.places[place].slot.lock().await;
        let mut answer = self.ask(slot, &message, id, crystals.batch().len()).await;
        // One that serves a batch and ends has not failed; whether it had ended was not to be seen before.
        if matches!(&answer, Err(PluginError::Died { .. }))
            && slot.worker.as_mut().is_some_and(Worker::has_served_and_ended_well)
        {
            slot.worker = None;
            answer = self.ask(slot, &message, id, crystals.batch().len()).await;
        }
        match &answer {
            // Said again, not failed again.
            Err(PluginError::GaveUp { .. }) => self.places[place].given_up.store(true, Ordering::Relaxed),
            Err(trouble) if trouble.is_the_end() => {
                slot.worker = None;
                slot.deaths += 1;
                slot.last = Some(trouble.clone());
            }
            _ => slot.deaths = 0,
        }
        answer
    }

    async fn ask(&self, slot: &mut Slot, message: &[u8], id: u64, crystals: usize) -> Result<Answer, PluginError> {
        let Supervision { deadline, memory, .. } = self.supervision;
        let worker = self.worker(slot).await?;
        let frame = worker.ask(message, Limits::of_answer(crystals), deadline, memory).await?;
        // A worker that answers beside the question may be a step behind for ever.
        read_answer(&frame, id, crystals).map_err(PluginError::protocol)
    }

    /// The worker of a slot, started again if it has to be.
    async fn worker<'a>(&self, slot: &'a mut Slot) -> Result<&'a mut Worker, PluginError> {
        if slot.worker.as_mut().is_some_and(Worker::has_ended) {
            slot.worker = None;
        }
        if slot.worker.is_none() {
            if slot.deaths > self.supervision.max_restarts {
                let last = slot.last.clone().unwrap_or_else(|| PluginError::Start("for no reason".into()));
                return Err(PluginError::GaveUp { deaths: slot.deaths, last: Box::new(last) });
            }
            sleep(delay(slot.deaths)).await;
            let Supervision { start_deadline, memory, .. } = self.supervision;
            let (worker, descriptor) = Worker::start(&self.command, &self.hello, start_deadline, memory)
                .await
                .map_err(|error| PluginError::Start(error.to_string()))?;
            if descriptor != self.descriptor {
                return Err(PluginError::Start("it says that it is another plugin than before".to_owned()));
            }
            slot.worker = Some(worker);
        }
        slot.worker.as_mut().ok_or_else(|| PluginError::Start("it is gone".into()))
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
fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<oneshot::Receiver<T>, PluginError> {
    let supervisor = supervisor().map_err(|e| PluginError::Start(format!("no thread for the workers: {e}")))?;
    let (sender, receiver) = oneshot::channel();
    supervisor.spawn(async move {
        // Nobody waits any more only if the program ends.
        let _ = sender.send(work.await);
    });
    Ok(receiver)
}

/// Has the thread of the workers do something, and waits for it.
pub(in crate::plugin) fn run<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, PluginError> {
    let lost = |_| PluginError::Start("the thread of the workers has ended".into());
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
