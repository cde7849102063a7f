//! Tests of models. Trains nothing and writes no file.
//!
//! [`check_model`] tests the physics of a potential or property model: invariances, extensivity, derivatives.

mod check;

pub use check::{Check, Crystals, Golden, GoldenError, GoldenRow, ModelReport, Named, Status, check_model};
