//! The rule as a reward.

use serde::Deserialize;
use temper_plugin_api::{Batch, Crystal, Outcome, Properties, Result, Reward};

use crate::{Tables, Undecided, charge_neutral, imbalance};

/// What the user writes under `config`.
#[derive(Clone, Copy, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Minus the least charge per atom (e) that is left over, instead of 1 for neutral and 0 for anything else.
    pub graded: bool,
    /// Whose oxidation states and electronegativities.
    pub table: Tables,
}

/// 1 if the composition can be charge neutral, else 0; or, `graded`, how far it is from that.
///
/// An element without oxidation states in the tables is a failure. To abstain would offer a generator a way around the rule: to
/// build its crystals of elements that the rule does not know.
pub struct ChargeNeutrality(Config);

impl Reward for ChargeNeutrality {
    type Config = Config;

    fn properties() -> Properties {
        Properties::new("1").range(0.0, 1.0)
    }

    fn new(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn configured(&self) -> Properties {
        if self.0.graded { Properties::new("e/atom").range(f64::NEG_INFINITY, 0.0) } else { Self::properties() }
    }

    fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        Ok(batch.crystals().map(|crystal| self.of(&crystal).into()).collect())
    }
}

impl ChargeNeutrality {
    fn of(&self, crystal: &Crystal<'_>) -> std::result::Result<f64, Undecided> {
        let atoms = counted(crystal.atomic_numbers);
        // 0 - x, since the negative of a zero would stand as -0 in tables.
        if self.0.graded {
            Ok(0.0 - imbalance(&atoms, self.0.table)?)
        } else {
            Ok(f64::from(u8::from(charge_neutral(&atoms, self.0.table)?)))
        }
    }
}

/// How many atoms of each element there are, in ascending atomic number.
fn counted(atomic_numbers: &[u8]) -> Vec<(u8, u32)> {
    let mut counts = [0; 256];
    atomic_numbers.iter().for_each(|number| counts[usize::from(*number)] += 1);
    (0..=u8::MAX).zip(counts).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use temper_plugin_api::Crystals;

    fn score(config: Config, cells: &[&[u8]]) -> Vec<Outcome> {
        let mut crystals = Crystals::default();
        for numbers in cells {
            let places = vec![[0.0; 3]; numbers.len()];
            crystals.push(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]], numbers, &places);
        }
        ChargeNeutrality::new(config).unwrap().score(&crystals.batch()).unwrap()
    }

    const SALT: &[u8] = &[17, 11, 17, 11];
    /// NaO5.
    const NO_SALT: &[u8] = &[8, 8, 11, 8, 8, 8];
    const BRASS: &[u8] = &[29, 30];

    #[test]
    fn neutral_is_one_and_anything_else_zero() {
        let values = score(Config::default(), &[SALT, NO_SALT, BRASS]);
        assert_eq!(values, [1.0, 0.0, 1.0].map(Outcome::Value));
    }

    #[test]
    fn graded_values_are_the_charge_left_over() {
        let graded = Config { graded: true, ..Config::default() };
        // Na is +1 and O at best -1: four charges are left on six atoms.
        let values = score(graded, &[SALT, NO_SALT, BRASS]);
        assert_eq!(values, [0.0, -4.0 / 6.0, 0.0].map(Outcome::Value));
        assert!(values.iter().all(|value| !matches!(value, Outcome::Value(v) if v.to_bits() == (-0.0_f64).to_bits())));
        let unit = |config| ChargeNeutrality::new(config).unwrap().configured().unit;
        assert_eq!((unit(graded).as_str(), unit(Config::default()).as_str()), ("e/atom", "1"));
    }

    #[test]
    fn what_the_rule_cannot_judge_fails() {
        for graded in [false, true] {
            let failed = score(Config { graded, ..Config::default() }, &[&[2, 8], &[104, 8], &[0, 8], &[]]);
            let reasons = failed.into_iter().map(|outcome| match outcome {
                Outcome::Failed(reason) => reason,
                other => panic!("{other:?}"),
            });
            let unknown =
                |z| format!("SMACT's tables have no oxidation state of the element with the atomic number {z}");
            let expected = [unknown(2), unknown(104), unknown(0), "there are no atoms".to_owned()];
            assert_eq!(reasons.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn configs_are_read_as_users_write_them() {
        let read = |text: &str| serde_json::from_str::<Config>(text).map_err(|e| e.to_string());
        let config = read(r#"{"graded": true, "table": "smact-2.2"}"#).unwrap();
        assert_eq!((config.graded, config.table), (true, Tables::Smact2));
        assert_eq!(read("{}").unwrap().table, Tables::Smact3);
        assert!(read(r#"{"grade": true}"#).unwrap_err().contains("expected `graded` or `table`"));
        assert!(read(r#"{"table": "smact-1"}"#).unwrap_err().contains("expected `smact-2.2` or `smact-3.2`"));
    }
}
