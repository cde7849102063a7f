//! What is said between this process and one in which a graph runs: a header and arrays in each frame, every number to its last bit.

use serde_json::{Map, Value, json};

use ndarray::{ArrayD, IxDyn};

use crate::graph::Tensor;
use crate::runtime::{Device, Input};
use crate::worker::{Entry, Frame};

/// How a graph is loaded.
pub(super) struct Hello {
    /// What stands for it in messages.
    pub name: String,
    pub device: Device,
    /// How long one run may take, seconds.
    pub deadline: Option<f64>,
    /// The graph; `None`: it is in the file that the process was started with.
    pub graph: Option<Vec<u8>>,
}

/// What came of a run.
pub(super) enum Answer {
    /// The outputs asked for, in their order.
    Outputs(Vec<Tensor>),
    /// ONNX Runtime's reason.
    Failed(String),
    /// It was stopped at the deadline.
    TooSlow,
}

impl Hello {
    pub fn to_frame(&self) -> Frame {
        let (name, device) = (&self.name, self.device.to_string());
        let mut frame = frame(json!({"type": "graph", "name": name, "device": device, "deadline": self.deadline}));
        if let Some(graph) = &self.graph {
            frame.push("graph", &[graph.len()], graph.iter().copied());
        }
        frame
    }

    pub fn from_frame(frame: &Frame) -> Result<Self, String> {
        let text = |key: &str| frame.text(key).ok_or_else(|| format!("`{key}` is missing"));
        let length = frame.arrays().into_iter().find(|(name, ..)| name == "graph").map(|(_, _, shape)| shape);
        Ok(Self {
            name: text("name")?.to_owned(),
            device: text("device")?.parse().map_err(|e: crate::runtime::Error| e.to_string())?,
            deadline: frame.header.get("deadline").and_then(Value::as_f64),
            graph: length.map(|shape| frame.array("graph", &shape)).transpose()?,
        })
    }
}

/// The graph is loaded.
pub(super) fn ready() -> Frame {
    frame(json!({"type": "ready"}))
}

/// Whether a process is ready, or why it is not.
pub(super) fn is_ready(frame: &Frame) -> Result<(), String> {
    match frame.kind() {
        "ready" => Ok(()),
        "error" => Err(frame.text("message").unwrap_or("it gave no reason").to_owned()),
        other => Err(format!("a message of type {other:?} where \"ready\" must come")),
    }
}

