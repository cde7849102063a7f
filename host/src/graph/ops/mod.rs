//! One file per operator: its shape rule and, beside it, its derivative.
//!
//! Where a function has a corner or a pole, the derivative is the one that PyTorch gives: 0 for `Abs`, `Relu` and a norm at 0,
//! shared among equal maxima, passed on at the bounds of `Clip`, infinite for `Sqrt` at 0 and `Acos` at 1. A weight of zero on
//! an infinite slope is not a number, there as here; but `x^0`, `x^1`, `0^p`, a product with zeros and a norm of zero have
//! numbers. Rules add only operators whose form has not changed from opset 18 on.

mod context;
mod elementwise;
mod normalization;
mod recurrent;
mod reduction;
mod scatter;
mod selection;
mod windows;

mod abs;
mod acos;
mod acosh;
mod add;
mod asin;
mod asinh;
mod atan;
mod atanh;
mod attention;
mod average_pool;
mod batch_normalization;
mod bias_gelu;
mod cast;
mod cast_like;
mod celu;
mod clip;
mod compress;
mod concat;
mod constant;
mod constant_of_shape;
mod conv;
mod cos;
mod cosh;
mod cum_sum;
mod dequantize_linear;
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
mod fused_gemm;
mod fused_mat_mul;
mod gather;
mod gather_elements;
mod gather_nd;
mod gelu;
mod gemm;
mod global_average_pool;
mod global_max_pool;
mod grid_sample;
mod group_normalization;
mod gru;
mod hard_sigmoid;
mod hard_swish;
mod identity;
mod instance_normalization;
mod layer_normalization;
mod leaky_relu;
mod log;
mod log_softmax;
mod lp_normalization;
mod lstm;
mod matmul;
mod max;
mod max_pool;
mod mean;
mod mean_variance_normalization;
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
mod rms_normalization;
mod rotary_embedding;
mod scatter_elements;
mod scatter_nd;
mod selu;
mod shape;
mod sigmoid;
mod sin;
mod sinh;
mod size;
mod skip_layer_normalization;
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
use super::builder::{Node, Value};
use super::differentiate::{InputGrads, Reverse};
pub use context::InferContext;
use context::Inferred;
pub(super) use reduction::{elements_per, positive_axes};

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
    /// The outputs made of operators that have rules: the derivative goes through these.
    Through(fn(&mut Reverse) -> Result<Vec<Value>, GraphError>),
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
    ("Attention", attention::ATTENTION),
    ("AveragePool", average_pool::AVERAGE_POOL),
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
    ("Conv", conv::CONV),
    ("Cos", cos::COS),
    ("Cosh", cosh::COSH),
    ("CumSum", cum_sum::CUM_SUM),
    ("DequantizeLinear", dequantize_linear::DEQUANTIZE_LINEAR),
    ("Det", det::DET),
    ("Div", div::DIV),
    ("Dropout", dropout::DROPOUT),
    ("Einsum", einsum::EINSUM),
    ("Elu", elu::ELU),
    ("Equal", elementwise::COMPARISON),
    ("Erf", erf::ERF),
    ("Exp", exp::EXP),
    ("Expand", expand::EXPAND),
    ("EyeLike", eye_like::EYE_LIKE),
    ("Flatten", flatten::FLATTEN),
    ("Floor", elementwise::PIECEWISE_CONSTANT),
    ("GRU", gru::GRU),
    ("Gather", gather::GATHER),
    ("GatherElements", gather_elements::GATHER_ELEMENTS),
    ("GatherND", gather_nd::GATHER_ND),
    ("Gelu", gelu::GELU),
    ("Gemm", gemm::GEMM),
    ("GlobalAveragePool", global_average_pool::GLOBAL_AVERAGE_POOL),
    ("GlobalMaxPool", global_max_pool::GLOBAL_MAX_POOL),
    ("Greater", elementwise::COMPARISON),
    ("GreaterOrEqual", elementwise::COMPARISON),
    ("GridSample", grid_sample::GRID_SAMPLE),
    ("GroupNormalization", group_normalization::GROUP_NORMALIZATION),
    ("HardSigmoid", hard_sigmoid::HARD_SIGMOID),
    ("HardSwish", hard_swish::HARD_SWISH),
    ("Identity", identity::IDENTITY),
    ("InstanceNormalization", instance_normalization::INSTANCE_NORMALIZATION),
    ("IsInf", elementwise::TEST),
    ("IsNaN", elementwise::TEST),
    ("LSTM", lstm::LSTM),
    ("LayerNormalization", layer_normalization::LAYER_NORMALIZATION),
    ("LeakyRelu", leaky_relu::LEAKY_RELU),
    ("Less", elementwise::COMPARISON),
    ("LessOrEqual", elementwise::COMPARISON),
    ("Log", log::LOG),
    ("LogSoftmax", log_softmax::LOG_SOFTMAX),
    ("LpNormalization", lp_normalization::LP_NORMALIZATION),
    ("MatMul", matmul::MATMUL),
    ("Max", max::MAX),
    ("MaxPool", max_pool::MAX_POOL),
    ("Mean", mean::MEAN),
    ("MeanVarianceNormalization", mean_variance_normalization::MEAN_VARIANCE_NORMALIZATION),
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
    ("RMSNormalization", rms_normalization::RMS_NORMALIZATION),
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
    ("com.microsoft.BiasGelu", bias_gelu::BIAS_GELU),
    ("com.microsoft.FastGelu", fast_gelu::FAST_GELU),
    ("com.microsoft.FusedGemm", fused_gemm::FUSED_GEMM),
    ("com.microsoft.FusedMatMul", fused_mat_mul::FUSED_MAT_MUL),
    ("com.microsoft.Gelu", gelu::GELU),
    ("com.microsoft.QuickGelu", swish::SWISH),
    ("com.microsoft.RotaryEmbedding", rotary_embedding::ROTARY_EMBEDDING),
    ("com.microsoft.SkipLayerNormalization", skip_layer_normalization::SKIP_LAYER_NORMALIZATION),
];

