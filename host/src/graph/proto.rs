//! Conversions between [`Tensor`] and ONNX's `TensorProto`.

use ndarray::{ArrayD, IxDyn};

use super::onnx::{TensorProto, tensor_proto};
use super::{DataType, GraphError, Tensor};

impl DataType {
    /// ONNX's number for the type.
    pub fn to_onnx(self) -> i32 {
        (match self {
            Self::F32 => tensor_proto::DataType::Float,
            Self::F64 => tensor_proto::DataType::Double,
            Self::I64 => tensor_proto::DataType::Int64,
            Self::I32 => tensor_proto::DataType::Int32,
            Self::Bool => tensor_proto::DataType::Bool,
        }) as i32
    }

    /// The type of ONNX's number, if it is one that Temper uses.
    pub fn from_onnx(number: i32) -> Option<Self> {
        match tensor_proto::DataType::try_from(number).ok()? {
            tensor_proto::DataType::Float => Some(Self::F32),
            tensor_proto::DataType::Double => Some(Self::F64),
            tensor_proto::DataType::Int64 => Some(Self::I64),
            tensor_proto::DataType::Int32 => Some(Self::I32),
            tensor_proto::DataType::Bool => Some(Self::Bool),
            _ => None,
        }
    }

    /// Whether derivatives make sense.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64)
    }
}

/// A `TensorProto` with raw little-endian data.
pub(super) fn to_proto(name: &str, tensor: &Tensor) -> TensorProto {
    let raw_data = match tensor {
        Tensor::F32(a) => a.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Tensor::F64(a) => a.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Tensor::I64(a) => a.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Tensor::I32(a) => a.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Tensor::Bool(a) => a.iter().map(|x| u8::from(*x)).collect(),
    };
    TensorProto {
        name: Some(name.to_owned()),
        dims: tensor.shape().iter().map(|n| *n as i64).collect(),
        data_type: Some(tensor.data_type().to_onnx()),
        raw_data: Some(raw_data),
        ..TensorProto::default()
    }
}

/// The tensor of a `TensorProto`; its data must lie in the file itself.
pub(super) fn from_proto(proto: &TensorProto) -> Result<Tensor, GraphError> {
    let name = proto.name.clone().unwrap_or_default();
    let fail = |reason: String| GraphError::Tensor { name: name.clone(), reason };
    if proto.data_location == Some(tensor_proto::DataLocation::External as i32) {
        return Err(fail("its numbers lie in another file; save the model with its data inside".into()));
    }
    let number = proto.data_type.unwrap_or_default();
    let data_type =
        DataType::from_onnx(number).ok_or_else(|| fail(format!("element type {number} is not supported")))?;
    let shape = proto.dims.iter().map(|n| usize::try_from(*n)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| fail(format!("negative extent in {:?}", proto.dims)))?;
    let count = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or_else(|| fail("absurd shape".into()))?;
    let raw = proto.raw_data.as_deref();
    let sized = |found: usize| {
        if found == count { Ok(()) } else { Err(fail(format!("shape {shape:?} needs {count} numbers, found {found}"))) }
    };
    macro_rules! decode {
        ($variant:ident, $element:ty, $typed:expr) => {{
            let data: Vec<$element> = match raw {
                Some(bytes) if bytes.len() % size_of::<$element>() != 0 => {
                    return Err(fail(format!("{} bytes are not a whole number of elements", bytes.len())));
                }
                Some(bytes) if !bytes.is_empty() || count == 0 => bytes
                    .chunks_exact(size_of::<$element>())
                    .map(|c| <$element>::from_le_bytes(std::array::from_fn(|i| c[i])))
                    .collect(),
                _ => $typed,
            };
            sized(data.len())?;
            Tensor::$variant(ArrayD::from_shape_vec(IxDyn(&shape), data).map_err(|e| fail(e.to_string()))?)
        }};
    }
    Ok(match data_type {
        DataType::F32 => decode!(F32, f32, proto.float_data.clone()),
        DataType::F64 => decode!(F64, f64, proto.double_data.clone()),
        DataType::I64 => decode!(I64, i64, proto.int64_data.clone()),
        DataType::I32 => decode!(I32, i32, proto.int32_data.clone()),
        DataType::Bool => {
            let data: Vec<bool> = match raw {
                Some(bytes) if !bytes.is_empty() || count == 0 => bytes.iter().map(|b| *b != 0).collect(),
                _ => proto.int32_data.iter().map(|b| *b != 0).collect(),
            };
            sized(data.len())?;
            Tensor::Bool(ArrayD::from_shape_vec(IxDyn(&shape), data).map_err(|e| fail(e.to_string()))?)
        }
    })
}
