//! How sharp the distributions of tokens are: `temperature = 0.5`, or `temperature = { xyz = 0.2, l = 0.2 }`.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

use super::Problem;

/// One temperature for every kind of token, or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Temperature {
    /// Of all.
    All(f64),
    /// Of each kind.
    Each(TemperatureTable),
}

/// A temperature for some kinds of token; the others keep what the policy has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemperatureTable {
    /// Of the Wyckoff letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w: Option<f64>,
    /// Of the elements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<f64>,
    /// Of the coordinates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xyz: Option<f64>,
    /// Of the lattice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub l: Option<f64>,
}

/// Lower ones would take logits beyond the marks of what is forbidden.
const LOWEST: f64 = 1e-3;

impl Temperature {
    /// The temperature of each kind.
    pub fn each(self) -> TemperatureTable {
        match self {
            Self::All(t) => TemperatureTable { w: Some(t), a: Some(t), xyz: Some(t), l: Some(t) },
            Self::Each(table) => table,
        }
    }

    pub(super) fn check(self) -> Result<(), Problem> {
        let table = self.each();
        for (kind, value) in [("w", table.w), ("a", table.a), ("xyz", table.xyz), ("l", table.l)] {
            let Some(value) = value else { continue };
            let key = match self {
                Self::All(_) => "sampling.temperature".to_owned(),
                Self::Each(_) => format!("sampling.temperature.{kind}"),
            };
            let rule = format!("must be at least {LOWEST}");
            Problem::unless(value >= LOWEST && value.is_finite(), &key, value, &rule)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Temperature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TemperatureVisitor)
    }
}

struct TemperatureVisitor;

impl<'de> Visitor<'de> for TemperatureVisitor {
    type Value = Temperature;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a table such as { xyz = 0.5, l = 0.5 }")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Temperature, E> {
        Ok(Temperature::All(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Temperature, E> {
        Ok(Temperature::All(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Temperature, E> {
        Ok(Temperature::All(value as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Temperature, A::Error> {
        TemperatureTable::deserialize(MapAccessDeserializer::new(entries)).map(Temperature::Each)
    }
}
