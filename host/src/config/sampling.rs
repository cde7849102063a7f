//! What is sampled: the `[sampling]` table.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Problem;

/// The `[sampling]` table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sampling {
    /// Crystals per step.
    pub batch: usize,
    /// Where space groups are drawn from.
    pub spacegroups: SpaceGroups,
    /// Which elements may appear; absent: all that the policy knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<Elements>,
    /// Divides the logits; 1 is the policy itself.
    pub temperature: f64,
    /// Share of the probability kept in each discrete choice, 0 < top_p <= 1.
    pub top_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { batch: 200, spacegroups: SpaceGroups::Training, elements: None, temperature: 1.0, top_p: 1.0 }
    }
}

impl Sampling {
    pub(super) fn check(&self) -> Result<(), Problem> {
        Problem::unless(self.batch >= 1, "sampling.batch", self.batch, "must be at least 1")?;
        let temperature = self.temperature;
        let positive = temperature > 0.0 && temperature.is_finite();
        Problem::unless(positive, "sampling.temperature", temperature, "must be more than 0")?;
        let top_p = self.top_p;
        Problem::unless(top_p > 0.0 && top_p <= 1.0, "sampling.top_p", top_p, "must be more than 0 and at most 1")?;
        self.spacegroups.check()
    }
}

/// Where space groups are drawn from: `"training"`, `[225, 216]` (evenly) or `{ 225 = 0.7, 216 = 0.3 }` (by weight).
#[derive(Clone, Debug, PartialEq)]
pub enum SpaceGroups {
    /// The frequencies in the policy's `model.toml`.
    Training,
    /// Weights by number 1..=230; they need not sum to 1.
    Weighted(BTreeMap<u16, f64>),
}

impl SpaceGroups {
    fn check(&self) -> Result<(), Problem> {
        let key = "sampling.spacegroups";
        let Self::Weighted(weights) = self else { return Ok(()) };
        if weights.is_empty() {
            return Err(Problem::new(key, format!("`{key}` is empty: name at least one, or write \"training\"")));
        }
        for (number, weight) in weights {
            if !(1..=230).contains(number) {
                return Err(Problem::new(
                    key,
                    format!("`{key}`: {number} is not a space group; they are numbered 1 to 230"),
                ));
            }
            if !(*weight > 0.0 && weight.is_finite()) {
                return Err(Problem::new(key, format!("`{key}`: the weight {weight} of {number} must be more than 0")));
            }
        }
        Ok(())
    }
}

impl Serialize for SpaceGroups {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Training => serializer.serialize_str("training"),
            Self::Weighted(weights) => serializer.collect_map(weights.iter().map(|(n, w)| (n.to_string(), w))),
        }
    }
}

impl<'de> Deserialize<'de> for SpaceGroups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpaceGroupsVisitor)
    }
}

struct SpaceGroupsVisitor;

impl<'de> Visitor<'de> for SpaceGroupsVisitor {
    type Value = SpaceGroups;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"training\", a list such as [225, 216] or weights such as { 225 = 0.7, 216 = 0.3 }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SpaceGroups, E> {
        if text == "training" {
            Ok(SpaceGroups::Training)
        } else {
            Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SpaceGroups, A::Error> {
        let mut weights = BTreeMap::new();
        while let Some(number) = items.next_element()? {
            weights.insert(number, 1.0);
        }
        Ok(SpaceGroups::Weighted(weights))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<SpaceGroups, A::Error> {
        let mut weights = BTreeMap::new();
        while let Some((number, weight)) = entries.next_entry::<String, f64>()? {
            let number = number.parse().map_err(|_| {
                serde::de::Error::custom(format!("{number:?} is not a space group; they are numbered 1 to 230"))
            })?;
            weights.insert(number, weight);
        }
        Ok(SpaceGroups::Weighted(weights))
    }
}

/// Which elements may appear. Names are symbols (`Li`) or the classes `radioactive` and `noble-gas`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "ElementsTable")]
pub enum Elements {
    /// All but these.
    Exclude(Vec<String>),
    /// These and no others.
    Only(Vec<String>),
}

/// The `elements` table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ElementsTable {
    exclude: Option<Vec<String>>,
    only: Option<Vec<String>>,
}

impl TryFrom<ElementsTable> for Elements {
    type Error = &'static str;

    fn try_from(table: ElementsTable) -> Result<Self, Self::Error> {
        match (table.exclude, table.only) {
            (Some(names), None) => Ok(Self::Exclude(names)),
            (None, Some(names)) => Ok(Self::Only(names)),
            _ => Err("give either `exclude` or `only`, a list of elements"),
        }
    }
}
