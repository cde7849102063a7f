//! One file per operator: its shape rule and, beside it, its derivative.
//!
//! Where a function has a corner or a pole, the derivative is the one that PyTorch gives: 0 for `Abs`, `Relu` and a norm at 0,
//! shared among equal maxima, passed on at the bounds of `Clip`, infinite for `Sqrt` at 0 and `Acos` at 1. A weight of zero on
//! an infinite slope is not a number, there as here; but `x^0`, `x^1`, `0^p`, a product with zeros and a norm of zero have
//! numbers. Rules add only operators whose form has not changed from opset 18 on.

mod context;
mod elementwise;
mod normalization;
mod reduction;
mod selection;

mod abs;
mod acos;
mod acosh;
mod add;
mod asin;
mod asinh;
mod atan;
mod atanh;
mod batch_normalization;
mod cast;
mod cast_like;
mod celu;
mod clip;
mod compress;
mod concat;
mod constant;
mod constant_of_shape;
mod cos;
mod cosh;
mod cum_sum;
mod det;
mod div;
mod dropout;
mod einsum;
mod elu;
mod erf;
mod exp;
mod expand;
mod eye_like;
mod fast_gelu;
mod flatten;
mod gather;
mod gather_elements;
mod gather_nd;
mod gelu;
mod gemm;
mod hard_sigmoid;
mod hard_swish;
mod identity;
mod instance_normalization;
mod layer_normalization;
mod leaky_relu;
mod log;
mod log_softmax;
mod matmul;
mod max;
mod mean;
mod min;
mod mish;
mod mod_;
mod mul;
mod neg;
mod one_hot;
mod pad;
mod pow;
mod prelu;
mod range;
mod reciprocal;
mod reduce_l1;
mod reduce_l2;
mod reduce_log_sum;
mod reduce_log_sum_exp;
mod reduce_max;
mod reduce_mean;
mod reduce_min;
mod reduce_prod;
mod reduce_sum;
mod reduce_sum_square;
mod relu;
mod reshape;
mod rotary_embedding;
mod scatter_elements;
mod scatter_nd;
mod selu;
mod shape;
mod sigmoid;
mod sin;
mod sinh;
mod size;
mod slice;
mod softmax;
mod softplus;
mod softsign;
mod split;
mod sqrt;
mod squeeze;
mod sub;
mod sum;
mod swish;
mod tan;
mod tanh;
mod thresholded_relu;
mod tile;
mod top_k;
mod transpose;
mod trilu;
mod unique;
mod unsqueeze;
mod where_;

use super::GraphError;
use super::builder::Node;
use super::differentiate::{InputGrads, Reverse};
pub use context::InferContext;
use context::Inferred;

/// How an operator behaves: what its outputs are, and how derivatives pass through it.
#[derive(Clone, Copy)]
pub(super) struct Operator {
    /// Type and shape of each output.
    infer: fn(InferContext) -> Inferred,
    /// Its reverse rule.
    derivative: Derivative,
}

/// The derivative of an operator.
#[derive(Clone, Copy)]
enum Derivative {
    /// A rule.
    Rule(fn(Reverse) -> Result<InputGrads, GraphError>),
    /// Zero wherever it exists: outputs are integers, booleans or piecewise constant.
    Zero,
    /// Not written: differentiating through it is an error.
    Missing,
}

