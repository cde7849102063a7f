//! Judging what models and generators give. It trains nothing and writes no file.
//!
//! [`check_model`] runs physics on a potential or property model: what must not change does not, what must add up does.

mod check;

pub use check::{Check, Crystals, Golden, GoldenError, GoldenRow, ModelReport, Named, Status, check_model};
