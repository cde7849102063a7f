//! ONNX Runtime's FusedGemm: `Gemm` and an activation.

use super::gemm::infer;
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::{Attributes, Value};

pub(super) const FUSED_GEMM: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let mut attributes = Attributes::none();
    for name in ["alpha", "beta"] {
        attributes = attributes.float(name, r.node.attributes.get_float(name).unwrap_or(1.0));
    }
    for name in ["transA", "transB"] {
        attributes = attributes.int(name, r.int(name, 0));
    }
    let activation = r.node.attributes.get_string("activation").unwrap_or_default().to_owned();
    let mut parameters = Attributes::none();
    for (from, to) in [("activation_alpha", "alpha"), ("activation_beta", "beta"), ("activation_gamma", "gamma")] {
        if let Some(number) = r.node.attributes.get_float(from) {
            parameters = parameters.float(to, number);
        }
    }
    let product = r.builder.node_with("Gemm", &r.node.inputs, 1, attributes)[0];
    match activation.as_str() {
        "" => Ok(vec![product]),
        "Relu" | "Tanh" | "Sigmoid" | "Softplus" | "Softsign" | "LeakyRelu" | "Elu" | "HardSigmoid" | "Selu"
        | "ThresholdedRelu" => Ok(vec![r.builder.node(&activation, &[product], parameters)]),
        other => Err(r.no_derivative(&format!("with activation {other}"))),
    }
}
