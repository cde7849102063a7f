//! Sequences of tensors whose elements are known while the file is read: exporters build them only to join them again.
//!
//! The nodes that make sequences are kept for readers that cannot be resolved; what nobody reads is pruned.

use super::super::onnx::NodeProto;
use super::super::{Attributes, GraphError};
use super::scope::Scope;
use super::{Import, Value};

impl Import {
    /// Whether the node made tensors out of known sequences, and needs not be kept.
    pub(super) fn sequence(&mut self, node: &NodeProto) -> Result<bool, GraphError> {
        let op = node.op_type.as_deref().unwrap_or_default();
        let Some(output) = node.output.first().cloned() else { return Ok(false) };
        match op {
            "SequenceConstruct" => {
                let elements = node.input.iter().map(|name| self.builder.find(name)).collect::<Option<Vec<_>>>();
                self.learn(&output, elements);
            }
            "SequenceEmpty" => self.learn(&output, Some(Vec::new())),
            "SequenceInsert" => self.learn(&output, self.inserted(node)),
            "SplitToSequence" => {
                let elements = self.split(node);
                self.learn(&output, elements);
            }
            "Identity" => self.learn(&output, self.elements(node)),
            "SequenceAt" => return Ok(self.element(node).map(|element| self.bind(&output, element)).is_some()),
            "SequenceLength" => {
                let Some(length) = self.elements(node).map(|elements| elements.len()) else { return Ok(false) };
                let length = self.builder.constant(ndarray::arr0(length as i64));
                self.bind(&output, length);
                return Ok(true);
            }
            "ConcatFromSequence" => return Ok(self.joined(node).map(|joined| self.bind(&output, joined)).is_some()),
            "SequenceMap" => self.mapped(node)?,
            _ => {}
        }
        Ok(false)
    }

    fn learn(&mut self, name: &str, elements: Option<Vec<Value>>) {
        if let Some(elements) = elements.filter(|elements| elements.len() <= MAX_PIECES) {
            self.sequences.insert(name.to_owned(), elements);
        }
    }

    fn elements(&self, node: &NodeProto) -> Option<Vec<Value>> {
        self.sequences.get(node.input.first()?).cloned()
    }

    /// The whole number at input `i`.
    fn number(&self, node: &NodeProto, i: usize) -> Option<i64> {
        let value = self.builder.find(node.input.get(i)?)?;
        self.builder.facts(value).known_content()?.first().copied()
    }

    fn element(&self, node: &NodeProto) -> Option<Value> {
        let elements = self.elements(node)?;
        let at = self.number(node, 1)?;
        let at = if at < 0 { at + elements.len() as i64 } else { at };
        elements.get(usize::try_from(at).ok()?).copied()
    }

    fn inserted(&self, node: &NodeProto) -> Option<Vec<Value>> {
        let mut elements = self.elements(node)?;
        let added = self.builder.find(node.input.get(1)?)?;
        let at = match node.input.get(2).filter(|name| !name.is_empty()) {
            Some(_) => self.number(node, 2)?,
            None => elements.len() as i64,
        };
        let at = usize::try_from(if at < 0 { at + elements.len() as i64 } else { at }).ok()?;
        (at <= elements.len()).then(|| elements.insert(at, added))?;
        Some(elements)
    }

    /// Pieces of stated extents, or slices of extent 1.
    fn split(&mut self, node: &NodeProto) -> Option<Vec<Value>> {
        let x = self.builder.find(node.input.first()?)?;
        let int = |name: &str| node.attribute.iter().find(|a| a.name.as_deref() == Some(name)).and_then(|a| a.i);
        let shape = self.builder.shape(x)?;
        let axis = int("axis").unwrap_or(0);
        let at = usize::try_from(if axis < 0 { axis + shape.len() as i64 } else { axis }).ok()?;
        let extent = shape.get(at)?.known()?;
        let given = node.input.get(1).filter(|name| !name.is_empty());
        let pieces = match given.and_then(|name| self.builder.find(name)) {
            Some(split) => {
                let content = self.builder.facts(split).known_content()?;
                match (self.builder.facts(split).rank()?, content.as_slice()) {
                    (0, &[piece]) if piece > 0 => {
                        (0..extent).step_by(usize::try_from(piece).ok()?).map(|from| piece.min(extent - from)).collect()
                    }
                    (1, pieces) => pieces.to_vec(),
                    _ => return None,
                }
            }
            None if given.is_none() => vec![1; usize::try_from(extent).ok().filter(|n| *n <= MAX_PIECES)?],
            None => return None,
        };
        if pieces.len() > MAX_PIECES {
            return None;
        }
        let parts = self.builder.split(x, at as i64, &pieces);
        let squeezed = given.is_none() && int("keepdims") == Some(0);
        Some(if squeezed {
            parts.into_iter().map(|part| self.builder.squeeze(part, &[at as i64])).collect()
        } else {
            parts
        })
    }

    fn joined(&mut self, node: &NodeProto) -> Option<Value> {
        let elements = self.elements(node).filter(|elements| !elements.is_empty())?;
        let int = |name: &str| node.attribute.iter().find(|a| a.name.as_deref() == Some(name)).and_then(|a| a.i);
        let axis = int("axis")?;
        let parts = match int("new_axis") {
            Some(1) => elements.into_iter().map(|element| self.builder.unsqueeze(element, &[axis])).collect(),
            _ => elements,
        };
        Some(self.builder.node("Concat", &parts, Attributes::none().int("axis", axis)))
    }

    /// The body of a `SequenceMap` once for each element.
    fn mapped(&mut self, node: &NodeProto) -> Result<(), GraphError> {
        let body = node.attribute.iter().find(|a| a.name.as_deref() == Some("body")).and_then(|a| a.g.as_ref());
        let (Some(body), Some(first)) = (body.cloned(), self.elements(node)) else { return Ok(()) };
        if first.len() > MAX_PIECES || self.depth > 0 {
            return Ok(());
        }
        let mut results: Vec<Vec<Value>> = vec![Vec::new(); node.output.len()];
        for i in 0..first.len() {
            let mut scope = Scope::default();
            for (name, parameter) in node.input.iter().zip(&body.input) {
                let given = match self.sequences.get(name) {
                    Some(elements) => elements.get(i).map(|element| self.builder.name(*element).to_owned()),
                    None => Some(name.clone()),
                };
                let Some(given) = given else { return Ok(()) };
                scope.insert(parameter.name.as_deref().unwrap_or_default(), given);
            }
            let prefix = self.builder.unique("SequenceMap");
            self.depth += 1;
            let made = self.enter(&body, &prefix, scope)?;
            self.depth -= 1;
            for (result, name) in results.iter_mut().zip(made) {
                result.extend(self.builder.find(&name));
            }
        }
        for (name, elements) in node.output.iter().zip(results).filter(|(_, elements)| elements.len() == first.len()) {
            self.learn(name, Some(elements));
        }
        Ok(())
    }
}

/// The longest sequence that is followed.
const MAX_PIECES: usize = 256;
