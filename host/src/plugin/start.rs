//! The start of a worker that serves a plugin.

use temper_plugin_api::Descriptor;

use super::message::{Hello, greeting};
use crate::worker::{self, Frame, Supervision, Worker, WorkerCommand, WorkerFailure, quotable};

/// Why a worker is not there.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum StartError {
    /// The worker's own reason, and what it advises.
    #[error("{0}")]
    Refused(String, Option<String>),
    /// It could not be started, died or hung.
    #[error(transparent)]
    Worker(#[from] worker::StartError),
}

impl From<WorkerFailure> for StartError {
    fn from(failure: WorkerFailure) -> Self {
        Self::Worker(failure.into())
    }
}

/// Starts a worker and waits for its greeting; of the supervision, `start_deadline` and `memory` count.
pub(super) async fn start(
    command: &WorkerCommand,
    hello: &Hello,
    supervision: Supervision,
) -> Result<(Worker, Descriptor), StartError> {
    let Supervision { start_deadline, memory, .. } = supervision;
    let (worker, frame) = Worker::start(command, &hello.to_frame().encode(), start_deadline, memory).await?;
    Ok((worker, greeted(&frame)?))
}

/// What a worker says in its greeting that it is.
pub(super) fn greeted(frame: &Frame) -> Result<Descriptor, StartError> {
    match greeting(frame) {
        Ok(Ok(descriptor)) => Ok(descriptor),
        Ok(Err(message)) => Err(StartError::Refused(quotable(&message), frame.text("advice").map(quotable))),
        Err(reason) => Err(WorkerFailure::protocol(reason).into()),
    }
}
