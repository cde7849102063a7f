//! The policy's graphs against the reference implementation's values, and against what mathematics demands of any likelihood.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot run has failed, and says so"
)]

#[path = "policy_parity/evaluate.rs"]
mod evaluate;
#[path = "policy_parity/exact.rs"]
mod exact;
#[path = "policy_parity/float64.rs"]
mod float64;
#[path = "policy_parity/mathematics.rs"]
mod mathematics;
#[path = "policy_parity/preparation.rs"]
mod preparation;
#[path = "policy_parity/reference.rs"]
mod reference;
#[path = "policy_parity/reproducibility.rs"]
mod reproducibility;
#[path = "policy_parity/restricted.rs"]
mod restricted;
#[path = "policy_parity/rounding.rs"]
mod rounding;
#[path = "policy_parity/sampling.rs"]
mod sampling;
#[path = "policy_parity/table.rs"]
mod table;
#[path = "policy_parity/temperature.rs"]
mod temperature;
