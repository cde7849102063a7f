//! Conversion between arrays and ONNX Runtime's values.

use std::fmt;

use ort::session::SessionInputValue;
use ort::value::{DynValue, Outlet, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use super::Error;
use crate::graph::{DataType, Tensor};

/// One axis of a model's input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Always this long.
    Fixed(usize),
    /// Of one length wherever the same name stands.
    Symbol(String),
    /// Of any length.
    Any,
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(f, "{length}"),
            Self::Symbol(name) => f.write_str(name),
            Self::Any => f.write_str("?"),
        }
    }
}

/// What a model says about one of its inputs or outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the graph.
    pub name: String,
    /// Element type; absent for those that Temper has no array for, and for sequences and maps.
    pub data_type: Option<DataType>,
    /// Axes, outermost first. Empty for a scalar, and also where the model states no shape.
    pub dims: Vec<Dim>,
    /// ONNX Runtime's wording of the whole type.
    pub description: String,
}

impl TensorInfo {
    pub(super) fn of(outlet: &Outlet) -> Self {
        let dims = match outlet.dtype() {
            ValueType::Tensor { shape, dimension_symbols, .. } => {
                shape.iter().zip(dimension_symbols.iter()).map(|(&length, symbol)| dim(length, symbol)).collect()
            }
            _ => Vec::new(),
        };
        Self {
            name: outlet.name().to_owned(),
            data_type: outlet.dtype().tensor_type().and_then(data_type),
            dims,
            description: outlet.dtype().to_string(),
        }
    }
}

fn dim(length: i64, symbol: &str) -> Dim {
    match usize::try_from(length) {
        Ok(length) => Dim::Fixed(length),
        Err(_) if symbol.is_empty() => Dim::Any,
        Err(_) => Dim::Symbol(symbol.to_owned()),
    }
}

fn data_type(element: TensorElementType) -> Option<DataType> {
    match element {
        TensorElementType::Float32 => Some(DataType::F32),
        TensorElementType::Float64 => Some(DataType::F64),
        TensorElementType::Int64 => Some(DataType::I64),
        TensorElementType::Int32 => Some(DataType::I32),
        TensorElementType::Bool => Some(DataType::Bool),
        _ => None,
    }
}

/// What a run is given under one name.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A tensor, read where it lies.
    Tensor(&'a Tensor),
    /// A float32 array, read where it lies: the form of parameters.
    F32(&'a ndarray::ArrayD<f32>),
    /// The result of an earlier run, read where ONNX Runtime left it.
    OrtTensor(&'a OrtTensor),
}

impl<'a> From<&'a Tensor> for Input<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self::Tensor(tensor)
    }
}

impl<'a> From<&'a OrtTensor> for Input<'a> {
    fn from(tensor: &'a OrtTensor) -> Self {
        Self::OrtTensor(tensor)
    }
}

impl<'a> Input<'a> {
    pub(super) fn to_ort(self) -> ort::Result<SessionInputValue<'a>> {
        match self {
            Self::OrtTensor(tensor) => Ok((&tensor.0).into()),
            Self::F32(array) | Self::Tensor(Tensor::F32(array)) => borrow(array),
            Self::Tensor(Tensor::F64(array)) => borrow(array),
            Self::Tensor(Tensor::I64(array)) => borrow(array),
            Self::Tensor(Tensor::I32(array)) => borrow(array),
            Self::Tensor(Tensor::Bool(array)) => borrow(array),
            Self::Tensor(Tensor::Other(_)) => Err(ort::Error::new("a tensor of this element type is not fed")),
        }
    }
}

impl<'a> Input<'a> {
    /// As [`Self::to_ort`], in memory of its own: what a binding of `ort` 2.0.0-rc.15 needs of a tensor that the graph reads on the
    /// CPU, because it waits for itself where it copies a borrowed one.
    pub(super) fn to_owned_ort(self) -> ort::Result<SessionInputValue<'a>> {
        match self {
            Self::OrtTensor(tensor) => Ok((&tensor.0).into()),
            Self::F32(array) | Self::Tensor(Tensor::F32(array)) => own(array),
            Self::Tensor(Tensor::F64(array)) => own(array),
            Self::Tensor(Tensor::I64(array)) => own(array),
            Self::Tensor(Tensor::I32(array)) => own(array),
            Self::Tensor(Tensor::Bool(array)) => own(array),
            Self::Tensor(Tensor::Other(_)) => Err(ort::Error::new("a tensor of this element type is not fed")),
        }
    }
}

fn own<T>(array: &ndarray::ArrayD<T>) -> ort::Result<SessionInputValue<'static>>
where
    T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static,
{
    Ok(ort::value::Tensor::from_array(array.as_standard_layout().into_owned())?.into())
}

/// ONNX Runtime reads row-major memory; an array laid out otherwise is the only one that is copied.
fn borrow<T>(array: &ndarray::ArrayD<T>) -> ort::Result<SessionInputValue<'_>>
where
    T: PrimitiveTensorElementType + fmt::Debug + Clone + 'static,
{
    if array.is_standard_layout() {
        Ok(TensorRef::from_array_view(array.view())?.into())
    } else {
        Ok(ort::value::Tensor::from_array(array.as_standard_layout().into_owned())?.into())
    }
}

/// The result of a run, left in ONNX Runtime's memory: the next run reads it without a copy.
#[derive(Debug)]
pub struct OrtTensor(pub(super) DynValue);

impl OrtTensor {
    /// Copies the elements into an array.
    ///
    /// # Errors
    /// [`Error::ElementType`] if the value is no tensor, or of an element type that Temper has no array for.
    pub fn to_tensor(&self) -> Result<Tensor, Error> {
        to_tensor(&self.0)
    }

    /// Extent of each axis; empty for what is no tensor.
    pub fn shape(&self) -> Vec<usize> {
        let shape = self.0.dtype().tensor_shape();
        shape.map(|shape| shape.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect()).unwrap_or_default()
    }
}

pub(super) fn to_tensor(value: &DynValue) -> Result<Tensor, Error> {
    let refuse = || Error::ElementType { found: value.dtype().to_string() };
    match value.dtype().tensor_type().and_then(data_type).ok_or_else(refuse)? {
        DataType::F32 => copy::<f32>(value).map(Tensor::F32),
        DataType::F64 => copy::<f64>(value).map(Tensor::F64),
        DataType::I64 => copy::<i64>(value).map(Tensor::I64),
        DataType::I32 => copy::<i32>(value).map(Tensor::I32),
        DataType::Bool => copy::<bool>(value).map(Tensor::Bool),
        DataType::Other(_) => return Err(refuse()),
    }
    .map_err(|error| Error::ElementType { found: format!("{} ({error})", value.dtype()) })
}

fn copy<T: PrimitiveTensorElementType + Clone>(value: &DynValue) -> ort::Result<ndarray::ArrayD<T>> {
    Ok(value.try_extract_array::<T>()?.to_owned())
}
