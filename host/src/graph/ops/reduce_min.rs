//! Minimum over axes; equal minima share the derivative.

use super::Operator;
use super::reduction::{share_among_equals, with_rule};

pub(super) const REDUCE_MIN: Operator = with_rule(share_among_equals);
