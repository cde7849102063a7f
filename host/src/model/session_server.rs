//! A process in which one graph runs: its end of the conversation.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::session_message::{Answer, Hello, Run, answer, read_run, ready};
use crate::graph::Tensor;
use crate::runtime::{self, Device, Input, Runtime, Session};
use crate::worker::{Frame, FrameError, Limits, ignore_signals, streams};

/// Why the process of a graph ends early.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The standard streams are not there, or the host is gone.
    #[error("the host cannot be reached: {0}")]
    Host(#[from] std::io::Error),
    /// The host says something else.
    #[error("the host broke the protocol: {0}")]
    Protocol(String),
}

/// Loads the graph that the host sends, or the one in `file`, and runs it as often as the host asks, until it closes standard input.
///
/// # Errors
/// [`ServeError`]. That a graph cannot be loaded is none: the host is told.
pub fn serve_graph(
    open: impl FnOnce(Device) -> Result<Arc<Runtime>, runtime::Error>,
    file: Option<&Path>,
) -> Result<(), ServeError> {
    let _ignoring = ignore_signals()?;
    let (mut input, mut output) = streams()?;
    let Some(hello) = next(&mut input)? else { return Ok(()) };
    let hello = Hello::from_frame(&hello).map_err(ServeError::Protocol)?;
    match session(open, &hello, file) {
        Ok(mut session) => {
            drop(hello);
            ready().write(&mut output)?;
            answer_all(&mut session, &mut input, &mut output)
        }
        Err(error) => Ok(Frame::refusal(&error.to_string()).write(&mut output)?),
    }
}

fn session(
    open: impl FnOnce(Device) -> Result<Arc<Runtime>, runtime::Error>,
    hello: &Hello,
    file: Option<&Path>,
) -> Result<Session, runtime::Error> {
    let runtime = open(hello.device)?;
    let deadline = hello.deadline.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let options = super::onnx_model::session_options(hello.device, deadline);
    match (&hello.graph, file) {
        (None, Some(file)) => Session::from_file(&runtime, file, &options),
        (graph, _) => Session::from_bytes(&runtime, &hello.name, graph.as_deref().unwrap_or_default(), &options),
    }
}

fn answer_all(session: &mut Session, input: &mut impl Read, output: &mut impl Write) -> Result<(), ServeError> {
    while let Some(frame) = next(input)? {
        let Run { id, inputs, outputs } = read_run(&frame).map_err(ServeError::Protocol)?;
        answer(id, &run(session, &inputs, &outputs)).write(output)?;
    }
    Ok(())
}

fn run(session: &mut Session, inputs: &[(String, Tensor)], outputs: &[String]) -> Answer {
    let inputs: Vec<(&str, Input<'_>)> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.into())).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    match session.run(&inputs, &outputs) {
        Ok(outputs) => Answer::Outputs(outputs),
        Err(runtime::Error::Deadline { .. }) => Answer::TooSlow,
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// The next message; none when the host has closed the stream.
fn next(input: &mut impl Read) -> Result<Option<Frame>, ServeError> {
    match Frame::read(input, Limits::HOST) {
        Ok(frame) => Ok(Some(frame)),
        Err(FrameError::Closed) => Ok(None),
        Err(error) => Err(ServeError::Protocol(error.to_string())),
    }
}
