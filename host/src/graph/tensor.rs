//! Dense tensors of the element types that Temper's graphs use.

use ndarray::ArrayD;

use super::onnx::{TensorProto, tensor_proto};

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// Boolean.
    Bool,
    /// Any other, by ONNX's number: carried from file to file, never computed with.
    Other(i32),
}

/// A dense tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit floats.
    F64(ArrayD<f64>),
    /// 64-bit integers.
    I64(ArrayD<i64>),
    /// 32-bit integers.
    I32(ArrayD<i32>),
    /// Booleans.
    Bool(ArrayD<bool>),
    /// A tensor of another element type, as its file has it.
    Other(Box<OtherTensor>),
}

/// A tensor that is only carried along.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherTensor {
    pub(super) shape: Vec<usize>,
    pub(super) proto: TensorProto,
}

impl Tensor {
    /// Element type.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::F32(_) => DataType::F32,
            Self::F64(_) => DataType::F64,
            Self::I64(_) => DataType::I64,
            Self::I32(_) => DataType::I32,
            Self::Bool(_) => DataType::Bool,
            Self::Other(other) => DataType::Other(other.proto.data_type.unwrap_or_default()),
        }
    }

    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(a) => a.shape(),
            Self::Other(other) => &other.shape,
            Self::F64(a) => a.shape(),
            Self::I64(a) => a.shape(),
            Self::I32(a) => a.shape(),
            Self::Bool(a) => a.shape(),
        }
    }

    /// The array, if the elements are `f32`.
    pub fn as_f32(&self) -> Option<&ArrayD<f32>> {
        if let Self::F32(a) = self { Some(a) } else { None }
    }

    /// The array, if the elements are `i64`.
    pub fn as_i64(&self) -> Option<&ArrayD<i64>> {
        if let Self::I64(a) = self { Some(a) } else { None }
    }
}

macro_rules! from_array {
    ($($element:ty => $variant:ident),*) => {$(
        impl<D: ndarray::Dimension> From<ndarray::Array<$element, D>> for Tensor {
            fn from(array: ndarray::Array<$element, D>) -> Self {
                Self::$variant(array.into_dyn().as_standard_layout().into_owned())
            }
        }
    )*};
}
from_array!(f32 => F32, f64 => F64, i64 => I64, i32 => I32, bool => Bool);

impl std::fmt::Display for DataType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::Bool => "bool",
            Self::Other(number) => return f.write_str(named(*number)),
        })
    }
}

/// The name of an element type, as ONNX spells it.
fn named(number: i32) -> &'static str {
    tensor_proto::DataType::try_from(number).map_or("unknown", |data_type| data_type.as_str_name())
}
