//! The reward terms: one `[rewards.NAME.KIND]` table each.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Deadline, Memory, Problem};

/// One reward term, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "Kinds")]
pub enum Reward {
    /// Energy above hull, eV/atom.
    Hull(HullTerm),
    /// Size of forces and stress.
    Force(ForceTerm),
    /// One output of an ONNX model.
    Onnx(OnnxTerm),
    /// A term that Temper computes itself.
    Builtin(BuiltinTerm),
    /// A plugin.
    Plugin(PluginTerm),
    /// A program.
    Process(ProcessTerm),
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

/// What takes energies to the scale of a hull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a correction, or a table with the key `plugin` or `command`")]
pub enum Correction {
    /// `none`, `mp2020`, `mp2020-as-crystalformer`, or a plugin with its usual config: its name or the path of its library.
    Named(String),
    /// A plugin.
    Plugin(CorrectionPlugin),
    /// A program that speaks the worker protocol.
    Process(CorrectionProcess),
}

impl Default for Correction {
    fn default() -> Self {
        Self::Named("none".to_owned())
    }
}

/// A correction of a plugin, and how the plugin runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionPlugin {
    /// A name, as `temper plugin list` shows it, or the path of a shared library.
    pub plugin: String,
    /// Where it runs; absent: in workers, unless it ships with Temper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// How long a batch may take, in workers.
    #[serde(default = "half_a_minute")]
    pub deadline: Deadline,
    /// Processes that share a batch.
    #[serde(default = "one_worker")]
    pub workers: usize,
    /// Memory that each may take; absent: as much as there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Restarts in a row that may be in vain.
    #[serde(default = "five")]
    pub max_restarts: u32,
    /// What the plugin calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

/// A correction of a program, and how it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionProcess {
    /// The program and its arguments. Of those that are relative paths, the ones that exist beside the config are meant.
    pub command: Vec<String>,
    /// How long a batch may take.
    #[serde(default = "half_a_minute")]
    pub deadline: Deadline,
    /// Processes that share a batch.
    #[serde(default = "one_worker")]
    pub workers: usize,
    /// Memory that each may take; absent: as much as there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Restarts in a row that may be in vain.
    #[serde(default = "five")]
    pub max_restarts: u32,
    /// What the program calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

impl CorrectionPlugin {
    /// A plugin of which nothing is said but its name.
    pub fn usual(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            isolation: None,
            deadline: half_a_minute(),
            workers: one_worker(),
            memory: None,
            max_restarts: five(),
            config: Map::new(),
        }
    }
}

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
    /// How long the potential may take for one crystal; absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// What passes the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
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
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// The filter's bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
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
    /// How long the model may take for one crystal; absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// What passes the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// `[rewards.NAME.builtin]`: a term that Temper computes itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltinTerm {
    /// Its name.
    pub term: String,
    /// For `novelty`: what is known already, a file of formulas or structures or a hull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// What passes the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// Where a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In workers: whatever it does wrong is a recorded failure.
    Process,
    /// In Temper's own process: whatever it does wrong may end the run.
    None,
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
    /// How long a batch may take, in workers.
    #[serde(default = "half_a_minute")]
    pub deadline: Deadline,
    /// Processes that share a batch.
    #[serde(default = "one_worker")]
    pub workers: usize,
    /// Memory that each may take; absent: as much as there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Restarts in a row that may be in vain.
    #[serde(default = "five")]
    pub max_restarts: u32,
    /// A potential for the energies, if the plugin asks for them: an ONNX file or a model directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub potential: Option<PathBuf>,
    /// What the plugin calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// What passes the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

/// `[rewards.NAME.process]`: a program that speaks the worker protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessTerm {
    /// The program and its arguments. Of those that are relative paths, the ones that exist beside the config are meant.
    pub command: Vec<String>,
    /// How long a batch may take.
    #[serde(default = "half_a_minute")]
    pub deadline: Deadline,
    /// Processes that share a batch.
    #[serde(default = "one_worker")]
    pub workers: usize,
    /// Memory that each may take; absent: as much as there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Restarts in a row that may be in vain.
    #[serde(default = "five")]
    pub max_restarts: u32,
    /// A potential for the energies, if the program asks for them: an ONNX file or a model directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub potential: Option<PathBuf>,
    /// What the program calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// What a failed crystal counts.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Reward or filter.
    #[serde(default)]
    pub role: Role,
    /// What passes the filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

fn half_a_minute() -> Deadline {
    Deadline::seconds(30)
}

fn one_worker() -> usize {
    1
}

fn five() -> u32 {
    5
}

fn one() -> f64 {
    1.0
}

/// The reference code of CrystalFormer clips forces and stress alike.
fn reference_clip() -> [f64; 2] {
    [0.01, 100.0]
}

/// The table of one term as written: exactly one kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    hull: Option<HullTerm>,
    force: Option<ForceTerm>,
    onnx: Option<OnnxTerm>,
    builtin: Option<BuiltinTerm>,
    plugin: Option<PluginTerm>,
    process: Option<ProcessTerm>,
}

impl TryFrom<Kinds> for Reward {
    type Error = String;

    fn try_from(kinds: Kinds) -> Result<Self, String> {
        let kinds = [
            kinds.hull.map(Self::Hull),
            kinds.force.map(Self::Force),
            kinds.onnx.map(Self::Onnx),
            kinds.builtin.map(Self::Builtin),
            kinds.plugin.map(Self::Plugin),
            kinds.process.map(Self::Process),
        ];
        let mut given = kinds.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(term), None) => Ok(term),
            (None, _) => {
                Err("the kind is missing: write [rewards.NAME.hull], .force, .onnx, .builtin, .plugin or .process"
                    .to_owned())
            }
            _ => Err("a term has one kind; give each kind a name of its own".to_owned()),
        }
    }
}

impl ForceTerm {
    fn check(&self, key: impl Fn(&str) -> String) -> Result<(), Problem> {
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

impl Reward {
    pub(super) fn check(&self, name: &str) -> Result<(), Problem> {
        let (kind, on_failure, role, bound) = match self {
            Self::Hull(t) => ("hull", t.on_failure, t.role, t.bound),
            Self::Force(t) => ("force", t.on_failure, t.role, t.bound),
            Self::Onnx(t) => ("onnx", t.on_failure, t.role, t.bound),
            Self::Builtin(t) => ("builtin", t.on_failure, t.role, t.bound),
            Self::Plugin(t) => ("plugin", t.on_failure, t.role, t.bound),
            Self::Process(t) => ("process", t.on_failure, t.role, t.bound),
        };
        let key = |last: &str| format!("rewards.{name}.{kind}.{last}");
        if let Self::Force(term) = self {
            term.check(key)?;
        }
        if let Self::Process(term) = self {
            let given = term.command.first().is_some_and(|program| !program.is_empty());
            Problem::unless(given, &key("command"), "[]", "must name a program")?;
        }
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
            (_, Some(bound)) => bound.check(&key("bound")),
            (_, None) => Ok(()),
        }
    }
}
