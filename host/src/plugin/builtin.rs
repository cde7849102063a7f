//! The plugins that the binary carries, since a build of the binary builds no shared libraries.

use temper_plugin_api::Plugin;

use super::PluginLibrary;

const CARRIED: [fn() -> Plugin; 0] = [];

/// The plugins that the binary carries.
pub fn builtin_plugins() -> Vec<PluginLibrary> {
    // Their descriptors are ours; a test holds that they can be written.
    CARRIED.iter().filter_map(|plugin| PluginLibrary::carried(*plugin).ok()).collect()
}

/// The plugin of a name that the binary carries.
pub fn builtin_plugin(name: &str) -> Option<PluginLibrary> {
    builtin_plugins().into_iter().find(|plugin| plugin.descriptor().name == name)
}
