//! Maximum over axes; equal maxima share the derivative.

use super::Operator;
use super::reduction::{share_among_equals, with_rule};

pub(super) const REDUCE_MAX: Operator = with_rule(share_among_equals);
