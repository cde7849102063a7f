//! Scales of energies.

use std::borrow::Cow;
use std::fmt;

/// What energies must share before they can be compared: the method and the corrections behind them, by name. Models and hulls
/// state it as their energy reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnergyScale(Cow<'static, str>);

impl EnergyScale {
    /// PBE, with and without a Hubbard U as the Materials Project's relaxation set prescribes, uncorrected.
    pub const PBE: Self = Self(Cow::Borrowed("PBE"));
    /// The same with the Materials Project's corrections of 2020.
    pub const MP2020: Self = Self(Cow::Borrowed("MP2020"));

    /// The scale of a name; names are compared as they are written.
    pub fn named(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }
}

impl fmt::Display for EnergyScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
