//! How samples are judged: by options, or as others do it (`--protocol`).

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::matching::StructureMatcher;
use crate::metrics::{Sample, Stability};

/// Protocols of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Named {
    /// CrystalFormer-RL (arXiv 2504.02367).
    Paper,
    /// MatterGen's evaluator.
    Mattergen,
    /// LeMat-GenBench's leaderboard.
    LematGenbench,
}

/// Which energy above hull of several judges decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deciding {
    /// The first judge's.
    First,
    /// The mean over the judges that have one; at least this many must.
    Mean(usize),
}

/// Settings that the figures depend on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The protocol that they are of.
    pub named: Option<Named>,
    /// Bounds of stability.
    pub limits: Stability,
    /// When two structures are the same crystal.
    pub matcher: StructureMatcher,
    /// Which judge decides.
    pub deciding: Deciding,
    /// Whether structures are relaxed before they are judged.
    pub relaxed: bool,
}

/// What is used here in place of what a protocol uses.
pub struct Used {
    /// Names of the potentials.
    pub models: String,
    /// Where the hulls come from.
    pub hulls: String,
    /// Number of judges.
    pub judges: usize,
    /// Names of the files of known structures.
    pub known: String,
}

impl Named {
    /// The settings that it prescribes; whether structures are relaxed is the user's to say.
    pub fn settings(self, relaxed: bool) -> Settings {
        let (stable, deciding) = match self {
            Self::Paper | Self::Mattergen => (0.1, Deciding::First),
            Self::LematGenbench => (0.0, Deciding::Mean(2)),
        };
        let limits = Stability { stable, metastable: 0.1 };
        Settings { named: Some(self), limits, matcher: StructureMatcher::default(), deciding, relaxed }
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Mattergen => "mattergen",
            Self::LematGenbench => "lemat-genbench",
        }
    }

    /// Potential, hull and known structures of the protocol.
    fn prescribed(self) -> [&'static str; 3] {
        match self {
            Self::Paper => [
                "Orb-v2",
                "Alexandria's PBE hull of 2023-12-29 with the Materials Project's corrections of 2020",
                "the training data, Alex-20",
            ],
            Self::Mattergen => [
                "MatterSim-v1-1M",
                "the reference data set Alex-MP with the corrections of 2020, or those of TRI (2024)",
                "the reference data set Alex-MP",
            ],
            Self::LematGenbench => [
                "Orb-v3 (conservative), MACE-MP and UMA",
                "a hull of LeMat-Bulk for each potential, with its own energies",
                "LeMat-Bulk, about 5 million structures",
            ],
        }
    }

    /// In what an evaluation here differs from the protocol.
    pub fn differences(self, used: &Used, relaxed: bool) -> Vec<String> {
        let [potential, hull, known] = self.prescribed();
        let here = |name: &str| if name.is_empty() { "none".to_owned() } else { name.to_owned() };
        let mut all = vec![
            format!("potential: {potential} there, {} here", here(&used.models)),
            format!("hull: {hull} there, {} here", here(&used.hulls)),
            format!("known structures: {known} there, {} here", here(&used.known)),
        ];
        let relaxation = match self {
            Self::Paper => None,
            Self::Mattergen => Some("relaxed by the potential"),
            Self::LematGenbench => Some("relaxed in at most 50 steps to 0.02 eV/A"),
        };
        match relaxation {
            Some(how) if !relaxed => all.push(format!("structures: {how} there, as they are here")),
            None if relaxed => all.push("structures: as they are there, relaxed here".into()),
            _ => {}
        }
        match self {
            Self::Paper => {}
            Self::Mattergen => {
                all.push("matcher: disordered alloys of similar atoms are the same crystal there, not here".into());
            }
            Self::LematGenbench => {
                all.push(
                    "validity: charges by bond valences and the oxidation states of the ICSD, distances by atomic radii \
                     there; SMACT and CDVAE's bounds here"
                        .into(),
                );
                all.push("shares: of the valid samples there; here those are sun_of_valid and msun_of_valid".into());
                if used.judges < 2 {
                    all.push("judges: at least two must have an energy there; there are fewer here".into());
                }
            }
        }
        all
    }
}

impl Settings {
    /// The energy above hull that decides, eV/atom. Where fewer judges are given than a mean needs, all of them must have one.
    pub fn deciding_energy(&self, sample: &Sample) -> Option<f64> {
        match self.deciding {
            Deciding::First => sample.by_judge.first().copied().flatten(),
            Deciding::Mean(least) => sample.mean_of_judges(least.min(sample.by_judge.len())),
        }
    }

    /// For the record.
    pub fn json(&self) -> Value {
        let StructureMatcher { ltol, stol, angle_tol, primitive, scale } = self.matcher;
        let deciding = match self.deciding {
            Deciding::First => "first judge".to_owned(),
            Deciding::Mean(least) => format!("mean of at least {least} judges"),
        };
        json!({
            "name": self.named.map(Named::name), "stable": self.limits.stable, "metastable": self.limits.metastable,
            "matcher": { "ltol": ltol, "stol": stol, "angle_tol": angle_tol, "primitive": primitive, "scale": scale },
            "deciding": deciding, "relaxed": self.relaxed,
        })
    }
}