/// Every operator that is known, by domain and name, in alphabetical order.
const OPERATORS: &[(&str, Operator)] = &[
    ("Abs", abs::ABS),
    ("Acos", acos::ACOS),
    ("Acosh", acosh::ACOSH),
    ("Add", add::ADD),
    ("And", elementwise::COMPARISON),
    ("ArgMax", elementwise::ARG),
    ("ArgMin", elementwise::ARG),
    ("Asin", asin::ASIN),
    ("Asinh", asinh::ASINH),
    ("Atan", atan::ATAN),
    ("Atanh", atanh::ATANH),
    ("BatchNormalization", batch_normalization::BATCH_NORMALIZATION),
    ("BitwiseNot", elementwise::PIECEWISE_CONSTANT),
    ("Cast", cast::CAST),
    ("CastLike", cast_like::CAST_LIKE),
    ("Ceil", elementwise::PIECEWISE_CONSTANT),
    ("Celu", celu::CELU),
    ("Clip", clip::CLIP),
    ("Compress", compress::COMPRESS),
    ("Concat", concat::CONCAT),
    ("Constant", constant::CONSTANT),
    ("ConstantOfShape", constant_of_shape::CONSTANT_OF_SHAPE),
    ("Cos", cos::COS),
    ("Cosh", cosh::COSH),
    ("CumSum", cum_sum::CUM_SUM),
    ("Det", det::DET),
    ("Div", div::DIV),
    ("Dropout", dropout::DROPOUT),
    ("Einsum", einsum::EINSUM),
    ("Elu", elu::ELU),
    ("Equal", elementwise::EQUAL),
    ("Erf", erf::ERF),
    ("Exp", exp::EXP),
    ("Expand", expand::EXPAND),
    ("EyeLike", eye_like::EYE_LIKE),
    ("Flatten", flatten::FLATTEN),
    ("Floor", elementwise::PIECEWISE_CONSTANT),
    ("Gather", gather::GATHER),
    ("GatherElements", gather_elements::GATHER_ELEMENTS),
    ("GatherND", gather_nd::GATHER_ND),
    ("Gelu", gelu::GELU),
    ("Gemm", gemm::GEMM),
    ("Greater", elementwise::COMPARISON),
    ("GreaterOrEqual", elementwise::COMPARISON),
    ("HardSigmoid", hard_sigmoid::HARD_SIGMOID),
    ("HardSwish", hard_swish::HARD_SWISH),
    ("Identity", identity::IDENTITY),
    ("InstanceNormalization", instance_normalization::INSTANCE_NORMALIZATION),
    ("IsInf", elementwise::TEST),
    ("IsNaN", elementwise::TEST),
    ("LayerNormalization", layer_normalization::LAYER_NORMALIZATION),
    ("LeakyRelu", leaky_relu::LEAKY_RELU),
    ("Less", elementwise::COMPARISON),
    ("LessOrEqual", elementwise::COMPARISON),
    ("Log", log::LOG),
    ("LogSoftmax", log_softmax::LOG_SOFTMAX),
    ("MatMul", matmul::MATMUL),
    ("Max", max::MAX),
    ("Mean", mean::MEAN),
    ("Min", min::MIN),
    ("Mish", mish::MISH),
    ("Mod", mod_::MOD),
    ("Mul", mul::MUL),
    ("Neg", neg::NEG),
    ("NonZero", elementwise::NON_ZERO),
    ("Not", elementwise::TEST),
    ("OneHot", one_hot::ONE_HOT),
    ("Or", elementwise::COMPARISON),
    ("PRelu", prelu::PRELU),
    ("Pad", pad::PAD),
    ("Pow", pow::POW),
    ("Range", range::RANGE),
    ("Reciprocal", reciprocal::RECIPROCAL),
    ("ReduceL1", reduce_l1::REDUCE_L1),
    ("ReduceL2", reduce_l2::REDUCE_L2),
    ("ReduceLogSum", reduce_log_sum::REDUCE_LOG_SUM),
    ("ReduceLogSumExp", reduce_log_sum_exp::REDUCE_LOG_SUM_EXP),
    ("ReduceMax", reduce_max::REDUCE_MAX),
    ("ReduceMean", reduce_mean::REDUCE_MEAN),
    ("ReduceMin", reduce_min::REDUCE_MIN),
    ("ReduceProd", reduce_prod::REDUCE_PROD),
    ("ReduceSum", reduce_sum::REDUCE_SUM),
    ("ReduceSumSquare", reduce_sum_square::REDUCE_SUM_SQUARE),
    ("Relu", relu::RELU),
    ("Reshape", reshape::RESHAPE),
    ("Round", elementwise::PIECEWISE_CONSTANT),
    ("ScatterElements", scatter_elements::SCATTER_ELEMENTS),
    ("ScatterND", scatter_nd::SCATTER_ND),
    ("Selu", selu::SELU),
    ("Shape", shape::SHAPE),
    ("Sigmoid", sigmoid::SIGMOID),
    ("Sign", elementwise::PIECEWISE_CONSTANT),
    ("Sin", sin::SIN),
    ("Sinh", sinh::SINH),
    ("Size", size::SIZE),
    ("Slice", slice::SLICE),
    ("Softmax", softmax::SOFTMAX),
    ("Softplus", softplus::SOFTPLUS),
    ("Softsign", softsign::SOFTSIGN),
    ("Split", split::SPLIT),
    ("Sqrt", sqrt::SQRT),
    ("Squeeze", squeeze::SQUEEZE),
    ("Sub", sub::SUB),
    ("Sum", sum::SUM),
    ("Swish", swish::SWISH),
    ("Tan", tan::TAN),
    ("Tanh", tanh::TANH),
    ("ThresholdedRelu", thresholded_relu::THRESHOLDED_RELU),
    ("Tile", tile::TILE),
    ("TopK", top_k::TOP_K),
    ("Transpose", transpose::TRANSPOSE),
    ("Trilu", trilu::TRILU),
    ("Unique", unique::UNIQUE),
    ("Unsqueeze", unsqueeze::UNSQUEEZE),
    ("Where", where_::WHERE),
    ("Xor", elementwise::COMPARISON),
    ("com.microsoft.FastGelu", fast_gelu::FAST_GELU),
    ("com.microsoft.Gelu", gelu::GELU),
    ("com.microsoft.QuickGelu", swish::SWISH),
    ("com.microsoft.RotaryEmbedding", rotary_embedding::ROTARY_EMBEDDING),
];

