//! Elements written, added, multiplied or compared into a tensor, one index per element along an axis.

use super::context::{InferContext, Inferred, same_as_input};
use super::scatter::{Places, reverse};
use super::{Derivative, Operator};

pub(super) const SCATTER_ELEMENTS: Operator = Operator {
    infer,
    derivative: Derivative::Rule(|r| {
        let axis = r.int("axis", 0);
        reverse(r, Places::Elements(axis))
    }),
};

/// Data, indices and updates have one rank.
fn infer(cx: InferContext) -> Inferred {
    let rank = |i: usize| cx.input(i).shape.map(|shape| shape.len());
    let ranks: Vec<usize> = (0..3).filter_map(rank).collect();
    match ranks.windows(2).all(|pair| pair[0] == pair[1]) {
        true => same_as_input(cx),
        false => Err(format!("data, indices and updates have the ranks {ranks:?}")),
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{Attributes, Builder, DataType};

    #[test]
    fn updates_of_another_rank_are_refused() {
        let mut b = Builder::new();
        let [n, e] = ["n", "e"].map(|name| b.symbol(name));
        let data = b.input("data", DataType::F32, &[n]);
        let indices = b.input("indices", DataType::I64, &[e]);
        let updates = b.input("updates", DataType::F32, &[e, crate::graph::Dim::Known(1)]);
        let y = b.node("ScatterElements", &[data, indices, updates], Attributes::none());
        b.output("y", y);
        let said = b.finish("x", &[]).unwrap_err().to_string();
        assert!(said.contains("data, indices and updates have the ranks [1, 1, 2]"), "{said}");
    }
}
