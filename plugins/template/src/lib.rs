//! A reward for Temper: how near the volume per atom of a crystal comes to a target.

use schemars::JsonSchema;
use serde::Deserialize;
use temper_plugin_api::{Batch, Crystal, Outcome, Plugin, Properties, Result, Reward, export};

/// What a user may write under `config`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Volume per atom to aim at, A^3.
    target: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { target: 20.0 }
    }
}

/// Minus the distance of the volume per atom from the target, A^3: 0 is best.
struct VolumePerAtom {
    target: f64,
}

impl Reward for VolumePerAtom {
    type Config = Config;

    fn properties() -> Properties {
        Properties::new("A^3").range(f64::NEG_INFINITY, 0.0)
    }

    fn new(config: Config) -> Result<Self> {
        if !config.target.is_normal() || config.target < 0.0 {
            return Err(format!("`target` is {} A^3; it must be a positive number", config.target).into());
        }
        Ok(Self { target: config.target })
    }

    fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        Ok(batch.crystals().map(|crystal| self.of(&crystal)).collect())
    }
}

impl VolumePerAtom {
    fn of(&self, crystal: &Crystal<'_>) -> Outcome {
        let (volume, atoms) = (crystal.volume(), crystal.atomic_numbers.len());
        if !volume.is_normal() || atoms == 0 {
            return Outcome::failed(format!("{atoms} atoms in a cell of {volume} A^3"));
        }
        Outcome::Value(-(volume / atoms as f64 - self.target).abs())
    }
}

fn plugin() -> Plugin {
    Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .licence(env!("CARGO_PKG_LICENSE"))
        .description(env!("CARGO_PKG_DESCRIPTION"))
        .reward::<VolumePerAtom>()
}

export!(plugin);

#[cfg(test)]
mod tests {
    use super::*;
    use temper_plugin_api::Crystals;

    fn cube(length: f64) -> [[f64; 3]; 3] {
        [[length, 0.0, 0.0], [0.0, length, 0.0], [0.0, 0.0, length]]
    }

    #[test]
    fn the_target_is_best() {
        let mut crystals = Crystals::default();
        crystals.push(&cube(2.0), &[26], &[[0.0; 3]]);
        crystals.push(&cube(4.0), &[55, 17], &[[0.0; 3], [0.5; 3]]);
        crystals.push(&cube(0.0), &[26], &[[0.0; 3]]);
        let reward = VolumePerAtom::new(Config { target: 8.0 }).unwrap();
        let outcomes = reward.score(&crystals.batch()).unwrap();
        let flat = Outcome::failed("1 atoms in a cell of 0 A^3");
        assert_eq!(outcomes, [Outcome::Value(0.0), Outcome::Value(-24.0), flat]);
    }

    #[test]
    fn an_impossible_target_is_refused() {
        for target in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(VolumePerAtom::new(Config { target }).is_err(), "{target}");
        }
    }
}
