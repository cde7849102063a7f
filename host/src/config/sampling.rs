//! What is sampled: the `[sampling]` table.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Problem, Temperature};

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
    /// Most Wyckoff sites of a crystal; absent: as many as the policy has slots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sites: Option<usize>,
    /// Most atoms in the conventional cell; absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_atoms: Option<usize>,
    /// How many different elements a crystal has; absent: any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_elements: Option<ElementCount>,
    /// Compositions that a crystal may have, such as `LiMO2`; absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// How sharp the distributions are that the policy draws from and is scored by; absent: as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Temperature>,
    /// Share of the probability kept in each discrete choice, 0 < top_p <= 1.
    pub top_p: f64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            batch: 200,
            spacegroups: SpaceGroups::Training,
            elements: None,
            max_sites: None,
            max_atoms: None,
            n_elements: None,
            formula: None,
            temperature: None,
            top_p: 1.0,
        }
    }
}

/// Crystals of a batch are in memory all at once.
pub(super) const LARGEST_BATCH: usize = 1_000_000;

impl Sampling {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let batch = (1..=LARGEST_BATCH).contains(&self.batch);
        Problem::unless(batch, "sampling.batch", self.batch, &format!("must be 1 to {LARGEST_BATCH}"))?;
        self.temperature.map_or(Ok(()), Temperature::check)?;
        let top_p = self.top_p;
        Problem::unless(top_p > 0.0 && top_p <= 1.0, "sampling.top_p", top_p, "must be more than 0 and at most 1")?;
        for (key, value) in [("sampling.max_sites", self.max_sites), ("sampling.max_atoms", self.max_atoms)] {
            Problem::unless(value != Some(0), key, 0, "must be at least 1")?;
        }
        self.n_elements.as_ref().map_or(Ok(()), ElementCount::check)?;
        self.spacegroups.check()
    }
}

/// How many different elements a crystal has: `{ min = 2, max = 3 }`, one of the two or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElementCount {
    /// Fewest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<usize>,
    /// Most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
}

impl ElementCount {
    fn check(&self) -> Result<(), Problem> {
        let key = "sampling.n_elements";
        let wrong = |message: &str| Err(Problem::new(key, format!("`{key}`: {message}")));
        match (self.min, self.max) {
            (None, None) => wrong("give `min`, `max` or both"),
            (Some(0), _) | (_, Some(0)) => wrong("`min` and `max` must be at least 1"),
            (Some(min), Some(max)) if min > max => wrong(&format!("`min` = {min} is more than `max` = {max}")),
            _ => Ok(()),
        }
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

/// Which elements may appear, and which must. Names are symbols (`Li`) or, but for those that must, the classes `radioactive` and
/// `noble-gas`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ElementsTable")]
pub struct Elements {
    /// None of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<String>>,
    /// These and no others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// All of these in every crystal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}

/// The `elements` table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ElementsTable {
    exclude: Option<Vec<String>>,
    only: Option<Vec<String>>,
    require: Option<Vec<String>>,
}

impl TryFrom<ElementsTable> for Elements {
    type Error = &'static str;

    fn try_from(table: ElementsTable) -> Result<Self, Self::Error> {
        let ElementsTable { exclude, only, require } = table;
        if exclude.is_some() && only.is_some() {
            return Err("give either `exclude` or `only`, a list of elements");
        }
        if exclude.is_none() && only.is_none() && require.is_none() {
            return Err("give `exclude`, `only` or `require`, a list of elements");
        }
        Ok(Self { exclude, only, require: require.unwrap_or_default() })
    }
}