/// A run of the graph.
pub(super) fn run(id: u64, inputs: &[(&str, Input<'_>)], outputs: &[&str]) -> Frame {
    let mut frame = frame(json!({"type": "run", "id": id, "outputs": outputs}));
    for (name, input) in inputs {
        match input {
            Input::Tensor(tensor) => push(&mut frame, name, tensor),
            Input::F32(array) => frame.push(name, array.shape(), array.iter().copied()),
            // The results of earlier runs stay in the process that has them; models are given none.
            Input::OrtTensor(_) => {}
        }
    }
    frame
}

/// A [`run`] as it arrives.
pub(super) struct Run {
    pub id: u64,
    pub inputs: Vec<(String, Tensor)>,
    /// Names of the outputs asked for.
    pub outputs: Vec<String>,
}

/// Reads a [`run`].
pub(super) fn read_run(frame: &Frame) -> Result<Run, String> {
    let id = frame.header.get("id").and_then(Value::as_u64).filter(|_| frame.kind() == "run");
    let outputs = frame.header.get("outputs").and_then(|outputs| serde_json::from_value(outputs.clone()).ok());
    Ok(Run { id: id.ok_or("no run")?, inputs: tensors(frame)?, outputs: outputs.ok_or("`outputs` is missing")? })
}

/// What came of a run.
pub(super) fn answer(id: u64, answer: &Answer) -> Frame {
    match answer {
        Answer::Outputs(outputs) => {
            let mut frame = frame(json!({"type": "outputs", "id": id}));
            outputs.iter().enumerate().for_each(|(place, tensor)| push(&mut frame, &place.to_string(), tensor));
            frame
        }
        Answer::Failed(reason) => frame(json!({"type": "failed", "id": id, "message": reason})),
        Answer::TooSlow => frame(json!({"type": "slow", "id": id})),
    }
}

/// The answer to the run `id`, which asked for so many outputs.
pub(super) fn read_answer(frame: &Frame, id: u64, outputs: usize) -> Result<Answer, String> {
    if frame.header.get("id").and_then(Value::as_u64) != Some(id) {
        return Err(format!("it answered a {} beside the question", frame.kind()));
    }
    match frame.kind() {
        "failed" => Ok(Answer::Failed(frame.text("message").unwrap_or("it gave no reason").to_owned())),
        "slow" => Ok(Answer::TooSlow),
        "outputs" => {
            let tensors: Vec<Tensor> = tensors(frame)?.into_iter().map(|(_, tensor)| tensor).collect();
            let found = tensors.len();
            if found == outputs { Ok(Answer::Outputs(tensors)) } else { Err(format!("{found} of {outputs} outputs")) }
        }
        other => Err(format!("a message of type {other:?} where \"outputs\" must come")),
    }
}

fn push(frame: &mut Frame, name: &str, tensor: &Tensor) {
    let shape = tensor.shape();
    match tensor {
        Tensor::F32(array) => frame.push(name, shape, array.iter().copied()),
        Tensor::F64(array) => frame.push(name, shape, array.iter().copied()),
        Tensor::I64(array) => frame.push(name, shape, array.iter().copied()),
        Tensor::I32(array) => frame.push(name, shape, array.iter().copied()),
        Tensor::Bool(array) => frame.push(name, shape, array.iter().copied()),
        // A session neither takes nor gives others.
        Tensor::Other(_) => {}
    }
}

/// The arrays of a frame in their order.
fn tensors(frame: &Frame) -> Result<Vec<(String, Tensor)>, String> {
    let tensor = |(name, dtype, shape): (String, String, Vec<usize>)| {
        let tensor = match dtype.as_str() {
            f32::DTYPE => array::<f32>(frame, &name, &shape)?.into(),
            f64::DTYPE => array::<f64>(frame, &name, &shape)?.into(),
            i64::DTYPE => array::<i64>(frame, &name, &shape)?.into(),
            i32::DTYPE => array::<i32>(frame, &name, &shape)?.into(),
            bool::DTYPE => array::<bool>(frame, &name, &shape)?.into(),
            other => return Err(format!("`{name}` is {other}")),
        };
        Ok((name, tensor))
    };
    frame.arrays().into_iter().map(tensor).collect()
}

fn array<T: Entry>(frame: &Frame, name: &str, shape: &[usize]) -> Result<ArrayD<T>, String> {
    ArrayD::from_shape_vec(IxDyn(shape), frame.array(name, shape)?).map_err(|e| format!("`{name}`: {e}"))
}

fn frame(header: Value) -> Frame {
    Frame::new(if let Value::Object(header) = header { header } else { Map::new() })
}

#[cfg(test)]
mod tests {
    use ndarray::{arr0, arr1, arr2};

    use super::*;
    use crate::worker::Limits;

    #[test]
    fn what_is_sent_arrives_to_the_last_bit() {
        let strange = f32::from_bits(0x7fc0_1234);
        let tensors: [Tensor; 6] = [
            arr2(&[[1.5_f32, -0.0], [strange, f32::MIN_POSITIVE / 2.0]]).into_dyn().into(),
            arr1(&[f64::EPSILON, f64::NEG_INFINITY]).into_dyn().into(),
            arr1(&[i64::MIN, 7]).into_dyn().into(),
            arr0(-5_i32).into_dyn().into(),
            arr1(&[true, false]).into_dyn().into(),
            ArrayD::<i64>::zeros(IxDyn(&[2, 0])).into(),
        ];
        let inputs: Vec<(String, Input<'_>)> =
            tensors.iter().enumerate().map(|(i, tensor)| (format!("input {i}"), tensor.into())).collect();
        let inputs: Vec<(&str, Input<'_>)> = inputs.iter().map(|(name, input)| (name.as_str(), *input)).collect();
        let arrived = |frame: Frame| Frame::read(&mut frame.encode().as_slice(), Limits::HOST).unwrap();
        let Run { id, inputs: read, outputs } = read_run(&arrived(run(3, &inputs, &["energy", "forces"]))).unwrap();
        assert_eq!((id, outputs), (3, vec!["energy".to_owned(), "forces".to_owned()]));
        let bytes = |tensor: &Tensor| answer(0, &Answer::Outputs(vec![tensor.clone()])).encode();
        for ((sent, input), (name, tensor)) in tensors.iter().zip(&inputs).zip(&read) {
            assert_eq!((input.0, bytes(sent)), (name.as_str(), bytes(tensor)));
        }
        let sent = answer(4, &Answer::Outputs(tensors[1..5].to_vec()));
        let Ok(Answer::Outputs(outputs)) = read_answer(&arrived(sent.clone()), 4, 4) else { panic!("an answer") };
        assert_eq!(outputs, tensors[1..5]);
        assert!(read_answer(&sent, 5, 4).is_err() && read_answer(&sent, 4, 3).is_err());
        let hello = |graph| Hello { name: "x".into(), device: Device::Cuda(1), deadline: Some(0.5), graph };
        let read = |graph| Hello::from_frame(&arrived(hello(graph).to_frame())).unwrap();
        assert_eq!(read(Some(vec![1, 2, 3])).graph.as_deref(), Some(&[1, 2, 3][..]));
        let Hello { name, device, deadline, graph } = read(None);
        assert_eq!((name.as_str(), device, deadline, graph), ("x", Device::Cuda(1), Some(0.5), None));
    }
}
