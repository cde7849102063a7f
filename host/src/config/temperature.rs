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

/// A temperature for each kind of token; 1 where none is given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TemperatureTable {
    /// Of the Wyckoff letters.
    pub w: f64,
    /// Of the elements.
    pub a: f64,
    /// Of the coordinates.
    pub xyz: f64,
    /// Of the lattice.
    pub l: f64,
}

impl Default for TemperatureTable {
    fn default() -> Self {
        Self { w: 1.0, a: 1.0, xyz: 1.0, l: 1.0 }
    }
}

impl Temperature {
    /// The temperature of each kind.
    pub fn each(self) -> TemperatureTable {
        match self {
            Self::All(t) => TemperatureTable { w: t, a: t, xyz: t, l: t },
            Self::Each(table) => table,
        }
    }

    pub(super) fn check(self) -> Result<(), Problem> {
        let TemperatureTable { w, a, xyz, l } = self.each();
        let kinds = [("sampling.temperature.w", w), ("sampling.temperature.a", a)];
        let kinds = kinds.into_iter().chain([("sampling.temperature.xyz", xyz), ("sampling.temperature.l", l)]);
        for (key, value) in kinds {
            let key = if matches!(self, Self::All(_)) { "sampling.temperature" } else { key };
            Problem::unless(value > 0.0 && value.is_finite(), key, value, "must be more than 0")?;
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
