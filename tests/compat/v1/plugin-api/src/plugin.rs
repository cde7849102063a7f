//! The traits of a reward and of a hull correction, and the plugin that offers them.

use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::abi::{API_VERSION, Evaluating, HULL_CORRECTION, REWARD, RawInterface, RawPlugin};
use crate::guard::{create_correction, create_reward};
use crate::{Batch, Descriptor, InterfaceDescriptor, Outcome, Properties};
use abi_stable::StableAbi;
use abi_stable::std_types::RStr;

/// What an author's function returns: any error will do, its text is shown to the user.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One number per crystal, for an objective: the interface `reward/1`.
pub trait Reward: Sized + Send + Sync + 'static {
    /// What the user writes under `config`. Give it `#[serde(deny_unknown_fields)]` and defaults.
    type Config: DeserializeOwned + JsonSchema;

    /// What you claim about the values, as long as no config is known.
    fn properties() -> Properties;

    /// An instance, made once for each term that uses the plugin, and in each of its workers.
    ///
    /// # Errors
    /// Whatever is wrong with the config; the user reads it before the run starts.
    fn new(config: Self::Config) -> Result<Self>;

    /// What you claim about the values of this instance, where the config changes it: another unit, a narrower range.
    fn configured(&self) -> Properties {
        Self::properties()
    }

    /// One outcome per crystal, in their order. Batches vary in size and may be empty.
    ///
    /// # Errors
    /// If the batch as a whole failed: every crystal of it then fails with this reason.
    fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>>;
}

/// Takes energies of potentials to the scale of a hull: the interface `hull-correction/1`.
pub trait HullCorrection: Sized + Send + Sync + 'static {
    /// What the user writes under `config`.
    type Config: DeserializeOwned + JsonSchema;

    /// What you claim about the values, as long as no config is known; say [`Properties::scales`].
    fn properties() -> Properties;

    /// An instance.
    ///
    /// # Errors
    /// Whatever is wrong with the config.
    fn new(config: Self::Config) -> Result<Self>;

    /// What you claim about the values of this instance, where the config changes it.
    fn configured(&self) -> Properties {
        Self::properties()
    }

    /// What to add to the energy of each cell, eV per cell. Batches carry the energies.
    ///
    /// # Errors
    /// If the batch as a whole failed.
    fn correct(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>>;
}

/// What a plugin is and offers.
///
/// ```
/// # use temper_plugin_api::*;
/// # struct Density;
/// # impl Reward for Density {
/// #     type Config = ();
/// #     fn properties() -> Properties { Properties::new("g/cm^3") }
/// #     fn new(_: ()) -> Result<Self> { Ok(Self) }
/// #     fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> { Ok(vec![Outcome::Abstain; batch.len()]) }
/// # }
/// fn plugin() -> Plugin {
///     Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")).licence("MIT").reward::<Density>()
/// }
/// ```
pub struct Plugin {
    descriptor: Descriptor,
    interfaces: Vec<RawInterface>,
}

impl Plugin {
    /// A plugin that offers nothing yet: its name and its own version.
    pub fn new(name: &str, version: &str) -> Self {
        let descriptor = Descriptor {
            name: name.to_owned(),
            version: version.to_owned(),
            licence: String::new(),
            description: String::new(),
            api: API_VERSION.to_owned(),
            interfaces: Vec::new(),
        };
        Self { descriptor, interfaces: Vec::new() }
    }

    /// The SPDX expression of its licence.
    #[must_use]
    pub fn licence(mut self, expression: &str) -> Self {
        expression.clone_into(&mut self.descriptor.licence);
        self
    }

    /// One sentence on what it does.
    #[must_use]
    pub fn description(mut self, sentence: &str) -> Self {
        sentence.clone_into(&mut self.descriptor.description);
        self
    }

    /// Offers a reward.
    ///
    /// # Panics
    /// If it offers one already; another reward is another plugin.
    #[must_use]
    pub fn reward<T: Reward>(self) -> Self {
        let schema = schema_for!(T::Config).to_value();
        self.offer(REWARD, T::properties(), schema, const { &Evaluating { create: create_reward::<T> } })
    }

    /// Offers a hull correction.
    ///
    /// # Panics
    /// If it offers one already.
    #[must_use]
    pub fn hull_correction<T: HullCorrection>(self) -> Self {
        let schema = schema_for!(T::Config).to_value();
        let table = const { &Evaluating { create: create_correction::<T> } };
        self.offer(HULL_CORRECTION, T::properties(), schema, table)
    }

    fn offer(mut self, id: &'static str, properties: Properties, schema: Value, table: &'static Evaluating) -> Self {
        // At load this becomes a refusal with this text; to keep the first one silently would be worse.
        assert!(self.descriptor.interface(id).is_none(), "a plugin offers one {id}, and this is its second");
        let interface = InterfaceDescriptor { id: id.to_owned(), properties, config_schema: schema };
        self.descriptor.interfaces.push(interface);
        let table = std::ptr::from_ref(table).cast();
        self.interfaces.push(RawInterface { id: RStr::from_str(id), layout: Evaluating::LAYOUT, table });
        self
    }

    /// What it says of itself.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The plugin as it crosses the boundary; for hosts.
    ///
    /// # Errors
    /// If the descriptor cannot be written as JSON.
    #[doc(hidden)]
    pub fn into_raw(self) -> Result<RawPlugin> {
        let descriptor = serde_json::to_string(&self.descriptor)?.into();
        Ok(RawPlugin { descriptor, interfaces: self.interfaces.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::describe;

    struct Nothing;

    impl Reward for Nothing {
        type Config = ();

        fn properties() -> Properties {
            Properties::new("1")
        }

        fn new((): ()) -> Result<Self> {
            Ok(Self)
        }

        fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
            Ok(vec![Outcome::Abstain; batch.len()])
        }
    }

    #[test]
    fn a_second_reward_is_refused_and_not_hidden() {
        let refusal = describe(|| Plugin::new("x", "1").reward::<Nothing>().reward::<Nothing>());
        let refusal = refusal.into_result().err().map(String::from);
        assert_eq!(refusal.as_deref(), Some("it panicked: a plugin offers one reward/1, and this is its second"));
    }
}
