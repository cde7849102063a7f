//! Symbolic shapes: what is known of a tensor before it exists.

use std::collections::HashMap;

use super::{DataType, Tensor};

/// Extent of an axis: a number, or a symbol that stands for the same number wherever it appears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A known extent.
    Known(i64),
    /// An extent known only when the graph runs.
    Symbol(u32),
}

impl Dim {
    /// The extent, if it is known.
    pub fn known(self) -> Option<i64> {
        if let Self::Known(n) = self { Some(n) } else { None }
    }
}

/// The most axes that a tensor may have, and the most numbers of a vector that are followed. Far above any real model.
pub(super) const MAX_RANK: usize = 64;

/// The product of extents, if it is one extent.
pub(super) fn product(dims: &[Dim]) -> Option<Dim> {
    let number = dims.iter().filter_map(|d| d.known()).try_fold(1i64, i64::checked_mul)?;
    let mut symbols = dims.iter().filter(|d| d.known().is_none());
    match (symbols.next(), symbols.next()) {
        (None, _) => Some(Dim::Known(number)),
        (Some(symbol), None) if number == 1 => Some(*symbol),
        _ => None,
    }
}

/// Type, shape and content of a value, as far as they are known: `None` means unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypeFacts {
    /// Element type.
    pub data_type: Option<DataType>,
    /// Extents; `None` when even the rank is unknown.
    pub shape: Option<Vec<Dim>>,
    /// The numbers themselves, for integers of rank 0 or 1 that describe shapes, and answers (0 or 1) about them.
    pub content: Option<Vec<Dim>>,
}

impl TypeFacts {
    /// A value of a known type and shape.
    pub fn new(data_type: DataType, shape: Vec<Dim>) -> Self {
        Self { data_type: Some(data_type), shape: Some(shape), content: None }
    }

    /// The type of a constant.
    pub fn of(tensor: &Tensor) -> Self {
        let shape: Vec<Dim> = tensor.shape().iter().map(|n| Dim::Known(*n as i64)).collect();
        let content = match tensor {
            Tensor::I64(a) if a.ndim() <= 1 && a.len() <= MAX_RANK => Some(a.iter().map(|n| Dim::Known(*n)).collect()),
            Tensor::I32(a) if a.ndim() <= 1 && a.len() <= MAX_RANK => {
                Some(a.iter().map(|n| Dim::Known(i64::from(*n))).collect())
            }
            Tensor::Bool(a) if a.ndim() <= 1 && a.len() <= MAX_RANK => {
                Some(a.iter().map(|flag| Dim::Known(i64::from(*flag))).collect())
            }
            _ => None,
        };
        Self { data_type: Some(tensor.data_type()), shape: Some(shape), content }
    }

    /// Number of axes, if known.
    pub fn rank(&self) -> Option<usize> {
        self.shape.as_ref().map(Vec::len)
    }

    /// The content as plain numbers, if all are known.
    pub fn known_content(&self) -> Option<Vec<i64>> {
        self.content.as_ref()?.iter().map(|d| d.known()).collect()
    }
}

/// The symbols of one graph.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    names: Vec<Option<String>>,
    by_name: HashMap<String, u32>,
}

impl Symbols {
    /// A symbol that equals no other.
    pub fn fresh(&mut self) -> Dim {
        self.names.push(None);
        Dim::Symbol(self.names.len() as u32 - 1)
    }

    /// The symbol of a name: the same for the same name.
    pub fn named(&mut self, name: &str) -> Dim {
        if let Some(index) = self.by_name.get(name) {
            return Dim::Symbol(*index);
        }
        let index = self.names.len() as u32;
        self.names.push(Some(name.to_owned()));
        self.by_name.insert(name.to_owned(), index);
        Dim::Symbol(index)
    }

    /// The name that a symbol was given.
    pub fn name(&self, dim: Dim) -> Option<&str> {
        match dim {
            Dim::Symbol(i) => self.names.get(i as usize)?.as_deref(),
            Dim::Known(_) => None,
        }
    }

    /// Extent of two broadcast axes; `None` when they cannot be broadcast.
    pub fn broadcast(&mut self, a: Dim, b: Dim) -> Option<Dim> {
        match (a, b) {
            _ if a == b => Some(a),
            (Dim::Known(1), other) | (other, Dim::Known(1)) => Some(other),
            (Dim::Known(_), Dim::Known(_)) => None,
            (known @ Dim::Known(_), _) | (_, known @ Dim::Known(_)) => Some(known),
            _ => Some(self.fresh()),
        }
    }

    /// Shape of two broadcast shapes (numpy's rule); `None` when they cannot be broadcast.
    pub fn broadcast_shapes(&mut self, a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
        let rank = a.len().max(b.len());
        let at = |s: &[Dim], i: usize| {
            (i + s.len()).checked_sub(rank).and_then(|j| s.get(j)).copied().unwrap_or(Dim::Known(1))
        };
        (0..rank).map(|i| self.broadcast(at(a, i), at(b, i))).collect()
    }
}
