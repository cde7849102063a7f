//! What a term's value is for, and what counts where there is none: the keys that terms of all kinds have.

use std::fmt;

use serde::de::MapAccess;
use serde::{Deserialize, Serialize};

use crate::config::Problem;
use crate::config::shared_keys::SharedKeys;

/// The keys `on_failure`, `role` and `bound` of a term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Gate {
    /// What a failed crystal counts.
    pub on_failure: OnFailure,
    /// Reward or filter.
    pub role: Role,
    /// What passes the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// What a crystal counts when its term failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// The term's documented worst value, else the worst finite one of the batch.
    #[default]
    Worst,
    /// The crystal leaves the batch.
    Drop,
    /// This value.
    Value(f64),
}

/// What a term is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A value for the objective.
    #[default]
    Reward,
    /// A gate: crystals whose value is outside of the bound skip the dearer terms.
    Filter,
}

/// What passes a filter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, the least that passes, or { min = ..., max = ... }")]
pub enum Bound {
    /// This and more.
    AtLeast(f64),
    /// From one end to the other, both included.
    Between(Ends),
}

/// The ends of a [`Bound`]; an absent one is open.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ends {
    /// The least that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl Bound {
    /// The least and the most that passes; infinite where there is no end.
    pub fn ends(self) -> [f64; 2] {
        match self {
            Self::AtLeast(least) => [least, f64::INFINITY],
            Self::Between(Ends { min, max }) => [min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY)],
        }
    }

    fn check(self, key: &str) -> Result<(), Problem> {
        let (given, [low, high]) = match self {
            Self::AtLeast(least) => (vec![least], [least; 2]),
            Self::Between(ends) => ([ends.min, ends.max].into_iter().flatten().collect(), self.ends()),
        };
        let fine = !given.is_empty() && given.iter().all(|end| end.is_finite()) && low <= high;
        Problem::unless(fine, key, self, "must have a finite end, and min at most max")
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "{least}"),
            Self::Between(Ends { min: Some(min), max: Some(max) }) => write!(f, "{{ min = {min}, max = {max} }}"),
            Self::Between(Ends { min: Some(min), max: None }) => write!(f, "{{ min = {min} }}"),
            Self::Between(Ends { min: None, max: Some(max) }) => write!(f, "{{ max = {max} }}"),
            Self::Between(Ends { min: None, max: None }) => f.write_str("{}"),
        }
    }
}

impl SharedKeys for Gate {
    fn names() -> Vec<&'static str> {
        vec!["on_failure", "role", "bound"]
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, table: &mut A) -> Result<(), A::Error> {
        match name {
            "on_failure" => self.on_failure = table.next_value()?,
            "role" => self.role = table.next_value()?,
            _ => self.bound = Some(table.next_value()?),
        }
        Ok(())
    }
}

impl Gate {
    /// `key` gives the dotted path of a key of the term's table.
    pub(super) fn check(&self, key: impl Fn(&str) -> String) -> Result<(), Problem> {
        if let OnFailure::Value(value) = self.on_failure {
            Problem::unless(value.is_finite(), &key("on_failure"), value, "must be finite")?;
        }
        match (self.role, self.bound) {
            (Role::Filter, None) => {
                Err(Problem::new(&key("role"), format!("`{}` = \"filter\" needs a `bound`", key("role"))))
            }
            (Role::Reward, Some(bound)) => {
                Problem::unless(false, &key("bound"), bound, "only a term with role = \"filter\" has a bound")
            }
            (_, Some(bound)) => bound.check(&key("bound")),
            (_, None) => Ok(()),
        }
    }
}