fn find(node: &Node) -> Option<Operator> {
    let name = node.qualified_op();
    let at = OPERATORS.binary_search_by(|(known, _)| (*known).cmp(name.as_str())).ok()?;
    OPERATORS.get(at).map(|row| row.1)
}

/// The operators that have a derivative which is not zero, such as `MatMul` or `com.microsoft.QuickGelu`.
pub fn differentiable() -> impl Iterator<Item = &'static str> {
    let has = |op: &Operator| matches!(op.derivative, Derivative::Rule(_) | Derivative::Through(_));
    OPERATORS.iter().filter(move |(_, op)| has(op)).map(|(name, _)| *name)
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

/// Whether the operator's shape rule is known.
pub(super) fn is_known(op: &str) -> bool {
    OPERATORS.binary_search_by(|(known, _)| (*known).cmp(op)).is_ok()
}

/// Whether a derivative can pass through a node. Operators that we do not know might carry one.
pub(super) fn carries_derivatives(node: &Node) -> bool {
    !matches!(find(node).map(|o| o.derivative), Some(Derivative::Zero))
}

/// Derivatives by the inputs of a node.
pub(super) fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    match find(r.node).map(|o| o.derivative) {
        Some(Derivative::Rule(rule)) => rule(r),
        Some(Derivative::Through(outputs)) => through(r, outputs),
        Some(Derivative::Zero) => Ok(vec![None; r.node.inputs.len()]),
        Some(Derivative::Missing) | None => Err(r.no_derivative("")),
    }
}

/// The derivative of an operator that is made of others: these are added anew, and differentiated.
fn through(
    mut r: Reverse,
    outputs: fn(&mut Reverse) -> Result<Vec<Value>, GraphError>,
) -> Result<InputGrads, GraphError> {
    let first = r.builder.nodes().len();
    let outputs = outputs(&mut r)?;
    let seeds: Vec<(Value, Value)> = outputs.into_iter().zip(r.grads).filter_map(|(y, g)| Some((y, (*g)?))).collect();
    // An input that is given twice gets its whole derivative once.
    let mut wrt: Vec<Value> = Vec::new();
    let mut at = Vec::with_capacity(r.node.inputs.len());
    for (input, wanted) in r.node.inputs.iter().zip(r.wants) {
        let value = input.filter(|value| *wanted && !wrt.contains(value));
        at.push(value.map(|_| wrt.len()));
        wrt.extend(value);
    }
    let grads = r.builder.reverse_from(first, &seeds, &wrt)?;
    Ok(at.into_iter().map(|i| i.and_then(|i| grads.get(i).copied())).collect())
}

#[cfg(test)]
mod tests {
    use super::OPERATORS;

    #[test]
    fn the_table_is_in_order() {
        assert!(OPERATORS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
