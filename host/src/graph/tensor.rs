//! Dense tensors of the element types that Temper's graphs use.

use ndarray::ArrayD;

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
        }
    }

    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::F32(a) => a.shape(),
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
        })
    }
}
