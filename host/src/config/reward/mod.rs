//! The reward terms: one `[rewards.NAME.KIND]` table each.

mod correction;
mod gate;
mod terms;

use serde::{Deserialize, Serialize, Serializer};

use super::shared_keys::With;
use super::{ModelSupervision, Problem, Supervision, check_plugin_config};

pub use correction::{Correction, CorrectionPlugin, CorrectionProcess};
pub use gate::{Bound, Ends, Gate, OnFailure, Role};
pub use terms::{BuiltinTerm, ComparedBy, ForceTerm, HullTerm, OnnxTerm, PluginTerm, ProcessTerm};

/// One reward term.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Kinds")]
pub struct Reward {
    /// What it computes.
    pub kind: RewardKind,
    /// What its value is for.
    pub gate: Gate,
}

/// What a term computes.
#[derive(Clone, Debug, PartialEq)]
pub enum RewardKind {
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

/// The table of one term as written: exactly one kind.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    hull: Option<With<HullTerm, (ModelSupervision, Gate)>>,
    force: Option<With<ForceTerm, (ModelSupervision, Gate)>>,
    onnx: Option<With<OnnxTerm, (ModelSupervision, Gate)>>,
    builtin: Option<With<BuiltinTerm, Gate>>,
    plugin: Option<With<PluginTerm, (Supervision, Gate)>>,
    process: Option<With<ProcessTerm, (Supervision, Gate)>>,
}

impl TryFrom<Kinds> for Reward {
    type Error = String;

    fn try_from(kinds: Kinds) -> Result<Self, String> {
        fn term<T, S>(kind: impl Fn(T, S) -> RewardKind) -> impl Fn(With<T, (S, Gate)>) -> Reward {
            move |With { own, shared: (supervision, gate) }| Reward { kind: kind(own, supervision), gate }
        }
        let builtin = |With { own, shared: gate }| Reward { kind: RewardKind::Builtin(own), gate };
        let kinds = [
            kinds.hull.map(term(|own, supervision| RewardKind::Hull(HullTerm { supervision, ..own }))),
            kinds.force.map(term(|own, supervision| RewardKind::Force(ForceTerm { supervision, ..own }))),
            kinds.onnx.map(term(|own, supervision| RewardKind::Onnx(OnnxTerm { supervision, ..own }))),
            kinds.builtin.map(builtin),
            kinds.plugin.map(term(|own, supervision| RewardKind::Plugin(PluginTerm { supervision, ..own }))),
            kinds.process.map(term(|own, supervision| RewardKind::Process(ProcessTerm { supervision, ..own }))),
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

impl Serialize for Reward {
    /// As written: a table with the name of the kind, with the keys of the kind and then those of the gate.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Table<'a, T> {
            #[serde(flatten)]
            own: &'a T,
            #[serde(flatten)]
            gate: &'a Gate,
        }

        fn table<S: Serializer, T: Serialize>(
            serializer: S,
            kind: &str,
            own: &T,
            gate: &Gate,
        ) -> Result<S::Ok, S::Error> {
            serializer.collect_map([(kind, Table { own, gate })])
        }

        let (kind, gate) = (self.kind.name(), &self.gate);
        match &self.kind {
            RewardKind::Hull(own) => table(serializer, kind, own, gate),
            RewardKind::Force(own) => table(serializer, kind, own, gate),
            RewardKind::Onnx(own) => table(serializer, kind, own, gate),
            RewardKind::Builtin(own) => table(serializer, kind, own, gate),
            RewardKind::Plugin(own) => table(serializer, kind, own, gate),
            RewardKind::Process(own) => table(serializer, kind, own, gate),
        }
    }
}

impl RewardKind {
    /// Where its model runs, if it is one of a model.
    pub(in crate::config) fn model_supervision(&mut self) -> Option<&mut ModelSupervision> {
        match self {
            Self::Hull(term) => Some(&mut term.supervision),
            Self::Force(term) => Some(&mut term.supervision),
            Self::Onnx(term) => Some(&mut term.supervision),
            Self::Builtin(_) | Self::Plugin(_) | Self::Process(_) => None,
        }
    }

    /// The name of its table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hull(_) => "hull",
            Self::Force(_) => "force",
            Self::Onnx(_) => "onnx",
            Self::Builtin(_) => "builtin",
            Self::Plugin(_) => "plugin",
            Self::Process(_) => "process",
        }
    }
}

impl Reward {
    pub(super) fn check(&self, name: &str) -> Result<(), Problem> {
        let kind = self.kind.name();
        let key = |last: &str| format!("rewards.{name}.{kind}.{last}");
        match &self.kind {
            RewardKind::Hull(term) => term.correction.check(&key("correction"))?,
            RewardKind::Force(term) => term.check(key)?,
            RewardKind::Plugin(term) => check_plugin_config(&term.config, &key("config"))?,
            RewardKind::Process(term) => term.check(key)?,
            RewardKind::Onnx(_) | RewardKind::Builtin(_) => {}
        }
        self.gate.check(key)
    }
}
