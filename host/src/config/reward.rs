//! The reward terms: one `[rewards.NAME.KIND]` table each.

use std::path::PathBuf;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Problem;

/// One reward term, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "Kinds")]
pub enum Reward {
    /// Energy above hull, eV/atom.
    Hull(HullTerm),
    /// One output of an ONNX model.
    Onnx(OnnxTerm),
    /// A term that Temper computes itself.
    Builtin(BuiltinTerm),
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
    /// A gate: crystals whose value is below the bound skip the dearer terms.
    Filter,
}

/// `[rewards.NAME.hull]`: energy of a potential above a convex hull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HullTerm {
    /// The potential: an ONNX file or a model directory.
    pub potential: PathBuf,
    /// The hull of reference entries.
    pub reference: PathBuf,
    /// Name of a correction to the energies (`mp2020`, `mp2020-as-crystalformer`), or `none`.
    #[serde(default = "none")]
    pub correction: String,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// The filter's bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
}

/// `[rewards.NAME.onnx]`: one property of an ONNX model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnnxTerm {
    /// The model: an ONNX file or a model directory.
    pub model: PathBuf,
    /// Which output; needed when the model has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Fidelity or head, for models that declare `state`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<i64>,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// The filter's bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
}

/// `[rewards.NAME.builtin]`: a term that Temper computes itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinTerm {
    /// Its name.
    pub term: String,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// The filter's bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<f64>,
}

pub(super) fn none() -> String {
    "none".to_owned()
}

/// The table of one term as written: exactly one kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    hull: Option<HullTerm>,
    onnx: Option<OnnxTerm>,
    builtin: Option<BuiltinTerm>,
    plugin: Option<IgnoredAny>,
    process: Option<IgnoredAny>,
}

impl TryFrom<Kinds> for Reward {
    type Error = String;

    fn try_from(kinds: Kinds) -> Result<Self, String> {
        for (name, given) in [("plugin", kinds.plugin.is_some()), ("process", kinds.process.is_some())] {
            if given {
                return Err(format!("this version has no terms of kind `{name}` yet; it has hull, onnx and builtin"));
            }
        }
        match (kinds.hull, kinds.onnx, kinds.builtin) {
            (Some(term), None, None) => Ok(Self::Hull(term)),
            (None, Some(term), None) => Ok(Self::Onnx(term)),
            (None, None, Some(term)) => Ok(Self::Builtin(term)),
            (None, None, None) => Err("the kind is missing: write [rewards.NAME.hull], .onnx or .builtin".to_owned()),
            _ => Err("a term is of one kind; give each its own name".to_owned()),
        }
    }
}

impl Reward {
    pub(super) fn check(&self, name: &str) -> Result<(), Problem> {
        let (kind, on_failure, role, bound) = match self {
            Self::Hull(t) => ("hull", t.on_failure, t.role, t.bound),
            Self::Onnx(t) => ("onnx", t.on_failure, t.role, t.bound),
            Self::Builtin(t) => ("builtin", t.on_failure, t.role, t.bound),
        };
        let key = |last: &str| format!("rewards.{name}.{kind}.{last}");
        if let OnFailure::Value(value) = on_failure {
            Problem::unless(value.is_finite(), &key("on_failure"), value, "must be finite")?;
        }
        match (role, bound) {
            (Role::Filter, None) => {
                Err(Problem::new(&key("role"), format!("`{}` = \"filter\" needs a `bound`", key("role"))))
            }
            (Role::Reward, Some(bound)) => {
                Problem::unless(false, &key("bound"), bound, "only a term with role = \"filter\" has a bound")
            }
            (_, Some(bound)) => Problem::unless(bound.is_finite(), &key("bound"), bound, "must be finite"),
            (_, None) => Ok(()),
        }
    }
}
