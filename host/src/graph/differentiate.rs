//! Reverse-mode differentiation, ONNX to ONNX.
//!
//! Nodes are visited in reverse order of execution; each operator's rule adds the nodes of its vector-Jacobian product
//! (Griewank and Walther, Evaluating Derivatives, 2008, chapter 3). The result is plain ONNX: no runtime support is needed.

use std::collections::HashMap;

use super::builder::{Builder, Node, Value};
use super::{Dim, GraphError, ops};

/// What a reverse rule sees of the node that it differentiates.
pub struct Reverse<'a> {
    /// The graph, to which the rule adds nodes.
    pub builder: &'a mut Builder,
    /// The node.
    pub node: &'a Node,
    /// Derivative of the result by each output of the node; `None` where nothing depends on it.
    pub grads: &'a [Option<Value>],
    /// For each input, whether its derivative is asked for.
    pub wants: &'a [bool],
}

/// Derivative by each input of a node; `None` where it is not asked for or identically zero.
pub type InputGrads = Vec<Option<Value>>;

impl Reverse<'_> {
    /// Input `i`.
    ///
    /// # Errors
    /// [`GraphError::Node`] when it is absent.
    pub fn input(&self, i: usize) -> Result<Value, GraphError> {
        self.node.inputs.get(i).copied().flatten().ok_or_else(|| self.fail(format!("input {i} is missing")))
    }

    /// Output `i`.
    ///
    /// # Errors
    /// [`GraphError::Node`] when it is absent.
    pub fn output(&self, i: usize) -> Result<Value, GraphError> {
        self.node.outputs.get(i).copied().flatten().ok_or_else(|| self.fail(format!("output {i} is missing")))
    }

    /// Derivative by output 0.
    ///
    /// # Errors
    /// [`GraphError::Node`] when only other outputs matter, which rules of one-output operators never see.
    pub fn grad(&self) -> Result<Value, GraphError> {
        self.grads.first().copied().flatten().ok_or_else(|| self.fail("no derivative by output 0".into()))
    }

    /// Whether the derivative by input `i` is asked for.
    pub fn wants(&self, i: usize) -> bool {
        self.wants.get(i).copied().unwrap_or(false)
    }

    /// Input `i`, if it is given.
    pub fn optional(&self, i: usize) -> Option<Value> {
        self.node.inputs.get(i).copied().flatten()
    }

    /// An integer attribute.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.node.attributes.get_int(name).unwrap_or(default)
    }

    /// A float attribute.
    pub fn float(&self, name: &str, default: f32) -> f64 {
        f64::from(self.node.attributes.get_float(name).unwrap_or(default))
    }

    /// Shape of a value.
    ///
    /// # Errors
    /// [`GraphError::Node`] when not even the rank is known; if an operator without a shape rule is the cause, it is named.
    pub fn shape(&self, value: Value) -> Result<Vec<Dim>, GraphError> {
        let unknown = || {
            let cause = self
                .builder
                .without_shape_rule(value)
                .map(|node| format!(": what {} (node `{}`) makes has no known shape", node.qualified_op(), node.name));
            self.fail(format!("the rank of `{}` is unknown{}", self.builder.name(value), cause.unwrap_or_default()))
        };
        self.builder.shape(value).ok_or_else(unknown)
    }

    /// Rank of a value.
    ///
    /// # Errors
    /// As [`Reverse::shape`].
    pub fn rank(&self, value: Value) -> Result<usize, GraphError> {
        Ok(self.shape(value)?.len())
    }

    /// An error that says that the operator, in the case that `detail` names, has no rule.
    pub fn no_derivative(&self, detail: &str) -> GraphError {
        let op = format!("{} {detail}", self.node.qualified_op());
        GraphError::NoDerivative { node: self.node.name.clone(), op: op.trim_end().to_owned() }
    }

    /// An error that names the node.
    pub fn fail(&self, reason: String) -> GraphError {
        GraphError::Node { node: self.node.name.clone(), op: self.node.op.clone(), reason }
    }
}

impl Builder {
    /// Adds the derivatives of the sum of `output` by each of `wrt`, each of its value's shape.
    ///
    /// # Errors
    /// [`GraphError::NoDerivative`] when an operator between them has no rule; any mistake made while building.
    pub fn differentiate(&mut self, output: Value, wrt: &[Value]) -> Result<Vec<Value>, GraphError> {
        let seed = self.filled_like(output, 1.0);
        self.differentiate_from(&[(output, seed)], wrt)
    }

