//! The worker's end of the protocol: serves one plugin over standard input and output.

use std::io::{Read, Write};
use std::sync::Barrier;

use serde_json::Map;
use temper_plugin_api::{Crystals, Outcome};

use super::library::{EvaluateError, PluginInstance};
use super::message::{Hello, failed, outcomes, read_batch, ready};
use super::{LoadError, PluginLibrary};
use crate::hint::Hint;
use crate::worker::{Frame, FrameError, Limits, ignore_signals, streams};

/// The interface of a [`Hello`] that asks only what the plugin is.
pub(super) const DESCRIBE: &str = "describe";

/// Why a worker ends early.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Its standard streams are not there.
    #[error("the standard streams cannot be taken: {0}")]
    Streams(std::io::Error),
    /// The host does not keep to the protocol.
    #[error("the host broke the protocol: {0}")]
    Protocol(String),
    /// The host is gone.
    #[error("the host cannot be reached: {0}")]
    Host(#[from] std::io::Error),
}

/// Serves the plugin that `open` opens until the host closes standard input. Whatever the plugin prints goes to standard error.
/// Each batch is given to so many `threads` at once, which must agree; more than one makes sense only to try the plugin.
///
/// # Errors
/// [`WorkerError`], when the host goes away or sends something else than the protocol.
pub fn serve(open: impl FnOnce() -> Result<PluginLibrary, LoadError>, threads: usize) -> Result<(), WorkerError> {
    let _ignoring = ignore_signals().map_err(WorkerError::Streams)?;
    let (mut input, mut output) = streams().map_err(WorkerError::Streams)?;
    let hello = match Frame::read(&mut input, Limits::HOST) {
        Ok(frame) => Hello::from_frame(&frame),
        Err(FrameError::Closed) => return Ok(()),
        Err(error) => return Err(WorkerError::Protocol(error.to_string())),
    };
    let plugin = hello.map_err(|message| (message, None)).and_then(|hello| {
        let advised = |error: LoadError| (error.to_string(), error.hints().into_iter().next());
        let library = open().map_err(advised)?;
        if hello.interface == DESCRIBE {
            return Ok((library, None));
        }
        let instance = library.create(&hello.interface, &hello.config).map_err(|message| (message, None))?;
        Ok((library, Some((hello.interface, instance))))
    });
    match plugin {
        Ok((library, instance)) => {
            let mut descriptor = library.descriptor().clone();
            if let Some((id, instance)) = &instance {
                // With its config, an instance may be more or other than the plugin says of all of them.
                let asked = descriptor.interfaces.iter_mut().filter(|interface| interface.id == *id);
                asked.for_each(|interface| interface.properties.clone_from(instance.properties()));
            }
            ready(&descriptor).write(&mut output)?;
            instance.map_or(Ok(()), |(_, instance)| answer_all(&instance, threads, &mut input, &mut output))
        }
        Err((message, advice)) => {
            let mut frame = Frame::refusal(&message);
            frame.header.extend(advice.map(|advice| ("advice".to_owned(), advice.into())));
            Ok(frame.write(&mut output)?)
        }
    }
}

fn answer_all(
    instance: &PluginInstance,
    threads: usize,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<(), WorkerError> {
    loop {
        let frame = match Frame::read(input, Limits::HOST) {
            Ok(frame) => frame,
            Err(FrameError::Closed) => return Ok(()),
            Err(error) => return Err(WorkerError::Protocol(error.to_string())),
        };
        let (id, crystals) = read_batch(&frame).map_err(WorkerError::Protocol)?;
        let answer = match evaluate(instance, threads, &crystals) {
            Ok(given) => outcomes(id, given),
            Err(EvaluateError::Plugin(reason) | EvaluateError::Invalid(reason)) => failed(id, &reason),
        };
        answer.write(output)?;
    }
}

/// The outcomes on which all threads agree to the last bit.
fn evaluate(instance: &PluginInstance, threads: usize, crystals: &Crystals) -> Result<Vec<Outcome>, EvaluateError> {
    if threads < 2 {
        return instance.evaluate(&crystals.batch());
    }
    let start = Barrier::new(threads);
    let call = || {
        start.wait();
        instance.evaluate(&crystals.batch())
    };
    let calls: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..threads).map(|_| scope.spawn(call)).collect();
        calls.into_iter().map(|call| call.join()).collect()
    });
    let panicked = |_| Err(EvaluateError::Plugin("a thread panicked".into()));
    let calls: Vec<_> = calls.into_iter().map(|call| call.unwrap_or_else(panicked)).collect::<Result<_, _>>()?;
    let same = |(a, b): &(&Outcome, &Outcome)| match (a, b) {
        (Outcome::Value(a), Outcome::Value(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    };
    let first = &calls[0];
    let differ = calls.iter().flat_map(|other| first.iter().zip(other)).find(|pair| !same(pair));
    match differ {
        Some((a, b)) => {
            Err(EvaluateError::Plugin(format!("{threads} threads at once got {a:?} and {b:?} for one crystal")))
        }
        None => Ok(calls.into_iter().next().unwrap_or_default()),
    }
}

/// What a worker is asked in order to learn what it serves.
pub(super) fn describe() -> Hello {
    Hello { interface: DESCRIBE.to_owned(), config: Map::new() }
}
