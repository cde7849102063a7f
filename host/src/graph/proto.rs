//! Conversions between [`Tensor`] and ONNX's `TensorProto`.

use ndarray::{ArrayD, IxDyn};

use super::onnx::{TensorProto, tensor_proto};
use super::tensor::OtherTensor;
use super::{DataType, GraphError, Tensor};

const FLOAT16: i32 = tensor_proto::DataType::Float16 as i32;
const BFLOAT16: i32 = tensor_proto::DataType::Bfloat16 as i32;

impl DataType {
    /// ONNX's number for the type.
    pub fn to_onnx(self) -> i32 {
        (match self {
            Self::F32 => tensor_proto::DataType::Float,
            Self::F64 => tensor_proto::DataType::Double,
            Self::I64 => tensor_proto::DataType::Int64,
            Self::I32 => tensor_proto::DataType::Int32,
            Self::Bool => tensor_proto::DataType::Bool,
            Self::Other(number) => return number,
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
            tensor_proto::DataType::Undefined => None,
            _ => Some(Self::Other(number)),
        }
    }

    /// Whether derivatives make sense.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64) || self.is_half()
    }

    /// float16 or bfloat16.
    pub fn is_half(self) -> bool {
        matches!(self, Self::Other(FLOAT16 | BFLOAT16))
    }
}

/// A `TensorProto` with raw little-endian data.
pub(super) fn to_proto(name: &str, tensor: &Tensor) -> TensorProto {
    let raw_data = match tensor {
        Tensor::Other(other) => return TensorProto { name: Some(name.to_owned()), ..other.proto.clone() },
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
        return Err(fail("its numbers lie in another file, which was not read".into()));
    }
    let number = proto.data_type.unwrap_or_default();
    let data_type =
        DataType::from_onnx(number).ok_or_else(|| fail(format!("{number} is not an element type of ONNX")))?;
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
        DataType::Other(_) => {
            let proto = TensorProto { name: None, ..proto.clone() };
            Tensor::Other(Box::new(OtherTensor { shape, proto }))
        }
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

/// The numbers of a half-precision tensor; `None` for one of another type, or of inconsistent size.
pub(super) fn half_numbers(other: &OtherTensor) -> Option<Vec<f32>> {
    let proto = &other.proto;
    let bits: Vec<u16> = match proto.raw_data.as_deref() {
        Some(bytes) if !bytes.is_empty() => {
            bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect()
        }
        _ => proto.int32_data.iter().map(|number| *number as u16).collect(),
    };
    let widen = match proto.data_type {
        Some(FLOAT16) => from_float16,
        Some(BFLOAT16) => |bits: u16| f32::from_bits(u32::from(bits) << 16),
        _ => return None,
    };
    (bits.len() == other.shape.iter().product::<usize>()).then(|| bits.into_iter().map(widen).collect())
}

/// IEEE 754 binary16: one bit of sign, five of exponent, ten of fraction.
fn from_float16(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f32.powi(-14),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction) * 2f32.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::from_float16;

    #[test]
    fn half_precision_numbers_have_their_values() {
        let rows =
            [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (0x0400, 6.103_515_6e-5), (0x0001, 5.960_464_5e-8)];
        for (bits, number) in rows {
            assert_eq!(from_float16(bits), number);
        }
        assert!(from_float16(0x7c00).is_infinite() && from_float16(0x7e00).is_nan() && from_float16(0x8000) == 0.0);
    }
}
