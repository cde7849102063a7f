//! The judge, `[judge.KIND]`: a second opinion on a reward term, never in the objective.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::MapAccess;
use serde::{Deserialize, Serialize, Serializer};

use super::finetune::no_term;
use super::reward::{Kinds, serialize_kind};
use super::shared_keys::SharedKeys;
use super::{Correction, Deadline, ModelSupervision, Problem, Reward, RewardKind};

/// The `[judge.KIND]` table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Kinds<JudgeHull, Verdicts>")]
pub struct Judge {
    /// What it computes.
    pub kind: JudgeKind,
    /// When, and of which term.
    pub verdicts: Verdicts,
}

/// What a judge computes.
#[derive(Clone, Debug, PartialEq)]
pub enum JudgeKind {
    /// Energy above hull by another potential.
    Hull(JudgeHull),
    /// What any other term may compute.
    Term(RewardKind),
}

/// `[judge.hull]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeHull {
    /// The potential: an ONNX file or a model directory.
    pub potential: PathBuf,
    /// The hull of reference entries; absent: that of the first hull term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// What takes the energies to the hull's scale.
    #[serde(default)]
    pub correction: Correction,
    /// How long the potential may take for one crystal; absent: as long as it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
    /// Where the potential runs.
    #[serde(flatten, skip_deserializing)]
    pub supervision: ModelSupervision,
}

/// The keys that all kinds of judges have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Steps from one verdict to the next.
    pub every: usize,
    /// The reward term that it is compared with; absent: the first one of its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judges: Option<String>,
}

impl Default for Verdicts {
    fn default() -> Self {
        Self { every: 5, judges: None }
    }
}

impl SharedKeys for Verdicts {
    fn names() -> Vec<&'static str> {
        vec!["every", "judges"]
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, table: &mut A) -> Result<(), A::Error> {
        match name {
            "every" => self.every = table.next_value()?,
            _ => self.judges = Some(table.next_value()?),
        }
        Ok(())
    }
}

impl TryFrom<Kinds<JudgeHull, Verdicts>> for Judge {
    type Error = String;

    fn try_from(kinds: Kinds<JudgeHull, Verdicts>) -> Result<Self, String> {
        let hull = |own, supervision| JudgeKind::Hull(JudgeHull { supervision, ..own });
        let mut given = kinds.given(hull, JudgeKind::Term).into_iter();
        match (given.next(), given.next()) {
            (Some((kind, verdicts)), None) => Ok(Self { kind, verdicts }),
            (None, _) => {
                Err("the kind is missing: write [judge.hull], .force, .onnx, .builtin, .plugin or .process".into())
            }
            _ => Err("there is one judge, of one kind".into()),
        }
    }
}

impl Serialize for Judge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            JudgeKind::Hull(hull) => serialize_kind(self.kind.name(), hull, &self.verdicts, serializer),
            JudgeKind::Term(kind) => kind.serialize_with(&self.verdicts, serializer),
        }
    }
}

impl JudgeKind {
    /// The name of its table.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hull(_) => "hull",
            Self::Term(kind) => kind.name(),
        }
    }

    /// Where its model runs, if it has one.
    pub(super) fn model_supervision(&mut self) -> Option<&mut ModelSupervision> {
        match self {
            Self::Hull(hull) => Some(&mut hull.supervision),
            Self::Term(kind) => kind.model_supervision(),
        }
    }
}

impl Judge {
    /// The name of the reward term that it is compared with, if there is one.
    pub fn judged<'a>(&'a self, rewards: &'a BTreeMap<String, Reward>) -> Option<&'a str> {
        let kind = self.kind.name();
        let first = || rewards.iter().find(|(_, reward)| reward.kind.name() == kind).map(|(name, _)| name.as_str());
        self.verdicts.judges.as_deref().or_else(first)
    }

    pub(super) fn check(&self, rewards: &BTreeMap<String, Reward>) -> Result<(), Problem> {
        let key = |last: &str| format!("judge.{}.{last}", self.kind.name());
        match &self.kind {
            JudgeKind::Hull(hull) => hull.correction.check(&key("correction"))?,
            JudgeKind::Term(kind) => kind.check("judge")?,
        }
        let every = self.verdicts.every;
        Problem::unless(every >= 1, &key("every"), every, "must be at least 1")?;
        match self.verdicts.judges.as_ref().filter(|name| !rewards.contains_key(*name)) {
            None => Ok(()),
            Some(name) => Err(no_term(&key("judges"), name, rewards)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigError, Document, Finetune};

    const RUN: &str = "objective = \"gap\"\npolicy.model = \"m\"\n[rewards.gap.onnx]\nmodel = \"g\"\n";

    fn read(judge: &str) -> Result<Finetune, ConfigError> {
        Document::new("run.toml", format!("{RUN}{judge}"), Vec::new()).read()
    }

    #[test]
    fn a_judge_of_any_kind_comes_back_as_written() {
        for judge in [
            "[judge.hull]\npotential = \"p\"\ncorrection = \"none\"\nevery = 5\n",
            "[judge.onnx]\nmodel = \"h\"\noutput = \"gap\"\nevery = 2\njudges = \"gap\"\n",
            "[judge.builtin]\nterm = \"density\"\nevery = 1\n",
        ] {
            let config = read(judge).unwrap();
            let written = config.to_toml().unwrap();
            assert!(written.contains(judge), "{written}");
            assert_eq!(Document::new("x", written, Vec::new()).read::<Finetune>().unwrap(), config);
        }
    }

    #[test]
    fn the_term_that_is_judged_is_the_named_one_or_the_first_of_the_kind() {
        let judged = |judge: &str| {
            let config = read(judge).unwrap();
            config.judge.as_ref().unwrap().judged(&config.rewards).map(str::to_owned)
        };
        assert_eq!(judged("[judge.onnx]\nmodel = \"h\"\n").as_deref(), Some("gap"));
        assert_eq!(judged("[judge.builtin]\nterm = \"density\"\njudges = \"gap\"\n").as_deref(), Some("gap"));
        assert_eq!(judged("[judge.builtin]\nterm = \"density\"\n"), None);
    }

    #[test]
    fn mistakes_are_named() {
        for (judge, said) in [
            (
                "[judge.onnx]\nmodel = \"h\"\njudges = \"gab\"\n",
                "run.toml:7:1: `judge.onnx.judges`: no reward term is called `gab`",
            ),
            ("[judge.onnx]\nmodel = \"h\"\nevery = 0\n", "run.toml:7:1: `judge.onnx.every` = 0: must be at least 1"),
            ("[judge.onnx]\nmodel = \"h\"\nrole = \"filter\"\n", "run.toml:7:1: unknown key `judge.onnx.role`"),
            (
                "[judge]\n",
                "run.toml:5:2: `judge`: the kind is missing: write [judge.hull], .force, .onnx, .builtin, .plugin or .process",
            ),
            (
                "[judge.onnx]\nmodel = \"h\"\n[judge.builtin]\nterm = \"density\"\n",
                "run.toml:5:2: `judge`: there is one judge, of one kind",
            ),
        ] {
            assert_eq!(read(judge).unwrap_err().to_string(), said);
        }
    }
}
