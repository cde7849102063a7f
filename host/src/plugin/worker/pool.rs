//! The workers of one term: restarted when they die, given up when they keep dying.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use temper_plugin_api::{Crystals, Descriptor};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::super::PluginError;
use super::super::frame::Limits;
use super::super::message::{Answer, Hello, batch, read_answer};
use super::command::{Supervision, WorkerCommand};
use super::process::{StartError, Worker};
use super::thread::{run, spawn, thread_has_ended};

/// Delay before the second restart in a row; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// The workers of one term.
pub(in crate::plugin) struct WorkerPool {
    shared: Arc<Shared>,
}

struct Shared {
    command: WorkerCommand,
    hello: Hello,
    supervision: Supervision,
    /// What the first worker said it is.
    descriptor: Descriptor,
    slots: Vec<WorkerSlot>,
    next: AtomicU64,
}

/// Room for one worker.
struct WorkerSlot {
    state: Mutex<SlotState>,
    /// It gets no batch any more, as long as another slot is left.
    given_up: AtomicBool,
}

#[derive(Default)]
struct SlotState {
    worker: Option<Worker>,
    /// Failures since the last batch that succeeded, and the last of them.
    failures: u32,
    last: Option<PluginError>,
}

impl WorkerPool {
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
        let mut states: Vec<SlotState> = (0..supervision.workers.max(1)).map(|_| SlotState::default()).collect();
        states[0].worker = Some(worker);
        let slot = |state| WorkerSlot { state: Mutex::new(state), given_up: AtomicBool::new(false) };
        let (slots, next) = (states.into_iter().map(slot).collect(), AtomicU64::new(0));
        let shared = Shared { command, hello, supervision, descriptor: descriptor.clone(), slots, next };
        Ok((Self { shared: Arc::new(shared) }, descriptor))
    }

    /// How many batches can be evaluated at once.
    pub fn width(&self) -> usize {
        self.usable_slots().len()
    }

    /// The slots that have not been given up; all if none is left.
    fn usable_slots(&self) -> Vec<usize> {
        let slots = &self.shared.slots;
        let left: Vec<usize> = (0..slots.len()).filter(|&i| !slots[i].given_up.load(Ordering::Relaxed)).collect();
        if left.is_empty() { (0..slots.len()).collect() } else { left }
    }

    /// Evaluates batches, each by a worker of its own as far as there are enough.
    pub fn evaluate(&self, batches: Vec<Crystals>) -> Vec<Result<Answer, PluginError>> {
        let lost = |_| Err(thread_has_ended());
        let slots = self.usable_slots();
        let asked: Vec<_> = (batches.into_iter().zip(slots.into_iter().cycle()))
            .map(|(crystals, slot)| {
                let shared = Arc::clone(&self.shared);
                spawn(async move { shared.evaluate(slot, &crystals).await })
            })
            .collect();
        asked.into_iter().map(|answer| answer.and_then(|a| a.blocking_recv().unwrap_or_else(lost))).collect()
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _ = run(async move {
            let mut ends = Vec::new();
            for slot in &shared.slots {
                ends.extend(slot.state.lock().await.worker.take().map(|worker| tokio::spawn(worker.end())));
            }
            for end in ends {
                let _ = end.await;
            }
        });
    }
}

impl Shared {
    async fn evaluate(&self, index: usize, crystals: &Crystals) -> Result<Answer, PluginError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let message = batch(id, &crystals.batch()).encode();
        let slot = &mut *self.slots[index].state.lock().await;
        let mut answer = self.ask(slot, &message, id, crystals.batch().len()).await;
        // One that serves a batch and ends has not failed; whether it had ended was not to be seen before.
        if matches!(&answer, Err(PluginError::Exited { .. }))
            && slot.worker.as_mut().is_some_and(Worker::has_served_and_ended_well)
        {
            slot.worker = None;
            answer = self.ask(slot, &message, id, crystals.batch().len()).await;
        }
        match &answer {
            // Said again, not failed again.
            Err(PluginError::GaveUp { .. }) => self.slots[index].given_up.store(true, Ordering::Relaxed),
            Err(error) if error.ends_the_worker() => {
                slot.worker = None;
                slot.failures += 1;
                slot.last = Some(error.clone());
            }
            _ => slot.failures = 0,
        }
        answer
    }

    async fn ask(&self, slot: &mut SlotState, message: &[u8], id: u64, crystals: usize) -> Result<Answer, PluginError> {
        let Supervision { deadline, memory, .. } = self.supervision;
        let worker = self.worker(slot).await?;
        let frame = worker.ask(message, Limits::of_answer(crystals), deadline, memory).await?;
        // A worker that answers beside the question may be a step behind for ever.
        read_answer(&frame, id, crystals).map_err(PluginError::protocol)
    }

    /// The worker of a slot, started again if it has to be.
    async fn worker<'a>(&self, slot: &'a mut SlotState) -> Result<&'a mut Worker, PluginError> {
        if slot.worker.as_mut().is_some_and(Worker::has_ended) {
            slot.worker = None;
        }
        if slot.worker.is_none() {
            if slot.failures > self.supervision.max_restarts {
                let last = slot.last.clone().unwrap_or_else(|| PluginError::Start("for no reason".into()));
                return Err(PluginError::GaveUp { failures: slot.failures, last: Box::new(last) });
            }
            sleep(delay(slot.failures)).await;
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
