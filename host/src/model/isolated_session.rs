//! A graph that runs in a process of its own: this end of the conversation.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::EvaluationError;
use super::graph_source::GraphSource;
use super::isolation::ModelProcesses;
use super::session_message::{Answer, Hello, is_ready, read_answer, run};
use crate::graph::Tensor;
use crate::runtime::{Input, Runtime, SessionOptions};
use crate::worker::{self, Limits, Request, Service, Slot, StartError, Supervision, Worker, WorkerCommand, quotable};

/// What a run may take beyond its deadline, at which ONNX Runtime stops it by itself.
const GRACE: Duration = Duration::from_secs(10);

/// A graph in a process of its own, which is started again when it has died.
pub(super) struct IsolatedSession {
    service: Arc<Service>,
    slot: Arc<Mutex<Slot>>,
    /// How long a run may take, in the process and here.
    deadline: Option<Duration>,
    next: u64,
}

/// Why there is no such process.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// It is not there, or came to grief.
    #[error(transparent)]
    Start(#[from] StartError),
    /// ONNX Runtime's reason, given there.
    #[error("{0}")]
    Refused(String),
}

impl IsolatedSession {
    /// How processes for a graph are started.
    pub fn service(
        runtime: &Runtime,
        graph: &GraphSource,
        options: &SessionOptions,
        processes: &ModelProcesses,
    ) -> Arc<Service> {
        let mut arguments = vec!["model".into(), "serve".into(), runtime.library().path.clone().into()];
        if graph.bytes.is_none() {
            arguments.push(graph.path.clone().into());
        }
        let command = WorkerCommand::new(processes.program.clone(), arguments);
        let hello = Hello {
            name: graph.name.clone(),
            device: options.device,
            deadline: options.deadline.map(|deadline| deadline.as_secs_f64()),
            graph: graph.bytes.clone(),
        };
        let supervision = Supervision {
            deadline: options.deadline.unwrap_or(Duration::MAX),
            start_deadline: processes.start_deadline,
            memory: processes.memory,
            workers: 1,
            max_batch: None,
            max_restarts: processes.max_restarts,
        };
        let hello = hello.to_frame().encode();
        // What a crystal has done to one process, it does to the next: no time heals it.
        Arc::new(Service { command, supervision, hello, accept: Box::new(is_ready), delays: false })
    }

    /// A session whose process is started when it is first needed.
    pub fn new(service: &Arc<Service>, deadline: Option<Duration>) -> Self {
        Self { service: Arc::clone(service), slot: Arc::default(), deadline, next: 0 }
    }

    /// Starts the process now.
    ///
    /// # Errors
    /// [`IsolationError`].
    pub fn start(&self) -> Result<(), IsolationError> {
        let (service, slot) = (Arc::clone(&self.service), Arc::clone(&self.slot));
        let started = worker::run(async move {
            let Supervision { start_deadline, memory, .. } = service.supervision;
            let (worker, frame) = Worker::start(&service.command, &service.hello, start_deadline, memory).await?;
            (service.accept)(&frame).map_err(|reason| IsolationError::Refused(quotable(&reason)))?;
            *slot.lock().await = Slot::with(worker);
            Ok(())
        });
        started.map_err(StartError::from)?
    }

    /// Runs the graph.
    ///
    /// # Errors
    /// [`EvaluationError::Died`] where the process did; else as a session in this process.
    pub fn run(&mut self, inputs: &[(&str, Input<'_>)], outputs: &[&str]) -> Result<Vec<Tensor>, EvaluationError> {
        let (id, count) = (self.next, outputs.len());
        self.next += 1;
        let message = run(id, inputs, outputs).encode();
        // Outputs are some numbers for each atom, and so are the inputs.
        let most = Limits { header: 1 << 20, body: (1 << 20) + 64 * message.len() as u64 };
        let deadline = self.deadline.map(|deadline| 2 * deadline + GRACE);
        let (service, slot) = (Arc::clone(&self.service), Arc::clone(&self.slot));
        let answer = worker::run(async move {
            let request = Request { message: &message, most, deadline };
            slot.lock().await.ask(&service, &request, |frame| read_answer(frame, id, count)).await
        });
        match answer.and_then(|answer| answer) {
            Ok(Answer::Outputs(outputs)) => Ok(outputs),
            Ok(Answer::Failed(reason)) => Err(EvaluationError::Failed(quotable(&reason))),
            Ok(Answer::TooSlow) => Err(EvaluationError::Deadline(self.deadline.unwrap_or_default())),
            Err(failure) => Err(EvaluationError::Died(failure)),
        }
    }
}

impl Drop for IsolatedSession {
    fn drop(&mut self) {
        let slot = Arc::clone(&self.slot);
        let _ = worker::run(async move {
            if let Some(worker) = slot.lock().await.take() {
                worker.end().await;
            }
        });
    }
}

impl std::fmt::Debug for IsolatedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IsolatedSession").field("command", &self.service.command).finish_non_exhaustive()
    }
}
