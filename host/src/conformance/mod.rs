//! What the conformance checks of models (`temper model check`) and of plugins (`temper plugin check`) share: how a check ends, which
//! crystals are checked on, and changes of a crystal that its numbers must not notice.

mod crystals;
mod result;
mod transform;

pub use crystals::{CheckCrystals, NamedCrystal, SPACING};
pub use result::{CheckResult, CheckStatus, failed};
pub use transform::{Matrix, rattling, rotated, rotation, times, translated};
