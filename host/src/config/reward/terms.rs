//! The table of a term, by kind, without the keys that all kinds have.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Correction, Relax};
use crate::config::{Deadline, Isolation, ModelSupervision, Problem, Supervision, check_plugin_config};

/// `[rewards.NAME.hull]`: energy of a potential above a convex hull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HullTerm {
    /// The potential: an ONNX file or a model directory.
    pub potential: PathBuf,
    /// The hull of reference entries.
    pub reference: PathBuf,
    /// What takes the energies to the hull's scale.
    #[serde(default)]
    pub correction: Correction,
    /// Relaxes each crystal first; absent: it is scored as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relax: Option<Relax>,
    /// How long the potential may take for one crystal; absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Where the potential runs.
    #[serde(flatten, skip_deserializing)]
    pub supervision: ModelSupervision,
}

/// `[rewards.NAME.force]`: how far a crystal is from rest, `ln(mean |F| + stress_weight * mean |stress|)` of a potential's
/// forces and stress, clipped before the means are taken. To be lowered: the objective is `-NAME`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForceTerm {
    /// The potential: an ONNX file or a model directory. Where it gives only energies, these are differentiated.
    pub potential: PathBuf,
    /// What the mean stress is multiplied with, A^2.
    #[serde(default = "one")]
    pub stress_weight: f64,
    /// Lower and upper end of the force on an atom, eV/A.
    #[serde(default = "reference_clip")]
    pub force_clip: [f64; 2],
    /// Lower and upper end of a component of the stress, eV/A^3.
    #[serde(default = "reference_clip")]
    pub stress_clip: [f64; 2],
    /// How long the potential may take for one crystal; absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Where the potential runs.
    #[serde(flatten, skip_deserializing)]
    pub supervision: ModelSupervision,
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
    /// Relaxes each crystal first; absent: it is scored as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relax: Option<Relax>,
    /// How long the model may take for one crystal; absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Where the model runs.
    #[serde(flatten, skip_deserializing)]
    pub supervision: ModelSupervision,
}

/// `[rewards.NAME.builtin]`: a term that Temper computes itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinTerm {
    /// Its name.
    pub term: String,
    /// For `novelty`: what is known already, a file of formulas or structures, an index of structures, or a hull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// For `novelty` and `uniqueness`: what is compared; absent: compositions. For `diversity`: what is counted; absent: families.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ComparedBy>,
    /// For `diversity`: how many crystals of a family are worth as much as the first; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_size: Option<usize>,
    /// For `diversity`: how many batches are remembered; absent: 20.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
}

/// What makes two crystals the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComparedBy {
    /// Their reduced compositions.
    #[default]
    Composition,
    /// Their structures, as pymatgen's `StructureMatcher` compares them.
    Structure,
    /// Their space groups and reduced compositions, with yttrium and the lanthanides as one element.
    Family,
}

/// `[rewards.NAME.plugin]`: a reward of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginTerm {
    /// A name, as `temper plugin list` shows it, or the path of a shared library.
    pub library: String,
    /// Where it runs; absent: in workers, unless it ships with Temper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// How its workers are supervised.
    #[serde(flatten, skip_deserializing)]
    pub supervision: Supervision,
    /// A potential for the energies, if the plugin asks for them: an ONNX file or a model directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub potential: Option<PathBuf>,
    /// What the plugin calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

/// `[rewards.NAME.process]`: a program that speaks the worker protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessTerm {
    /// The program and its arguments. Of those that are relative paths, the ones that exist beside the config are meant.
    pub command: Vec<String>,
    /// How its workers are supervised.
    #[serde(flatten, skip_deserializing)]
    pub supervision: Supervision,
    /// A potential for the energies, if the program asks for them: an ONNX file or a model directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub potential: Option<PathBuf>,
    /// What the program calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

fn one() -> f64 {
    1.0
}

/// The reference code of CrystalFormer clips forces and stress alike.
fn reference_clip() -> [f64; 2] {
    [0.01, 100.0]
}

/// Most batches that are remembered: they are in every checkpoint.
const LONGEST_WINDOW: usize = 1000;

impl BuiltinTerm {
    /// Crystals of a family that are worth as much as the first, if it is not said how many.
    pub const BUCKET_SIZE: usize = 5;
    /// Batches that are remembered, if it is not said how many.
    pub const WINDOW: usize = 20;

    pub(super) fn check(&self, key: impl Fn(&str) -> String) -> Result<(), Problem> {
        let size = self.bucket_size.unwrap_or(Self::BUCKET_SIZE);
        Problem::unless(size >= 1, &key("bucket_size"), size, "must be at least 1")?;
        let window = self.window.unwrap_or(Self::WINDOW);
        let rule = format!("must be 1 to {LONGEST_WINDOW}");
        Problem::unless((1..=LONGEST_WINDOW).contains(&window), &key("window"), window, &rule)
    }
}

impl ForceTerm {
    pub(super) fn check(&self, key: impl Fn(&str) -> String) -> Result<(), Problem> {
        let weight = self.stress_weight;
        let sane = weight >= 0.0 && weight.is_finite();
        Problem::unless(sane, &key("stress_weight"), weight, "must be at least 0")?;
        for (name, [low, high]) in [("force_clip", self.force_clip), ("stress_clip", self.stress_clip)] {
            let sane = low > 0.0 && low < high && high.is_finite();
            let what = format!("[{low}, {high}]");
            Problem::unless(sane, &key(name), what, "must be two numbers above 0, the lower first")?;
        }
        Ok(())
    }
}

impl ProcessTerm {
    pub(super) fn check(&self, key: impl Fn(&str) -> String) -> Result<(), Problem> {
        let given = self.command.first().is_some_and(|program| !program.is_empty());
        Problem::unless(given, &key("command"), "[]", "must name a program")?;
        check_plugin_config(&self.config, &key("config"))
    }
}
