//! Half-precision floats, computed in float32.

use ndarray::ArrayD;

use super::super::onnx::NodeProto;
use super::super::{DataType, Tensor, proto};
use super::Half;

impl Half {
    /// A constant of the file.
    pub(super) fn tensor(self, tensor: Tensor) -> Tensor {
        match (self, &tensor) {
            (Self::Widen, Tensor::Other(other)) => proto::half_numbers(other)
                .and_then(|numbers| ArrayD::from_shape_vec(tensor.shape(), numbers).ok())
                .map_or(tensor, Tensor::F32),
            _ => tensor,
        }
    }

    /// Types and constants that a node names.
    pub(super) fn attributes(self, node: &mut NodeProto) {
        if self == Self::Keep {
            return;
        }
        let float = i64::from(DataType::F32.to_onnx());
        for attribute in &mut node.attribute {
            let number = attribute.i.and_then(|i| i32::try_from(i).ok()).and_then(DataType::from_onnx);
            let names_type = matches!(attribute.name.as_deref(), Some("to" | "dtype" | "output_dtype" | "stash_type"));
            if names_type && number.is_some_and(DataType::is_half) {
                attribute.i = Some(float);
            }
            let tensor = attribute.t.as_ref().and_then(|tensor| proto::from_proto(tensor).ok());
            if let Some(tensor) = tensor.filter(|tensor| tensor.data_type().is_half()) {
                attribute.t = Some(proto::to_proto("", &self.tensor(tensor)));
            }
        }
    }
}