fn find(node: &Node) -> Option<Operator> {
    let name = node.qualified_op();
    let at = OPERATORS.binary_search_by(|(known, _)| (*known).cmp(name.as_str())).ok()?;
    OPERATORS.get(at).map(|row| row.1)
}

/// The operators that have a reverse rule, such as `MatMul` or `com.microsoft.QuickGelu`.
pub fn differentiable() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().filter(|(_, op)| matches!(op.derivative, Derivative::Rule(_))).map(|(name, _)| *name)
}

/// The first opset in which a node means what it says: for the operators that rules and shorthands add.
pub(super) fn since(node: &Node) -> i64 {
    let given = |i: usize| node.inputs.get(i).copied().flatten().is_some();
    let has = |name: &str| node.attributes.get(name).is_some();
    match node.op.as_str() {
        "Gelu" => 20,
        "ReduceMax" | "ReduceMin" | "ReduceMean" | "ReduceProd" | "ReduceL2" if given(1) => 18,
        "Pad" if given(3) => 18,
        "LayerNormalization" => 17,
        "ScatterElements" | "ScatterND" if has("reduction") => 16,
        "CastLike" => 15,
        "Shape" if has("start") || has("end") => 15,
        "Reshape" if has("allowzero") => 14,
        "Trilu" => 14,
        // Before it, types and forms differ in more ways than are followed here.
        _ => 13,
    }
}

/// What is known of a node's outputs. Nothing is known of an unknown operator's.
pub(super) fn infer(cx: InferContext) -> Result<Vec<super::TypeFacts>, String> {
    match find(cx.node) {
        Some(operator) => (operator.infer)(cx),
        None => Ok(Vec::new()),
    }
}

/// Whether a derivative can pass through a node. Operators that we do not know might carry one.
pub(super) fn carries_derivatives(node: &Node) -> bool {
    !matches!(find(node).map(|o| o.derivative), Some(Derivative::Zero))
}

/// Derivatives by the inputs of a node.
pub(super) fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    match find(r.node).map(|o| o.derivative) {
        Some(Derivative::Rule(rule)) => rule(r),
        Some(Derivative::Zero) => Ok(vec![None; r.node.inputs.len()]),
        Some(Derivative::Missing) | None => Err(r.no_derivative("")),
    }
}

#[cfg(test)]
mod tests {
    use super::OPERATORS;

    #[test]
    fn the_table_is_in_order() {
        assert!(OPERATORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
