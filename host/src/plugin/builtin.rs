//! The plugins that are part of the binary, because building the binary builds no shared libraries.

use temper_plugin_api::Plugin;

use super::PluginLibrary;

const CARRIED: [fn() -> Plugin; 2] = [temper_charge_neutrality::plugin, temper_mp2020_correction::plugin];

/// The plugins that the binary carries.
pub fn builtin_plugins() -> Vec<PluginLibrary> {
    // Their descriptors are ours; a test holds that they can be written.
    CARRIED.iter().filter_map(|plugin| PluginLibrary::of(*plugin).ok()).collect()
}

/// The plugin of a name that the binary carries.
pub fn builtin_plugin(name: &str) -> Option<PluginLibrary> {
    builtin_plugins().into_iter().find(|plugin| plugin.descriptor().name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{HULL_CORRECTION, REWARD};

    #[test]
    fn every_carried_plugin_can_be_used() {
        let plugins = builtin_plugins();
        let names: Vec<&str> = plugins.iter().map(|plugin| plugin.descriptor().name.as_str()).collect();
        assert_eq!(names, ["charge-neutrality", "mp2020-correction"]);
        for plugin in &plugins {
            let descriptor = plugin.descriptor();
            assert!(!descriptor.licence.is_empty() && !descriptor.interfaces.is_empty(), "{descriptor:?}");
            for interface in &descriptor.interfaces {
                assert!([REWARD, HULL_CORRECTION].contains(&interface.id.as_str()), "{descriptor:?}");
                assert!(interface.config_schema.is_object());
                plugin.create(&interface.id, &serde_json::Map::new()).unwrap();
            }
        }
    }

    #[test]
    fn a_config_changes_what_an_instance_claims() {
        let [neutrality, _] = &builtin_plugins()[..] else { panic!("two plugins") };
        let graded = serde_json::json!({"graded": true}).as_object().unwrap().clone();
        assert_eq!(neutrality.create(REWARD, &graded).unwrap().properties().unit, "e/atom");
        assert_eq!(neutrality.descriptor().interface(REWARD).unwrap().properties.unit, "1");
        let wrong = serde_json::json!({"table": "smact-9"}).as_object().unwrap().clone();
        let refusal = neutrality.create(REWARD, &wrong).err().unwrap();
        assert_eq!(refusal, "unknown variant `smact-9`, expected `smact-2.2` or `smact-3.2`");
    }
}
