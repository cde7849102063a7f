//! `temper plugin info`: what a plugin says of itself, and the keys of its config.

use clap::Args;
use serde_json::Value;

use super::{Context, Failure};
use crate::plugin::{InterfaceDescriptor, Usable};

/// What a plugin offers, and the keys of its config.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper plugin info mp2020-correction")]
pub struct Info {
    /// Its name, or the path of its library
    #[arg(value_name = "NAME")]
    name: String,
}

impl Info {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let plugin = context.discovery().find(&self.name)?;
        context.print(&described(&plugin))
    }
}

fn described(plugin: &Usable) -> String {
    let Usable { path, hash, descriptor } = plugin;
    let mut lines = vec![format!("{} {}", descriptor.name, descriptor.version)];
    let stated =
        [("description", &descriptor.description), ("licence", &descriptor.licence), ("built for", &descriptor.api)];
    lines.extend(stated.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("  {name}: {text}")));
    let path = path.as_ref().map_or_else(|| "part of this program".to_owned(), |path| path.display().to_string());
    lines.push(format!("  file: {path}"));
    lines.extend(hash.iter().map(|hash| format!("  sha256: {hash}")));
    lines.extend(descriptor.interfaces.iter().flat_map(interface));
    lines.join("\n")
}

fn interface(interface: &InterfaceDescriptor) -> Vec<String> {
    let unit = &interface.properties.unit;
    let unit = if unit.is_empty() { String::new() } else { format!(", in {unit}") };
    let schema = &interface.config_schema;
    let keys: Vec<String> =
        schema["properties"].as_object().into_iter().flatten().map(|key| line(schema, key)).collect();
    let none = if keys.is_empty() { ", without config keys" } else { ", with the config keys" };
    std::iter::once(format!("{}{unit}{none}", interface.id)).chain(keys).collect()
}

/// `  scale: number, required or with its default: what it means`.
fn line(schema: &Value, (name, key): (&String, &Value)) -> String {
    let kind = match &key["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    };
    let is_required = schema["required"].as_array().is_some_and(|required| required.iter().any(|key| key == name));
    let default = match key.get("default") {
        Some(default) => format!(", default {default}"),
        None if is_required => ", required".to_owned(),
        None => String::new(),
    };
    let meaning = key["description"].as_str().map_or_else(String::new, |text| format!(": {}", text.replace('\n', " ")));
    format!("  {name}  {kind}{default}{meaning}")
}
