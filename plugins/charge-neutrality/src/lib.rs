//! Whether a composition can be charge neutral: the rule of SMACT (Davies et al., J. Open Source Softw. 4, 1361 (2019)) as
//! CDVAE applies it to generated crystals (Xie et al., arXiv 2110.06197, appendix), as functions and as a plugin for Temper.

mod reward;
mod rule;
mod smact;

pub use reward::{ChargeNeutrality, Config};
pub use rule::{Undecided, charge_neutral, imbalance};

use serde::Deserialize;
use temper_plugin_api::Plugin;

/// Whose tables of oxidation states and electronegativities decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
pub enum Tables {
    /// Version 2.2.1, by which most published validities were computed.
    #[serde(rename = "smact-2.2")]
    Smact2,
    /// Version 3.2.0, with revised oxidation states.
    #[default]
    #[serde(rename = "smact-3.2")]
    Smact3,
}

/// The plugin.
pub fn plugin() -> Plugin {
    Plugin::new("charge-neutrality", env!("CARGO_PKG_VERSION"))
        .licence("MIT OR Apache-2.0")
        .description("Whether oxidation states of the elements can cancel, by the rule of SMACT")
        .reward::<ChargeNeutrality>()
}
