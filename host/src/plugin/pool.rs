//! The workers of one term.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use temper_plugin_api::{Crystals, Descriptor};
use tokio::sync::Mutex;

use super::PluginError;
use super::message::{Answer, Hello, answer_limits, batch, read_answer};
use super::start::{StartError, greeted, start};
use crate::worker::{Request, Service, Slot, Supervision, WorkerCommand, WorkerFailure, run, spawn};

/// The workers of one term.
pub(super) struct WorkerPool {
    shared: Arc<Shared>,
}

struct Shared {
    service: Service,
    slots: Vec<WorkerSlot>,
    next: AtomicU64,
}

/// Room for one worker.
struct WorkerSlot {
    slot: Mutex<Slot>,
    /// It gets no batch any more, as long as another slot is left.
    given_up: AtomicBool,
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
            async move { start(&command, &hello, supervision).await }
        });
        let (worker, descriptor) = first??;
        let mut slots: Vec<Slot> = (0..supervision.workers.max(1)).map(|_| Slot::default()).collect();
        slots[0] = Slot::with(worker);
        let slot = |slot| WorkerSlot { slot: Mutex::new(slot), given_up: AtomicBool::new(false) };
        let (slots, next) = (slots.into_iter().map(slot).collect(), AtomicU64::new(0));
        let known = descriptor.clone();
        let accept = move |frame: &_| match greeted(frame) {
            Ok(descriptor) if descriptor == known => Ok(()),
            Ok(_) => Err("it says that it is another plugin than before".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let hello = hello.to_frame().encode();
        let service = Service { command, supervision, hello, accept: Box::new(accept), delays: true };
        Ok((Self { shared: Arc::new(Shared { service, slots, next }) }, descriptor))
    }

    /// How many batches can be evaluated at once.
    pub fn width(&self) -> usize {
        self.usable_slots().len()
    }

    /// Most crystals that a worker gets at once, if there is a limit.
    pub fn max_batch(&self) -> Option<usize> {
        self.shared.service.supervision.max_batch
    }

    /// The slots that have not been given up; all if none is left.
    fn usable_slots(&self) -> Vec<usize> {
        let slots = &self.shared.slots;
        let left: Vec<usize> = (0..slots.len()).filter(|&i| !slots[i].given_up.load(Ordering::Relaxed)).collect();
        if left.is_empty() { (0..slots.len()).collect() } else { left }
    }

    /// Evaluates batches, each by a worker of its own as far as there are enough.
    pub fn evaluate(&self, batches: Vec<Crystals>) -> Vec<Result<Answer, PluginError>> {
        let lost = |_| Err(WorkerFailure::thread_has_ended().into());
        let slots = self.usable_slots();
        let asked: Vec<_> = (batches.into_iter().zip(slots.into_iter().cycle()))
            .map(|(crystals, slot)| {
                let shared = Arc::clone(&self.shared);
                spawn(async move { shared.evaluate(slot, &crystals).await })
            })
            .collect();
        let answer = |asked: Result<tokio::sync::oneshot::Receiver<_>, WorkerFailure>| {
            asked?.blocking_recv().unwrap_or_else(lost)
        };
        asked.into_iter().map(answer).collect()
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _ = run(async move {
            let mut ends = Vec::new();
            for slot in &shared.slots {
                ends.extend(slot.slot.lock().await.take().map(|worker| tokio::spawn(worker.end())));
            }
            for end in ends {
                let _ = end.await;
            }
        });
    }
}

impl Shared {
    async fn evaluate(&self, index: usize, crystals: &Crystals) -> Result<Answer, PluginError> {
        let (id, count) = (self.next.fetch_add(1, Ordering::Relaxed), crystals.batch().len());
        let message = batch(id, &crystals.batch()).encode();
        let deadline = Some(self.service.supervision.deadline);
        let request = Request { message: &message, most: answer_limits(count), deadline };
        let slot = &mut *self.slots[index].slot.lock().await;
        let answer = slot.ask(&self.service, &request, |frame| read_answer(frame, id, count)).await;
        if matches!(answer, Err(WorkerFailure::GaveUp { .. })) {
            self.slots[index].given_up.store(true, Ordering::Relaxed);
        }
        Ok(answer?)
    }
}