    /// Adds the derivatives by each of `wrt` of the sum over `seeds` of `output * seed`.
    ///
    /// # Errors
    /// As [`Builder::differentiate`].
    pub fn differentiate_from(&mut self, seeds: &[(Value, Value)], wrt: &[Value]) -> Result<Vec<Value>, GraphError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        self.reverse_from(0, seeds, wrt)
    }

    /// As [`Builder::differentiate_from`], through the nodes from `first` on.
    pub(super) fn reverse_from(
        &mut self,
        first: usize,
        seeds: &[(Value, Value)],
        wrt: &[Value],
    ) -> Result<Vec<Value>, GraphError> {
        let active = self.depends_on(first, wrt);
        let mut totals: HashMap<Value, Value> = HashMap::new();
        let mut pending: Vec<Vec<Value>> = vec![Vec::new(); self.values.len()];
        for (output, seed) in seeds {
            pending[output.0 as usize].push(*seed);
        }
        for index in (first..self.nodes.len()).rev() {
            let node = self.nodes[index].clone();
            let reached = |v: &Option<Value>| v.is_some_and(|v| !pending[v.0 as usize].is_empty());
            let wants: Vec<bool> = node.inputs.iter().map(|v| v.is_some_and(|v| active[v.0 as usize])).collect();
            let captures = self.captured(&node).iter().any(|v| active[v.0 as usize]);
            if !((wants.contains(&true) || captures) && node.outputs.iter().any(reached)) {
                continue;
            }
            let mut grads = Vec::with_capacity(node.outputs.len());
            for output in &node.outputs {
                let grad = output.and_then(|v| self.accumulate(std::mem::take(&mut pending[v.0 as usize])));
                if let (Some(output), Some(grad)) = (output, grad) {
                    totals.insert(*output, grad);
                }
                grads.push(grad);
            }
            let reverse = Reverse { builder: self, node: &node, grads: &grads, wants: &wants };
            let contributions = ops::reverse(reverse)?;
            for ((input, wanted), grad) in node.inputs.iter().zip(&wants).zip(contributions) {
                if let (Some(input), true, Some(grad)) = (input, wanted, grad) {
                    pending[input.0 as usize].push(grad);
                }
            }
        }
        let mut results = Vec::with_capacity(wrt.len());
        for value in wrt {
            let total = totals.get(value).copied();
            let total = total.or_else(|| self.accumulate(pending[value.0 as usize].clone()));
            let total = total.unwrap_or_else(|| self.zeros_like(*value));
            results.push(self.assume_shape_of(total, *value));
        }
        self.error.clone().map_or(Ok(results), Err)
    }

    /// Which values change when one of `wrt` does.
    fn depends_on(&self, first: usize, wrt: &[Value]) -> Vec<bool> {
        let mut active = vec![false; self.values.len()];
        for value in wrt {
            active[value.0 as usize] = true;
        }
        for node in &self.nodes[first..] {
            let mut read = node.inputs.iter().flatten().copied().chain(self.captured(node));
            if ops::carries_derivatives(node) && read.any(|v| active[v.0 as usize]) {
                for output in node.outputs.iter().flatten() {
                    let float = self.facts(*output).data_type.is_none_or(|t| t.is_float());
                    active[output.0 as usize] |= float && !self.stopped.contains(output);
                }
            }
        }
        active
    }

    /// All values that `results` are made from, and themselves.
    fn made_from(&self, results: impl Iterator<Item = Value>) -> Vec<bool> {
        let mut needed = vec![false; self.values.len()];
        results.for_each(|value| needed[value.0 as usize] = true);
        for node in self.nodes.iter().rev() {
            if node.outputs.iter().flatten().any(|v| needed[v.0 as usize]) {
                let read = node.inputs.iter().flatten().copied().chain(self.captured(node));
                read.for_each(|v| needed[v.0 as usize] = true);
            }
        }
        needed
    }

    /// The first node on the way to a value whose outputs have no known rank because its operator has no shape rule.
    fn without_shape_rule(&self, value: Value) -> Option<&Node> {
        let needed = self.made_from(std::iter::once(value));
        let blind = |node: &&Node| {
            let mut outputs = node.outputs.iter().flatten();
            !ops::is_known(&node.qualified_op())
                && outputs.any(|v| needed[v.0 as usize] && self.facts(*v).rank().is_none())
        };
        self.nodes.iter().find(blind)
    }

    fn accumulate(&mut self, contributions: Vec<Value>) -> Option<Value> {
        match contributions.as_slice() {
            [] => None,
            [one] => Some(*one),
            [first, second] => Some(self.add(*first, *second)),
            many => Some(self.node("Sum", many, super::Attributes::none())),
        }
    }
}
