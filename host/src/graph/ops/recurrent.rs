//! What `LSTM` and `GRU` share: a step for each element of the sequence, written out.

use super::context::{InferContext, Inferred};
use super::{GraphError, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Builder, Dim, Value};

/// The longest sequence that is written out.
const MAX_STEPS: i64 = 64;

/// Outputs: the sequence of states, and the last state, twice for `LSTM` (state and cell).
pub(super) fn infer(cx: InferContext) -> Inferred {
    let (x, weight) = (cx.input(0), cx.input(2));
    let unknown = TypeFacts { data_type: x.data_type, ..TypeFacts::default() };
    let (Some(x), Some(weight), 0) = (x.shape, weight.shape, cx.int("layout", 0)) else {
        return Ok(vec![unknown; 3]);
    };
    let (&[steps, rows, _], &[directions, _, hidden]) = (&x[..], &weight[..]) else {
        return Err("input or recurrence weights have not three axes".into());
    };
    let all = TypeFacts { shape: Some(vec![steps, directions, rows, hidden]), ..unknown.clone() };
    let last = TypeFacts { shape: Some(vec![directions, rows, hidden]), ..unknown };
    Ok(vec![all, last.clone(), last])
}

/// The parameters of one direction.
pub(super) struct Cell {
    /// Input weights, turned over: `[input, gates * hidden]`.
    pub weight: Value,
    /// Recurrence weights, turned over: `[hidden, gates * hidden]`.
    pub recurrence: Value,
    /// Biases of input and recurrence, `[gates * hidden]` each.
    pub biases: Option<[Value; 2]>,
    /// Extent of the state.
    pub hidden: i64,
}

/// All outputs of the operator, whose states start at the inputs `initial`, or at zero. A step goes from an element of the
/// sequence and the states to the new states, of which the first is given out.
pub(super) fn outputs(
    r: &mut Reverse,
    gates: i64,
    initial: &[usize],
    step: impl Fn(&mut Builder, &Cell, Value, &[Value]) -> Vec<Value>,
) -> Result<Vec<Value>, GraphError> {
    let (x, weight, recurrence) = (r.input(0)?, r.input(1)?, r.input(2)?);
    refuse_variants(r)?;
    let (steps, directions, hidden) = (r.shape(x)?[0], r.shape(recurrence)?[0], r.shape(recurrence)?[2]);
    let (Some(steps), Some(directions), Some(hidden)) = (steps.known(), directions.known(), hidden.known()) else {
        return Err(r.no_derivative("over a sequence whose length is only known when the graph runs"));
    };
    if steps > MAX_STEPS {
        return Err(r.no_derivative(&format!("over more than {MAX_STEPS} steps")));
    }
    let (bias, given) = (r.optional(3), initial.iter().map(|i| r.optional(*i)).collect::<Vec<_>>());
    let backwards = r.node.attributes.get_string("direction") == Some("reverse");
    let b = &mut *r.builder;
    let elements: Vec<Value> = (0..steps).map(|i| part(b, x, i)).collect();
    let mut sequences = Vec::new();
    let mut last = vec![Vec::new(); initial.len()];
    for direction in 0..directions {
        let [weight, recurrence] = [weight, recurrence].map(|w| {
            let own = part(b, w, direction);
            b.transpose(own, &[1, 0])
        });
        let biases = bias.map(|bias| {
            let own = part(b, bias, direction);
            let halves = b.split(own, 0, &[gates * hidden; 2]);
            [halves[0], halves[1]]
        });
        let cell = Cell { weight, recurrence, biases, hidden };
        let start = |b: &mut Builder, given: &Option<Value>| match given {
            Some(state) => part(b, *state, direction),
            None => zeros(b, x, hidden),
        };
        let mut states: Vec<Value> = given.iter().map(|given| start(b, given)).collect();
        let turned = backwards || direction == 1;
        let mut order: Vec<usize> = (0..elements.len()).collect();
        if turned {
            order.reverse();
        }
        let mut sequence = vec![None; elements.len()];
        for i in order {
            states = step(b, &cell, elements[i], &states);
            sequence[i] = states.first().copied();
        }
        sequences.push(sequence.into_iter().flatten().collect::<Vec<_>>());
        last.iter_mut().zip(states).for_each(|(list, state)| list.push(state));
    }
    let mut rows = Vec::new();
    for i in 0..elements.len() {
        let both: Vec<Value> = sequences.iter().map(|sequence| sequence[i]).collect();
        let both = stacked(b, &both);
        rows.push(both);
    }
    let mut outputs = vec![stacked(b, &rows)];
    for states in last {
        outputs.push(stacked(b, &states));
    }
    Ok(outputs)
}

fn refuse_variants(r: &Reverse) -> Result<(), GraphError> {
    let has = |name: &str| r.node.attributes.get(name).is_some();
    for name in ["activations", "clip"] {
        if has(name) {
            return Err(r.no_derivative(&format!("with `{name}`")));
        }
    }
    if r.int("layout", 0) != 0 || r.int("input_forget", 0) != 0 {
        return Err(r.no_derivative("in this layout, or with coupled gates"));
    }
    if r.optional(4).is_some() {
        return Err(r.no_derivative("with sequence lengths"));
    }
    if r.optional(7).is_some() {
        return Err(r.no_derivative("with peepholes"));
    }
    Ok(())
}

/// Slice `i` of the first axis.
fn part(b: &mut Builder, x: Value, i: i64) -> Value {
    let slice = b.slice(x, 0, i, i + 1);
    b.squeeze(slice, &[0])
}

/// Tensors along a new first axis.
fn stacked(b: &mut Builder, parts: &[Value]) -> Value {
    let wide: Vec<Value> = parts.iter().map(|part| b.unsqueeze(*part, &[0])).collect();
    b.concat(&wide, 0)
}

/// The state that a batch of `x` starts from.
fn zeros(b: &mut Builder, x: Value, hidden: i64) -> Value {
    let shape = b.shape_of(x);
    let (rows, hidden_extent) = (b.slice(shape, 0, 1, 2), b.ints(&[hidden]));
    let shape_of_state = b.concat(&[rows, hidden_extent], 0);
    let like = b.scalar_like(x, 0.0);
    let state = b.expand_to(like, shape_of_state);
    match b.shape(x).and_then(|shape| shape.get(1).copied()) {
        Some(rows) => b.assume_shape(state, &[rows, Dim::Known(hidden)]),
        None => state,
    }
}
