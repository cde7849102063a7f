//! Scatters that reduce, for element types whose kernels are missing or wrong.
//!
//! ScatterND with a reduction fails for all but float32 and half-precision floats. ScatterElements takes int64 for float64
//! and int32 for float32, bit for bit. Both become a ScatterElements of float64: for float64 the same sum in another order,
//! for int32 the same number, for int64 the same number as long as none in between is beyond 2^53.

use super::super::builder::{Builder, Node, Value};
use super::super::{Attributes, DataType};
use super::input;

pub(super) const OPERATORS: &[&str] = &["ScatterND", "ScatterElements"];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let reduction = node.attributes.get_string("reduction").filter(|how| *how != "none")?;
    let (data, indices, updates) = (input(node, 0)?, input(node, 1)?, input(node, 2)?);
    let original = super::data_type(b, data)?;
    let wanted = match original {
        DataType::I64 | DataType::I32 => true,
        DataType::F64 => node.op == "ScatterND",
        _ => false,
    };
    if !wanted {
        return None;
    }
    let widen = |b: &mut Builder, x| if original == DataType::F64 { x } else { b.cast(x, DataType::F64) };
    let (wide, updates) = (widen(b, data), widen(b, updates));
    let result = if node.op == "ScatterElements" {
        b.node("ScatterElements", &[wide, indices, updates], node.attributes.clone())
    } else {
        by_rows(b, [wide, indices, updates], reduction)?
    };
    Some(if original == DataType::F64 { result } else { b.cast(result, original) })
}

/// ScatterND as a ScatterElements along the first axis of a matrix, whose rows are what an index stands for.
fn by_rows(b: &mut Builder, [data, indices, updates]: [Value; 3], reduction: &str) -> Option<Value> {
    let rank = b.facts(data).rank()?;
    let depth = usize::try_from(b.shape(indices)?.last()?.known()?).ok().filter(|depth| (1..=rank).contains(depth))?;
    let attributes = Attributes::none().int("axis", 0).string("reduction", reduction);
    if rank == 1 && b.facts(indices).rank() == Some(2) {
        let positions = b.squeeze(indices, &[-1]);
        return Some(b.node("ScatterElements", &[data, positions, updates], attributes));
    }
    let shape = b.shape_of(data);
    let rows = product_of(b, shape, 0, depth as i64);
    let columns = product_of(b, shape, depth as i64, rank as i64);
    let positions = row_numbers(b, indices, shape, depth as i64);
    let lead = b.shape_of(positions);
    let count = b.node("ReduceProd", &[lead], Attributes::none().int("keepdims", 1));
    let one = b.ints(&[1]);
    let column = b.concat(&[count, one], 0);
    let each = b.concat(&[count, columns], 0);
    let whole = b.concat(&[rows, columns], 0);
    let positions = b.reshape_exactly(positions, column);
    let positions = b.expand_to(positions, each);
    let (updates, matrix) = (b.reshape_exactly(updates, each), b.reshape_exactly(data, whole));
    let result = b.node("ScatterElements", &[matrix, positions, updates], attributes);
    Some(b.reshape_exactly(result, shape))
}

/// The number of elements of the axes `from..to`, as a vector of one number.
fn product_of(b: &mut Builder, shape: Value, from: i64, to: i64) -> Value {
    let part = b.slice(shape, 0, from, to);
    b.node("ReduceProd", &[part], Attributes::none().int("keepdims", 1))
}

/// Each index of `depth` numbers as the number of a row.
fn row_numbers(b: &mut Builder, indices: Value, shape: Value, depth: i64) -> Value {
    let zero = b.ints(&[0]);
    let mut rows: Option<Value> = None;
    for axis in 0..depth {
        let along = b.slice(indices, -1, axis, axis + 1);
        let extent = b.slice(shape, 0, axis, axis + 1);
        let negative = b.less(along, zero);
        let from_front = b.add(along, extent);
        let along = b.where_(negative, from_front, along);
        rows = Some(match rows {
            Some(before) => {
                let scaled = b.mul(before, extent);
                b.add(scaled, along)
            }
            None => along,
        });
    }
    let rows = rows.unwrap_or(indices);
    b.squeeze(rows, &[-1])
}
