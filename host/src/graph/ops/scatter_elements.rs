//! Elements written, added, multiplied or compared into a tensor, one index per element along an axis.

use super::context::same_as_input;
use super::scatter::{Places, reverse};
use super::{Derivative, Operator};

pub(super) const SCATTER_ELEMENTS: Operator = Operator {
    infer: same_as_input,
    derivative: Derivative::Rule(|r| {
        let axis = r.int("axis", 0);
        reverse(r, Places::Elements(axis))
    }),
};
