//! Parts that every layer uses: linear maps, layer norms, the transformer's two residual blocks.

use std::collections::HashMap;
use std::ops::Range;

use ndarray::Array2;

use super::attention::{Attention, Causal};
use super::names::{LayerNames, Names};
use crate::graph::{Attributes, Builder, DataType, Dim, Tensor, Value};
use crate::policy::{Hyperparameters, parameter_specs};

/// Inside the root of layer norm (spec section 4.3).
const NORM_EPSILON: f64 = 1e-5;

/// A network under construction: the graph and its parameters.
pub(super) struct Network<'h> {
    pub b: Builder,
    pub hyper: &'h Hyperparameters,
    pub names: Names,
    parameters: HashMap<String, Value>,
    /// Parameters in the order of `parameter_specs`.
    pub ordered: Vec<(String, Value)>,
}

/// Dropout masks of the residual stream, one per block of a layer, already scaled by 1 / (1 - rate).
#[derive(Clone, Copy)]
pub(super) struct Dropout {
    /// (layers, heads or 1, T or 1, T or 1): on attention probabilities.
    pub attention: Value,
    /// (layers, 2, rows or 1, D or 1): on the outputs of attention and of the feed-forward block.
    pub residual: Value,
}

impl<'h> Network<'h> {
    /// An empty graph whose inputs so far are the parameters.
    pub fn new(hyper: &'h Hyperparameters) -> Self {
        let mut b = Builder::new();
        let mut ordered = Vec::new();
        for spec in parameter_specs(hyper) {
            let shape: Vec<Dim> = spec.shape.iter().map(|n| Dim::Known(*n as i64)).collect();
            let value = b.input(&spec.name, DataType::F32, &shape);
            ordered.push((spec.name, value));
        }
        let parameters = ordered.iter().cloned().collect();
        Self { b, hyper, names: Names::new(hyper), parameters, ordered }
    }

    /// A parameter by the reference's name.
    pub fn parameter(&self, name: &str) -> Value {
        // Names and specifications come from the same hyper-parameters; a test holds them together.
        self.parameters.get(name).copied().unwrap_or(self.ordered[0].1)
    }

    /// Weight and bias of a linear layer.
    pub fn weights(&self, module: &str) -> (Value, Value) {
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

    /// All layers, without the final norm. `h` is (rows, D).
    pub fn transformer(&mut self, mut h: Value, causal: &Causal, dropout: Option<Dropout>) -> Value {
        let layers = std::mem::take(&mut self.names.layers);
        for (index, layer) in layers.iter().enumerate() {
            h = self.layer(h, layer, index, causal, dropout);
        }
        self.names.layers = layers;
        h
    }

    /// The norm behind the last layer; `h` is (rows, D), float32 or float64.
    pub fn final_norm(&mut self, h: Value) -> Value {
        let name = self.names.final_norm.clone();
        self.norm(&name, h)
    }

    fn layer(
        &mut self,
        h: Value,
        names: &LayerNames,
        index: usize,
        causal: &Causal,
        dropout: Option<Dropout>,
    ) -> Value {
        let normed = self.norm(&names.attention_norm, h);
        let probabilities = dropout.map(|d| self.mask(d.attention, &[index as i64]));
        let attended = Attention { name: &names.attention, causal, dropout: probabilities }.apply(self, normed);
        let attended = self.dropped(attended, dropout, index, 0);
        let h = self.b.add(h, attended);
        let normed = self.norm(&names.feed_norm, h);
        let fed = self.feed_forward(&names.feed, normed);
        let fed = self.dropped(fed, dropout, index, 1);
        self.b.add(h, fed)
    }

    /// Two linear layers around the tanh form of gelu.
    pub fn feed_forward(&mut self, names: &[String; 2], x: Value) -> Value {
        let hidden = self.linear(&names[0], x);
        let active = self.b.node("Gelu", &[hidden], Attributes::none().string("approximate", "tanh"));
        self.linear(&names[1], active)
    }

    fn dropped(&mut self, x: Value, dropout: Option<Dropout>, layer: usize, block: i64) -> Value {
        match dropout {
            None => x,
            Some(d) => {
                let mask = self.mask(d.residual, &[layer as i64, block]);
                self.b.mul(x, mask)
            }
        }
    }

    /// The part of a stack of masks at leading indices.
    fn mask(&mut self, stack: Value, at: &[i64]) -> Value {
        at.iter().fold(stack, |mask, index| {
            let index = self.b.constant(ndarray::arr0(*index));
            self.b.gather(mask, index, 0)
        })
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
