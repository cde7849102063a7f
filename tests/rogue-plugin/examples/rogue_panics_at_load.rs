//! A plugin that cannot say what it is.

fn plugin() -> temper_plugin_api::Plugin {
    panic!("I do not know who I am")
}

temper_plugin_api::export!(plugin);
