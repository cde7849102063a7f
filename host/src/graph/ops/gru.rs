//! Gated recurrent unit (Cho et al., arXiv:1406.1078), gates in the order update, reset, hidden.

use super::recurrent::{Cell, infer, outputs};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::{Builder, Value};

pub(super) const GRU: Operator = Operator { infer, derivative: Derivative::Through(through) };

fn through(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let reset_after = r.int("linear_before_reset", 0) != 0;
    outputs(r, 3, &[5], move |b, cell, x, states| step(b, cell, x, states[0], reset_after))
}

/// The reset gate acts on the state before its matrix product, or after it, as PyTorch has it.
fn step(b: &mut Builder, cell: &Cell, x: Value, hidden: Value, reset_after: bool) -> Vec<Value> {
    let each = [cell.hidden; 3];
    let mut given = b.matmul(x, cell.weight);
    let recurrence = b.split(cell.recurrence, 1, &each);
    let mut bias_of_state = None;
    if let Some([input, state]) = cell.biases {
        given = b.add(given, input);
        bias_of_state = Some(b.split(state, 0, &each));
    }
    let given = b.split(given, -1, &each);
    let kept = |b: &mut Builder, state: Value, gate: usize| {
        let product = b.matmul(state, recurrence[gate]);
        match &bias_of_state {
            Some(bias) => b.add(product, bias[gate]),
            None => product,
        }
    };
    let [update, reset] = [0, 1].map(|gate| {
        let kept = kept(b, hidden, gate);
        let sum = b.add(given[gate], kept);
        b.sigmoid(sum)
    });
    let remembered = if reset_after {
        let kept = kept(b, hidden, 2);
        b.mul(reset, kept)
    } else {
        let left = b.mul(reset, hidden);
        kept(b, left, 2)
    };
    let candidate = b.add(given[2], remembered);
    let candidate = b.tanh(candidate);
    // (1 - update) candidate + update hidden
    let difference = b.sub(hidden, candidate);
    let part = b.mul(update, difference);
    vec![b.add(candidate, part)]
}
