//! Attributes of nodes.

use super::onnx::{AttributeProto, attribute_proto::AttributeType};
use super::{DataType, Tensor, proto};

/// The attributes of one node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub(super) Vec<AttributeProto>);

impl Attributes {
    /// No attributes.
    pub fn none() -> Self {
        Self::default()
    }

    fn with(mut self, name: &str, kind: AttributeType, set: impl FnOnce(&mut AttributeProto)) -> Self {
        let mut proto =
            AttributeProto { name: Some(name.to_owned()), r#type: Some(kind as i32), ..AttributeProto::default() };
        set(&mut proto);
        self.0.push(proto);
        self
    }

    /// Adds an integer.
    pub fn int(self, name: &str, value: i64) -> Self {
        self.with(name, AttributeType::Int, |a| a.i = Some(value))
    }

    /// Adds a list of integers.
    pub fn ints(self, name: &str, values: &[i64]) -> Self {
        self.with(name, AttributeType::Ints, |a| a.ints = values.to_vec())
    }

    /// Adds a float.
    pub fn float(self, name: &str, value: f32) -> Self {
        self.with(name, AttributeType::Float, |a| a.f = Some(value))
    }

    /// Adds a string.
    pub fn string(self, name: &str, value: &str) -> Self {
        self.with(name, AttributeType::String, |a| a.s = Some(value.as_bytes().to_vec()))
    }

    /// Adds a tensor.
    pub fn tensor(self, name: &str, value: &Tensor) -> Self {
        self.with(name, AttributeType::Tensor, |a| a.t = Some(proto::to_proto(name, value)))
    }

    /// Adds an element type, as ONNX writes it.
    pub fn data_type(self, name: &str, value: DataType) -> Self {
        self.int(name, i64::from(value.to_onnx()))
    }

    /// Other numbers for `axes`, or one for `axis`.
    pub(super) fn replace_axes(&mut self, axes: &[i64]) {
        for attribute in &mut self.0 {
            match attribute.name.as_deref() {
                Some("axes") => attribute.ints = axes.to_vec(),
                Some("axis") => attribute.i = axes.first().copied(),
                _ => {}
            }
        }
    }

    /// An attribute as it stands in the file.
    pub fn get(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|a| a.name.as_deref() == Some(name))
    }

    /// An integer, if it is there.
    pub fn get_int(&self, name: &str) -> Option<i64> {
        self.get(name)?.i
    }

    /// A float, if it is there.
    pub fn get_float(&self, name: &str) -> Option<f32> {
        self.get(name)?.f
    }

    /// A list of integers, if it is there.
    pub fn get_ints(&self, name: &str) -> Option<&[i64]> {
        self.get(name).map(|a| a.ints.as_slice())
    }

    /// A string, if it is there and is UTF-8.
    pub fn get_string(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?.s.as_deref()?).ok()
    }

    /// A tensor, if it is there and readable.
    pub fn get_tensor(&self, name: &str) -> Option<Tensor> {
        proto::from_proto(self.get(name)?.t.as_ref()?).ok()
    }
}
