//! A plugin that never says what it is.

fn plugin() -> temper_plugin_api::Plugin {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

temper_plugin_api::export!(plugin);
