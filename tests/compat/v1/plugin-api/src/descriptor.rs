//! What a plugin says of itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a plugin says of itself before it is used. Crosses the boundary as JSON, so that later versions may add to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Descriptor {
    /// Name, unique among a user's plugins.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// SPDX expression of its licence; empty: not said.
    #[serde(default)]
    pub licence: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// Version of the interface that it was built with.
    #[serde(default)]
    pub api: String,
    /// What it offers.
    pub interfaces: Vec<InterfaceDescriptor>,
}

/// One interface that a plugin offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct InterfaceDescriptor {
    /// `reward/1` or `hull-correction/1`.
    pub id: String,
    /// What its author claims.
    #[serde(flatten)]
    pub properties: Properties,
    /// JSON schema of its config.
    #[serde(default)]
    pub config_schema: Value,
}

/// What the author of a reward or correction claims about it. The host relies on it; `temper plugin check` tries it.
///
/// ```
/// let claims = temper_plugin_api::Properties::new("g/cm^3").range(0.0, f64::INFINITY);
/// # assert_eq!(claims.unit, "g/cm^3");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Properties {
    /// Unit of the values; "1" for plain numbers. A hull correction's is eV (per cell).
    pub unit: String,
    /// Atomic numbers of the elements that it knows; `None`: all.
    pub elements: Option<Vec<u8>>,
    /// Same crystals, same bits.
    pub deterministic: bool,
    /// May be called from several threads at once.
    pub thread_safe: bool,
    /// The value of a crystal does not depend on where its origin lies.
    pub translation_invariant: bool,
    /// Nor on how it is turned in space.
    pub rotation_invariant: bool,
    /// Nor on the order of its atoms.
    pub permutation_invariant: bool,
    /// Least and greatest value; `None`: open.
    pub range: [Option<f64>; 2],
    /// What a failure counts as, unless the user says otherwise; `None`: the worst of the batch.
    pub worst: Option<f64>,
    /// Whether batches should carry space groups and Wyckoff letters.
    pub symmetry: bool,
    /// Whether batches should carry energies.
    pub energies: bool,
    /// For a hull correction: the energy references that it takes energies from and to.
    pub scales: Option<[String; 2]>,
}

impl Default for Properties {
    fn default() -> Self {
        Self::new("1")
    }
}

impl Properties {
    /// A deterministic function of the crystal, whatever its origin, orientation and order of atoms, for all elements and safe
    /// to call from several threads.
    pub fn new(unit: &str) -> Self {
        Self {
            unit: unit.to_owned(),
            elements: None,
            deterministic: true,
            thread_safe: true,
            translation_invariant: true,
            rotation_invariant: true,
            permutation_invariant: true,
            range: [None; 2],
            worst: None,
            symmetry: false,
            energies: false,
            scales: None,
        }
    }

    /// Knows only these elements, by atomic number. The host fails crystals with others before it calls.
    #[must_use]
    pub fn elements(mut self, numbers: impl IntoIterator<Item = u8>) -> Self {
        self.elements = Some(numbers.into_iter().collect());
        self
    }

    /// Values lie between these two; infinite: open.
    #[must_use]
    pub fn range(mut self, least: f64, greatest: f64) -> Self {
        self.range = [least, greatest].map(|end| Some(end).filter(|end| end.is_finite()));
        self
    }

    /// A failure counts as this value.
    #[must_use]
    pub fn worst(mut self, value: f64) -> Self {
        self.worst = Some(value);
        self
    }

    /// Two calls with the same crystals may give different values.
    #[must_use]
    pub fn not_deterministic(mut self) -> Self {
        self.deterministic = false;
        self
    }

    /// To be called from one thread at a time.
    #[must_use]
    pub fn not_thread_safe(mut self) -> Self {
        self.thread_safe = false;
        self
    }

    /// The value depends on the origin of the cell.
    #[must_use]
    pub fn not_translation_invariant(mut self) -> Self {
        self.translation_invariant = false;
        self
    }

    /// The value depends on how the crystal is turned in space.
    #[must_use]
    pub fn not_rotation_invariant(mut self) -> Self {
        self.rotation_invariant = false;
        self
    }

    /// The value depends on the order of the atoms.
    #[must_use]
    pub fn not_permutation_invariant(mut self) -> Self {
        self.permutation_invariant = false;
        self
    }

    /// Batches shall carry space groups and Wyckoff letters.
    #[must_use]
    pub fn asks_symmetry(mut self) -> Self {
        self.symmetry = true;
        self
    }

    /// Batches shall carry energies. A hull correction always gets them.
    #[must_use]
    pub fn asks_energies(mut self) -> Self {
        self.energies = true;
        self
    }

    /// Takes energies from one energy reference to another, such as from `PBE` to `MP2020`.
    #[must_use]
    pub fn scales(mut self, from: &str, to: &str) -> Self {
        self.scales = Some([from.to_owned(), to.to_owned()]);
        self
    }
}

impl Descriptor {
    /// The interface with an id.
    pub fn interface(&self, id: &str) -> Option<&InterfaceDescriptor> {
        self.interfaces.iter().find(|interface| interface.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_later_versions_add_is_ignored_and_what_earlier_ones_lack_is_assumed() {
        let text = r#"{"name": "x", "version": "2", "colour": "red",
            "interfaces": [{"id": "reward/1", "unit": "eV", "half_life": 3, "range": [0.0, null]}]}"#;
        let read: Descriptor = serde_json::from_str(text).unwrap();
        let interface = read.interface("reward/1").unwrap();
        assert_eq!(interface.properties, Properties::new("eV").range(0.0, f64::INFINITY));
        assert_eq!(read.interface("reward/2"), None);
    }
}
