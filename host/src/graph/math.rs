//! Shorthands of [`Builder`] for the operators that graph code uses most. Only operators whose form has not changed since
//! opset 18 appear here, so that derivatives can be added to files of other programs.

use ndarray::{Array0, Array1};

use super::builder::{Builder, Value};
use super::shape::Dim;
use super::{Attributes, DataType, Tensor};

macro_rules! elementwise {
    ($($(#[$doc:meta])* $method:ident => $op:literal ($($argument:ident),*);)*) => {
        impl Builder {$(
            $(#[$doc])*
            pub fn $method(&mut self, $($argument: Value),*) -> Value {
                self.node($op, &[$($argument),*], Attributes::none())
            }
        )*}
    };
}

elementwise! {
    /// `x + y`, broadcast.
    add => "Add"(x, y);
    /// `x - y`, broadcast.
    sub => "Sub"(x, y);
    /// `x * y`, broadcast.
    mul => "Mul"(x, y);
    /// `x / y`, broadcast.
    div => "Div"(x, y);
    /// Elementwise minimum, broadcast.
    min => "Min"(x, y);
    /// Elementwise maximum, broadcast.
    max => "Max"(x, y);
    /// `x ^ y`, broadcast.
    pow => "Pow"(x, y);
    /// `-x`.
    neg => "Neg"(x);
    /// `exp x`.
    exp => "Exp"(x);
    /// Natural logarithm.
    log => "Log"(x);
    /// Square root.
    sqrt => "Sqrt"(x);
    /// `1 / x`.
    reciprocal => "Reciprocal"(x);
    /// Sine of radians.
    sin => "Sin"(x);
    /// Cosine of radians.
    cos => "Cos"(x);
    /// Hyperbolic tangent.
    tanh => "Tanh"(x);
    /// Logistic function.
    sigmoid => "Sigmoid"(x);
    /// `max(x, 0)`.
    relu => "Relu"(x);
    /// `|x|`.
    abs => "Abs"(x);
    /// -1, 0 or 1.
    sign => "Sign"(x);
    /// Where `condition`, `x`, else `y`; broadcast.
    where_ => "Where"(condition, x, y);
    /// `x < y`, broadcast.
    less => "Less"(x, y);
    /// `x > y`, broadcast.
    greater => "Greater"(x, y);
    /// `x == y`, broadcast.
    equal => "Equal"(x, y);
    /// Extents as int64.
    shape_of => "Shape"(x);
    /// The tensor with the extents of the int64 vector `shape`.
    reshape_to => "Reshape"(x, shape);
    /// The tensor broadcast to the int64 vector `shape`.
    expand_to => "Expand"(x, shape);
}

impl Builder {
    /// A scalar of the element type of `like`.
    pub fn scalar_like(&mut self, like: Value, number: f64) -> Value {
        match self.facts(like).data_type {
            Some(DataType::F64) => self.constant(Array0::from_elem((), number)),
            Some(DataType::I64) => self.constant(Array0::from_elem((), number as i64)),
            Some(DataType::I32) => self.constant(Array0::from_elem((), number as i32)),
            _ => self.constant(Array0::from_elem((), number as f32)),
        }
    }

    /// A float32 scalar.
    pub fn scalar(&mut self, number: f64) -> Value {
        self.constant(Array0::from_elem((), number as f32))
    }

    /// An int64 vector.
    pub fn ints(&mut self, numbers: &[i64]) -> Value {
        self.constant(Array1::from_vec(numbers.to_vec()))
    }

    /// `x + number`.
    pub fn add_scalar(&mut self, x: Value, number: f64) -> Value {
        let c = self.scalar_like(x, number);
        self.add(x, c)
    }

    /// `x * number`.
    pub fn mul_scalar(&mut self, x: Value, number: f64) -> Value {
        let c = self.scalar_like(x, number);
        self.mul(x, c)
    }

    /// Sum over axes (negative ones count from the end).
    pub fn reduce_sum(&mut self, x: Value, axes: &[i64], keep: bool) -> Value {
        let axes = self.ints(axes);
        self.node("ReduceSum", &[x, axes], Attributes::none().int("keepdims", i64::from(keep)))
    }

    /// Sum over all axes: a scalar.
    pub fn sum_all(&mut self, x: Value) -> Value {
        self.node("ReduceSum", &[x], Attributes::none().int("keepdims", 0))
    }

    /// Largest element over axes.
    pub fn reduce_max(&mut self, x: Value, axes: &[i64], keep: bool) -> Value {
        let axes = self.ints(axes);
        self.node("ReduceMax", &[x, axes], Attributes::none().int("keepdims", i64::from(keep)))
    }

    /// Reshape to numbers; 0 keeps an extent, -1 infers one.
    pub fn reshape(&mut self, x: Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.reshape_to(x, shape)
    }

    /// Axes in a new order.
    pub fn transpose(&mut self, x: Value, order: &[i64]) -> Value {
        self.node("Transpose", &[x], Attributes::none().ints("perm", order))
    }

    /// New axes of extent 1.
    pub fn unsqueeze(&mut self, x: Value, axes: &[i64]) -> Value {
        let axes = self.ints(axes);
        self.node("Unsqueeze", &[x, axes], Attributes::none())
    }

    /// Axes of extent 1 removed.
    pub fn squeeze(&mut self, x: Value, axes: &[i64]) -> Value {
        let axes = self.ints(axes);
        self.node("Squeeze", &[x, axes], Attributes::none())
    }

    /// Concatenation.
    pub fn concat(&mut self, parts: &[Value], axis: i64) -> Value {
        self.node("Concat", parts, Attributes::none().int("axis", axis))
    }

    /// Elements `start..end` of an axis.
    pub fn slice(&mut self, x: Value, axis: i64, start: i64, end: i64) -> Value {
        let (starts, ends, axes) = (self.ints(&[start]), self.ints(&[end]), self.ints(&[axis]));
        self.node("Slice", &[x, starts, ends, axes], Attributes::none())
    }

    /// Pieces of the given extents along an axis.
    pub fn split(&mut self, x: Value, axis: i64, extents: &[i64]) -> Vec<Value> {
        let sizes = self.ints(extents);
        self.node_with("Split", &[Some(x), Some(sizes)], extents.len(), Attributes::none().int("axis", axis))
    }

    /// Slices of `x` along an axis at integer indices.
    pub fn gather(&mut self, x: Value, indices: Value, axis: i64) -> Value {
        self.node("Gather", &[x, indices], Attributes::none().int("axis", axis))
    }

    /// `x[..., indices[...], ...]` along an axis, one index per output element.
    pub fn gather_elements(&mut self, x: Value, indices: Value, axis: i64) -> Value {
        self.node("GatherElements", &[x, indices], Attributes::none().int("axis", axis))
    }

    /// Softmax over an axis.
    pub fn softmax(&mut self, x: Value, axis: i64) -> Value {
        self.node("Softmax", &[x], Attributes::none().int("axis", axis))
    }

    /// Log of the softmax over an axis.
    pub fn log_softmax(&mut self, x: Value, axis: i64) -> Value {
        self.node("LogSoftmax", &[x], Attributes::none().int("axis", axis))
    }

    /// Another element type.
    pub fn cast(&mut self, x: Value, to: DataType) -> Value {
        self.node("Cast", &[x], Attributes::none().data_type("to", to))
    }

    /// The element type of `like`.
    pub fn cast_like(&mut self, x: Value, like: Value) -> Value {
        let to = self.facts(like).data_type.unwrap_or(DataType::F32);
        if self.facts(x).data_type == Some(to) { x } else { self.cast(x, to) }
    }

    /// The tensor with the shape of `like`, which has as many elements.
    pub fn reshape_as(&mut self, x: Value, like: Value) -> Value {
        if self.same_known_shape(x, like) {
            return x;
        }
        let shape = self.shape_of(like);
        let reshaped = self.reshape_exactly(x, shape);
        self.assume_shape_of(reshaped, like)
    }

    /// The tensor with the extents of the int64 vector `shape`, where 0 means 0.
    pub fn reshape_exactly(&mut self, x: Value, shape: Value) -> Value {
        self.node("Reshape", &[x, shape], Attributes::none().int("allowzero", 1))
    }

    /// The tensor broadcast to the shape of `like`.
    pub fn expand_as(&mut self, x: Value, like: Value) -> Value {
        if self.same_known_shape(x, like) {
            return x;
        }
        let shape = self.shape_of(like);
        let expanded = self.expand_to(x, shape);
        self.assume_shape_of(expanded, like)
    }

    /// States that a value has the shape of `like`, as far as that is known.
    pub fn assume_shape_of(&mut self, x: Value, like: Value) -> Value {
        match self.shape(like) {
            Some(shape) => self.assume_shape(x, &shape),
            None => x,
        }
    }

    fn same_known_shape(&self, x: Value, y: Value) -> bool {
        let (a, b) = (&self.facts(x).shape, &self.facts(y).shape);
        a.is_some() && a == b
    }

    /// Number of elements, an int64 scalar.
    pub fn count(&mut self, x: Value) -> Value {
        let known = self.shape(x).and_then(|s| s.iter().map(|d| d.known()).try_fold(1i64, |n, d| n.checked_mul(d?)));
        match known {
            Some(n) => self.constant(Array0::from_elem((), n)),
            None => {
                let shape = self.shape_of(x);
                self.node("ReduceProd", &[shape], Attributes::none().int("keepdims", 0))
            }
        }
    }

    /// `0, 1, ... count - 1` of an int64 scalar.
    pub fn positions(&mut self, count: Value) -> Value {
        let (zero, one) = (self.constant(Array0::from_elem((), 0i64)), self.constant(Array0::from_elem((), 1i64)));
        self.node("Range", &[zero, count, one], Attributes::none())
    }

    /// Zeros of the shape and type of `like`.
    pub fn zeros_like(&mut self, like: Value) -> Value {
        self.filled_like(like, 0.0)
    }

    /// A constant tensor of the shape and type of `like`.
    pub fn filled_like(&mut self, like: Value, number: f64) -> Value {
        let known = self.facts(like).clone();
        let shape = self.shape_of(like);
        let fill: Tensor = match known.data_type {
            Some(DataType::F64) => Array1::from_elem(1, number).into(),
            Some(DataType::I64) => Array1::from_elem(1, number as i64).into(),
            _ => Array1::from_elem(1, number as f32).into(),
        };
        let filled = self.node("ConstantOfShape", &[shape], Attributes::none().tensor("value", &fill));
        self.assume_shape_of(filled, like)
    }

    /// `x` summed over the axes along which it was broadcast, so that it has the shape of `like` again.
    ///
    /// This is the derivative of broadcasting. Where shapes are known only when the graph runs, the axes are found then.
    pub fn sum_to_shape_of(&mut self, x: Value, like: Value) -> Value {
        let (Some(from), Some(to)) = (self.shape(x), self.shape(like)) else {
            return self.sum_to_unknown_shape(x, like);
        };
        if from == to {
            return x;
        }
        let lead = from.len().saturating_sub(to.len());
        // A value of fewer axes was not broadcast from this shape: a graph that says so fails when it runs.
        let certain =
            from.len() >= to.len() && to.iter().zip(&from[lead..]).all(|(t, f)| t == f || *t == Dim::Known(1));
        if !certain {
            return self.sum_to_unknown_shape(x, like);
        }
        let kept: Vec<i64> = (0..to.len()).filter(|i| to[*i] != from[lead + i]).map(|i| (lead + i) as i64).collect();
        let summed = if kept.is_empty() { x } else { self.reduce_sum(x, &kept, true) };
        let leading: Vec<i64> = (0..lead as i64).collect();
        if leading.is_empty() { summed } else { self.reduce_sum(summed, &leading, false) }
    }

    fn sum_to_unknown_shape(&mut self, x: Value, like: Value) -> Value {
        let (own, target) = (self.shape_of(x), self.shape_of(like));
        let (own_rank, target_rank) = (self.shape_of(own), self.shape_of(target));
        let missing = self.sub(own_rank, target_rank);
        let one = self.ints(&[1]);
        let padding = self.expand_to(one, missing);
        let padded = self.concat(&[padding, target], 0);
        let is_one = self.equal(padded, one);
        let axes = self.node("NonZero", &[is_one], Attributes::none());
        let axes = self.squeeze(axes, &[0]);
        // One axis more, so that there is always one to sum over: over none, ONNX Runtime 1.28 sums an empty tensor up.
        let axes = self.add(axes, one);
        let zero = self.ints(&[0]);
        let axes = self.concat(&[zero, axes], 0);
        let wide = self.unsqueeze(x, &[0]);
        let summed = self.node("ReduceSum", &[wide, axes], Attributes::none().int("keepdims", 1));
        let result = self.reshape_exactly(summed, target);
        self.assume_shape_of(result, like)
    }
}
