//! A plugin of the first release of temper-plugin-api: a reward that says what it was given, and a hull correction.

use schemars::JsonSchema;
use serde::Deserialize;
use temper_plugin_api::{Batch, Crystal, HullCorrection, Outcome, Plugin, Properties, Result, Reward, export};

/// What the reward says.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Column {
    /// Sum of the atomic numbers.
    #[default]
    AtomicNumbers,
    /// Sum of the fractional coordinates, the second times 10 and the third times 100.
    Fractional,
    /// The same of the Cartesian coordinates.
    Cartesian,
    /// The volume.
    Volume,
    /// The number of the space group.
    SpaceGroup,
    /// The last Wyckoff letter, as ASCII.
    WyckoffLetter,
    /// The energy.
    Energy,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// What the reward says.
    column: Column,
    /// Times this.
    #[serde(default = "one")]
    scale: f64,
}

fn one() -> f64 {
    1.0
}

struct Echo(Config);

impl Reward for Echo {
    type Config = Config;

    fn properties() -> Properties {
        Properties::new("of the column").worst(-7.5).asks_symmetry().asks_energies()
    }

    fn new(config: Config) -> Result<Self> {
        if config.scale == 0.0 {
            return Err("a `scale` of 0 says nothing".into());
        }
        Ok(Self(config))
    }

    fn configured(&self) -> Properties {
        let properties = Self::properties();
        if self.0.column == Column::Volume { properties.range(0.0, f64::INFINITY) } else { properties }
    }

    fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        if batch.atomic_numbers().contains(&118) {
            panic!("oganesson in a batch of {}", batch.len());
        }
        if batch.atomic_numbers().contains(&117) {
            return Err("tennessine".into());
        }
        Ok(batch.crystals().map(|crystal| self.of(&crystal)).collect())
    }
}

impl Echo {
    fn of(&self, crystal: &Crystal<'_>) -> Outcome {
        match crystal.atomic_numbers {
            [2] => Outcome::Abstain,
            [10] => Outcome::failed(format!("neon at {:?}", crystal.cartesian[0])),
            _ => self.column(crystal).map(|value| self.0.scale * value).ok_or("not known").into(),
        }
    }

    fn column(&self, crystal: &Crystal<'_>) -> Option<f64> {
        let weighed = |places: &[[f64; 3]]| places.iter().map(|[x, y, z]| x + 10.0 * y + 100.0 * z).sum();
        match self.0.column {
            Column::AtomicNumbers => Some(crystal.atomic_numbers.iter().copied().map(f64::from).sum()),
            Column::Fractional => Some(weighed(crystal.fractional)),
            Column::Cartesian => Some(weighed(crystal.cartesian)),
            Column::Volume => Some(crystal.volume()),
            Column::SpaceGroup => crystal.space_group.map(f64::from),
            Column::WyckoffLetter => crystal.wyckoff_letters?.last().copied().map(f64::from),
            Column::Energy => crystal.energy,
        }
    }
}

/// An eighth of the energy, and -0.5 eV for each atom of oxygen.
struct Oxygen;

impl HullCorrection for Oxygen {
    type Config = ();

    fn properties() -> Properties {
        Properties::new("eV").scales("PBE", "TEST")
    }

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn correct(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        let of = |crystal: Crystal<'_>| {
            let oxygens = crystal.atomic_numbers.iter().filter(|number| **number == 8).count();
            crystal.energy.map(|energy| energy / 8.0 - 0.5 * oxygens as f64).ok_or("no energy").into()
        };
        Ok(batch.crystals().map(of).collect())
    }
}

fn plugin() -> Plugin {
    Plugin::new("compat-v1", env!("CARGO_PKG_VERSION"))
        .licence(env!("CARGO_PKG_LICENSE"))
        .description(env!("CARGO_PKG_DESCRIPTION"))
        .reward::<Echo>()
        .hull_correction::<Oxygen>()
}

export!(plugin);
