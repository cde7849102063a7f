//! The plugin as a shared library.

temper_plugin_api::export!(temper_mp2020_correction::plugin);
