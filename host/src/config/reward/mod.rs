//! The reward terms: one `[rewards.NAME.KIND]` table each.

mod correction;
mod gate;
mod relax;
mod terms;

use serde::{Deserialize, Serialize, Serializer};

use super::shared_keys::{SharedKeys, With};
use super::{ModelSupervision, Problem, Supervision, check_plugin_config};

pub use correction::{Correction, CorrectionPlugin, CorrectionProcess};
pub use gate::{Bound, Ends, Gate, OnFailure, Role};
pub use relax::{DisplacementTerm, Relax};
pub use terms::{BuiltinTerm, ComparedBy, ForceTerm, HullTerm, OnnxTerm, PluginTerm, ProcessTerm};

/// One reward term.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Kinds<HullTerm, Gate>")]
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
    /// How far a relaxation moves the atoms.
    Displacement(DisplacementTerm),
    /// One output of an ONNX model.
    Onnx(OnnxTerm),
    /// A term that Temper computes itself.
    Builtin(BuiltinTerm),
    /// A plugin.
    Plugin(PluginTerm),
    /// A program.
    Process(ProcessTerm),
}

/// The table of a term as written, which should have exactly one kind: `H` is read under `hull`, and `S` are keys that all kinds have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "H: Deserialize<'de>, S: SharedKeys"))]
pub(super) struct Kinds<H, S> {
    hull: Option<With<H, (ModelSupervision, S)>>,
    force: Option<With<ForceTerm, (ModelSupervision, S)>>,
    displacement: Option<With<DisplacementTerm, (ModelSupervision, S)>>,
    onnx: Option<With<OnnxTerm, (ModelSupervision, S)>>,
    builtin: Option<With<BuiltinTerm, S>>,
    plugin: Option<With<PluginTerm, (Supervision, S)>>,
    process: Option<With<ProcessTerm, (Supervision, S)>>,
}

impl<H, S> Kinds<H, S> {
    /// The kinds that are there.
    pub(super) fn given<K>(
        self,
        hull: impl Fn(H, ModelSupervision) -> K,
        other: impl Fn(RewardKind) -> K,
    ) -> Vec<(K, S)> {
        fn supervised<T, U, S, K>(kind: impl Fn(T, U) -> K) -> impl Fn(With<T, (U, S)>) -> (K, S) {
            move |With { own, shared: (supervision, shared) }| (kind(own, supervision), shared)
        }
        let builtin = |With { own, shared }| (RewardKind::Builtin(own), shared);
        let others = [
            self.force.map(supervised(|own, supervision| RewardKind::Force(ForceTerm { supervision, ..own }))),
            self.displacement
                .map(supervised(|own, supervision| RewardKind::Displacement(DisplacementTerm { supervision, ..own }))),
            self.onnx.map(supervised(|own, supervision| RewardKind::Onnx(OnnxTerm { supervision, ..own }))),
            self.builtin.map(builtin),
            self.plugin.map(supervised(|own, supervision| RewardKind::Plugin(PluginTerm { supervision, ..own }))),
            self.process.map(supervised(|own, supervision| RewardKind::Process(ProcessTerm { supervision, ..own }))),
        ];
        let others = others.into_iter().flatten().map(|(kind, shared)| (other(kind), shared));
        self.hull.map(supervised(hull)).into_iter().chain(others).collect()
    }
}

impl TryFrom<Kinds<HullTerm, Gate>> for Reward {
    type Error = String;

    fn try_from(kinds: Kinds<HullTerm, Gate>) -> Result<Self, String> {
        let hull = |own, supervision| RewardKind::Hull(HullTerm { supervision, ..own });
        let mut given = kinds.given(hull, |kind| kind).into_iter();
        match (given.next(), given.next()) {
            (Some((kind, gate)), None) => Ok(Self { kind, gate }),
            (None, _) => {
                Err("the kind is missing: write [rewards.NAME.hull], .force, .displacement, .onnx, .builtin, .plugin or .process"
                    .to_owned())
            }
            _ => Err("a term has one kind; give each kind a name of its own".to_owned()),
        }
    }
}

impl Serialize for Reward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.kind.serialize_with(&self.gate, serializer)
    }
}

/// A table with the name of the kind, with the keys of the kind and then those that all kinds have, as written.
pub(super) fn serialize_kind<S: Serializer>(
    kind: &str,
    own: &impl Serialize,
    shared: &impl Serialize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Table<'a, T, G> {
        #[serde(flatten)]
        own: &'a T,
        #[serde(flatten)]
        shared: &'a G,
    }
    serializer.collect_map([(kind, Table { own, shared })])
}

impl RewardKind {
    /// Where its model runs, if it is one of a model.
    pub(in crate::config) fn model_supervision(&mut self) -> Option<&mut ModelSupervision> {
        match self {
            Self::Hull(term) => Some(&mut term.supervision),
            Self::Force(term) => Some(&mut term.supervision),
            Self::Displacement(term) => Some(&mut term.supervision),
            Self::Onnx(term) => Some(&mut term.supervision),
            Self::Builtin(_) | Self::Plugin(_) | Self::Process(_) => None,
        }
    }

    /// The name of its table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hull(_) => "hull",
            Self::Force(_) => "force",
            Self::Displacement(_) => "displacement",
            Self::Onnx(_) => "onnx",
            Self::Builtin(_) => "builtin",
            Self::Plugin(_) => "plugin",
            Self::Process(_) => "process",
        }
    }
}

impl RewardKind {
    /// See [`serialize_kind`].
    pub(super) fn serialize_with<S: Serializer>(
        &self,
        shared: &impl Serialize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match self {
            Self::Hull(own) => serialize_kind(self.name(), own, shared, serializer),
            Self::Force(own) => serialize_kind(self.name(), own, shared, serializer),
            Self::Displacement(own) => serialize_kind(self.name(), own, shared, serializer),
            Self::Onnx(own) => serialize_kind(self.name(), own, shared, serializer),
            Self::Builtin(own) => serialize_kind(self.name(), own, shared, serializer),
            Self::Plugin(own) => serialize_kind(self.name(), own, shared, serializer),
            Self::Process(own) => serialize_kind(self.name(), own, shared, serializer),
        }
    }

    /// `table` is where it is written, such as `rewards.gap`.
    pub(super) fn check(&self, table: &str) -> Result<(), Problem> {
        let key = |last: &str| format!("{table}.{}.{last}", self.name());
        match self {
            Self::Hull(term) => {
                term.correction.check(&key("correction"))?;
                term.relax.as_ref().map_or(Ok(()), |relax| relax.check(&key("relax")))
            }
            Self::Onnx(term) => term.relax.as_ref().map_or(Ok(()), |relax| relax.check(&key("relax"))),
            Self::Displacement(term) => term.relax.check(&key("relax")),
            Self::Force(term) => term.check(key),
            Self::Plugin(term) => check_plugin_config(&term.config, &key("config")),
            Self::Process(term) => term.check(key),
            Self::Builtin(term) => term.check(key),
        }
    }
}

impl Reward {
    pub(super) fn check(&self, name: &str) -> Result<(), Problem> {
        let table = format!("rewards.{name}");
        self.kind.check(&table)?;
        self.gate.check(|last| format!("{table}.{}.{last}", self.kind.name()))
    }
}
