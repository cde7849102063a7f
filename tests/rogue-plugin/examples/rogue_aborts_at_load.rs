//! A plugin that takes its process down when it is asked what it is.

fn plugin() -> temper_plugin_api::Plugin {
    std::process::abort()
}

temper_plugin_api::export!(plugin);
