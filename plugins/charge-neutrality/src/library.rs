//! The plugin as a shared library.

temper_plugin_api::export!(temper_charge_neutrality::plugin);
