//! Long short-term memory (Hochreiter and Schmidhuber, Neural Comput. 9 (1997) 1735), gates in the order input, output,
//! forget, cell.

use super::recurrent::{Cell, infer, outputs};
use super::{Derivative, Operator};
use crate::graph::{Builder, Value};

pub(super) const LSTM: Operator = Operator { infer, derivative: Derivative::Through(|r| outputs(r, 4, &[5, 6], step)) };

fn step(b: &mut Builder, cell: &Cell, x: Value, states: &[Value]) -> Vec<Value> {
    let (hidden, memory) = (states[0], states[1]);
    let (given, kept) = (b.matmul(x, cell.weight), b.matmul(hidden, cell.recurrence));
    let mut gates = b.add(given, kept);
    for bias in cell.biases.into_iter().flatten() {
        gates = b.add(gates, bias);
    }
    let gates = b.split(gates, -1, &[cell.hidden; 4]);
    let [input, output, forget] = [gates[0], gates[1], gates[2]].map(|gate| b.sigmoid(gate));
    let candidate = b.tanh(gates[3]);
    let (kept, added) = (b.mul(forget, memory), b.mul(input, candidate));
    let memory = b.add(kept, added);
    let shown = b.tanh(memory);
    vec![b.mul(output, shown), memory]
}
