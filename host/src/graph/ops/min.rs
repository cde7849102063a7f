//! Elementwise minimum of any number of tensors; equal ones share the derivative.

use super::context::broadcast;
use super::{Derivative, Operator, max};

pub(super) const MIN: Operator = Operator { infer: broadcast, derivative: Derivative::Rule(max::reverse) };
