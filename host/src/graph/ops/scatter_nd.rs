//! Slices written, added, multiplied or compared into a tensor at index tuples.

use super::context::same_as_input;
use super::scatter::{Places, reverse};
use super::{Derivative, Operator};

pub(super) const SCATTER_ND: Operator =
    Operator { infer: same_as_input, derivative: Derivative::Rule(|r| reverse(r, Places::Slices)) };
