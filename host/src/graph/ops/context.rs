//! What shape rules see of a node, and the rules that many operators share.

use super::super::DataType;
use super::super::builder::{Node, ValueData};
use super::super::shape::{Dim, MAX_RANK, Symbols, TypeFacts};

/// The node whose outputs are to be inferred.
pub struct InferContext<'a> {
    pub(in super::super) node: &'a Node,
    pub(in super::super) values: &'a [ValueData],
    pub(in super::super) symbols: &'a mut Symbols,
    pub(in super::super) outputs: usize,
}

/// What is known of each output, or why the node cannot be.
pub(super) type Inferred = Result<Vec<TypeFacts>, String>;

impl InferContext<'_> {
    /// What is known of input `i`; nothing when it is absent.
    pub fn input(&self, i: usize) -> TypeFacts {
        let value = self.node.inputs.get(i).copied().flatten();
        value.map(|v| self.values[v.0 as usize].facts.clone()).unwrap_or_default()
    }

    /// Number of inputs, absent ones included.
    pub fn inputs(&self) -> usize {
        self.node.inputs.len()
    }

    /// Number of outputs that the node declares.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Element type of input `i`.
    pub fn data_type(&self, i: usize) -> Option<DataType> {
        self.input(i).data_type
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.node.attributes.get_int(name).unwrap_or(default)
    }

    /// A list of integers: the attribute, or the content of input `i`, whichever the opset has.
    pub fn ints(&self, name: &str, i: usize) -> Option<Vec<i64>> {
        match self.node.attributes.get_ints(name) {
            Some(list) => Some(list.to_vec()),
            None => self.input(i).known_content(),
        }
    }

    /// Whether input `i` or the attribute is given at all.
    pub fn has(&self, name: &str, i: usize) -> bool {
        self.node.attributes.get(name).is_some() || self.node.inputs.get(i).copied().flatten().is_some()
    }
}

/// An axis counted from the end if negative.
///
/// # Errors
/// When it lies outside the rank.
pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let shifted = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(shifted) {
        Ok(axis) if axis < rank => Ok(axis),
        _ => Err(format!("axis {axis} does not exist in rank {rank}")),
    }
}

/// One input, one output of the same type and shape.
pub(super) fn same_as_input(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    Ok(vec![TypeFacts { content: None, ..input }])
}

/// All inputs broadcast together; the type is that of the first input.
pub(super) fn broadcast(cx: InferContext) -> Inferred {
    let data_type = cx.data_type(0);
    broadcast_from(cx, 0, data_type)
}

/// All inputs broadcast to a boolean.
pub(super) fn broadcast_to_bool(cx: InferContext) -> Inferred {
    broadcast_from(cx, 0, Some(DataType::Bool))
}

pub(super) fn broadcast_from(cx: InferContext, first: usize, data_type: Option<DataType>) -> Inferred {
    let mut shape: Option<Vec<Dim>> = cx.input(first).shape;
    for i in first + 1..cx.inputs() {
        shape = match (shape, cx.input(i).shape) {
            (Some(a), Some(b)) => {
                let both = cx.symbols.broadcast_shapes(&a, &b);
                Some(both.ok_or_else(|| format!("shapes {a:?} and {b:?} cannot be broadcast"))?)
            }
            _ => None,
        };
    }
    Ok(vec![TypeFacts { data_type, shape, content: None }])
}

/// Element `i` of a vector that is broadcast if it has one element.
pub(super) fn spread<T>(content: &[T], i: usize) -> Option<&T> {
    if content.len() == 1 { content.first() } else { content.get(i) }
}

/// Number of elements of a vector that describes a shape, if it is known.
///
/// # Errors
/// When it is no possible rank: files can claim anything.
pub(super) fn length(vector: &TypeFacts) -> Result<Option<usize>, String> {
    let length = vector.shape.as_ref().and_then(|s| s.first().and_then(|d| d.known()));
    match length.map(usize::try_from) {
        None => Ok(None),
        Some(Ok(length)) if length <= MAX_RANK => Ok(Some(length)),
        _ => Err(format!("a shape of {} axes", length.unwrap_or_default())),
    }
}

/// Arithmetic on shapes: the rule of two integers applied to contents that are known.
pub(super) fn with_content(cx: InferContext, rule: fn(i64, i64) -> Option<i64>) -> Inferred {
    let (a, b) = (cx.input(0), cx.input(1));
    let mut out = broadcast(cx)?;
    if let (Some(a), Some(b)) = (a.known_content(), b.known_content()) {
        let n = a.len().max(b.len());
        let content: Option<Vec<Dim>> =
            (0..n).map(|i| rule(*spread(&a, i)?, *spread(&b, i)?).map(Dim::Known)).collect();
        if let Some(first) = out.first_mut() {
            first.content = content;
        }
    }
    Ok(out)
}
