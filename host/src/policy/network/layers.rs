//! A network under construction, and what its layers are made of: linear maps, layer norms, the feed-forward block.

use std::ops::Range;

use ndarray::Array2;

use super::names::Names;
use crate::graph::onnx::ModelProto;
use crate::graph::{Attributes, Builder, DataType, Dim, GraphError, Tensor, Value};
use crate::policy::{Hyperparameters, parameter_specs};

/// Written into every graph, so that graphs of another form are never taken for ours.
pub(super) const FORM: (&str, &str) = ("temper.policy_graph", "1");
/// Inside the root of layer norm (spec section 4.3).
const NORM_EPSILON: f64 = 1e-5;

/// A network under construction: the graph and its parameters.
pub(super) struct Network<'h> {
    pub b: Builder,
    pub hyper: &'h Hyperparameters,
    pub names: Names,
    /// Parameters in the order of `parameter_specs`.
    pub parameters: Vec<(String, Value)>,
}

impl<'h> Network<'h> {
    /// An empty graph whose inputs so far are the parameters.
    pub fn new(hyper: &'h Hyperparameters) -> Self {
        let mut b = Builder::new();
        let mut parameters = Vec::new();
        for spec in parameter_specs(hyper) {
            let shape: Vec<Dim> = spec.shape.iter().map(|n| Dim::Known(*n as i64)).collect();
            let value = b.input(&spec.name, DataType::F32, &shape);
            parameters.push((spec.name, value));
        }
        Self { b, hyper, names: Names::new(hyper), parameters }
    }

    /// A parameter by the reference's name. One that does not exist is an error when the graph is finished.
    pub fn parameter(&mut self, name: &str) -> Value {
        self.b.named(name)
    }

    /// Weight and bias of a linear layer.
    pub fn weights(&mut self, module: &str) -> (Value, Value) {
        (self.parameter(&format!("{module}/w")), self.parameter(&format!("{module}/b")))
    }

    /// `x w + b`; x is (rows, in).
    pub fn linear(&mut self, module: &str, x: Value) -> Value {
        let (w, bias) = self.weights(module);
        let product = self.b.matmul(x, w);
        self.b.add(product, bias)
    }

    /// Some columns of `x w + b`.
    pub fn linear_columns(&mut self, module: &str, x: Value, columns: Range<usize>) -> Value {
        let (w, bias) = self.weights(module);
        let (from, to) = (columns.start as i64, columns.end as i64);
        let (w, bias) = (self.b.slice(w, 1, from, to), self.b.slice(bias, 0, from, to));
        let product = self.b.matmul(x, w);
        self.b.add(product, bias)
    }

    /// `x w + b` for several parts of a module side by side: one product.
    pub fn linears(&mut self, module: &str, parts: &[&str], x: Value) -> Value {
        let pairs: Vec<_> = parts.iter().map(|part| self.weights(&format!("{module}/{part}"))).collect();
        let (weights, biases): (Vec<Value>, Vec<Value>) = pairs.into_iter().unzip();
        let (w, bias) = (self.b.concat(&weights, 1), self.b.concat(&biases, 0));
        let product = self.b.matmul(x, w);
        self.b.add(product, bias)
    }

    /// Layer norm over the last axis of (rows, D). Means are products with a column of 1/D: faster than reductions, and so
    /// are their derivatives.
    pub fn norm(&mut self, module: &str, x: Value) -> Value {
        let width = self.hyper.model_size;
        let (scale, offset) = (self.parameter(&format!("{module}/scale")), self.parameter(&format!("{module}/offset")));
        let b = &mut self.b;
        let (scale, offset) = (b.cast_like(scale, x), b.cast_like(offset, x));
        let average = average_of(b, width, x);
        let mean = b.matmul(x, average);
        let centred = b.sub(x, mean);
        let square = b.mul(centred, centred);
        let variance = b.matmul(square, average);
        let variance = b.add_scalar(variance, NORM_EPSILON);
        let deviation = b.sqrt(variance);
        let normal = b.div(centred, deviation);
        let scaled = b.mul(normal, scale);
        b.add(scaled, offset)
    }

    /// The norm behind the last layer; `h` is (rows, D), float32 or float64.
    pub fn final_norm(&mut self, h: Value) -> Value {
        let name = self.names.final_norm.clone();
        self.norm(&name, h)
    }

    /// Two linear layers around the tanh form of gelu.
    pub fn feed_forward(&mut self, names: &[String; 2], x: Value) -> Value {
        let hidden = self.linear(&names[0], x);
        let active = self.b.node("Gelu", &[hidden], Attributes::none().string("approximate", "tanh"));
        self.linear(&names[1], active)
    }

    /// The finished graph.
    pub fn finish(self, name: &str) -> Result<ModelProto, GraphError> {
        self.b.finish(name, &[FORM])
    }
}

/// The column of 1/D in the element type of `like`, made once.
fn average_of(b: &mut Builder, width: usize, like: Value) -> Value {
    let share = 1.0 / width as f64;
    let (name, tensor): (_, Tensor) = match b.facts(like).data_type {
        Some(DataType::F64) => ("constant/average_f64", Array2::from_elem((width, 1), share).into()),
        _ => ("constant/average", Array2::from_elem((width, 1), share as f32).into()),
    };
    b.find(name).unwrap_or_else(|| b.initializer(name, tensor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tiny_hyperparameters;

    #[test]
    fn a_parameter_that_does_not_exist_is_an_error() {
        let hyper = tiny_hyperparameters();
        let mut network = Network::new(&hyper);
        let first = network.parameters[0].1;
        let sum = network.linear("linear_99", first);
        network.b.output("sum", sum);
        let error = network.finish("wrong").unwrap_err();
        assert_eq!(error.to_string(), "the graph has no value `linear_99/w`");
    }
}
