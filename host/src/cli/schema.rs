//! `temper schema`: the JSON schema of a config, for editors.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{Context, Failure};
use crate::config::{FINETUNE_KEYS, Key, KeyTable, PRETRAIN_KEYS};

/// Print the JSON schema of a config, for editors that complete and check TOML files.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  temper schema > finetune.schema.json\n  temper schema pretrain > pretrain.schema.json\n\n\
    Editors with a TOML language server take it from the first line of a config: #:schema ./finetune.schema.json"
)]
pub struct Schema {
    /// The subcommand whose config it is
    #[arg(value_enum, default_value_t)]
    command: Described,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Described {
    /// Of `temper finetune`.
    #[default]
    Finetune,
    /// Of `temper pretrain`.
    Pretrain,
}

impl Schema {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let schema = match self.command {
            Described::Finetune => schema("temper finetune", &FINETUNE_KEYS),
            Described::Pretrain => schema("temper pretrain", &PRETRAIN_KEYS),
        };
        context.print(&format!("{schema:#}"))
    }
}

fn schema(title: &str, tables: &[KeyTable]) -> Value {
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("The config of {title}"),
    });
    for table in tables {
        let place = table.path.split('.').filter(|part| !part.is_empty()).fold(&mut root, inner);
        let properties: Map<String, Value> =
            table.keys().into_iter().map(|key| (key.name.clone(), property(&key))).collect();
        let found = [
            ("type", json!("object")),
            ("additionalProperties", json!(false)),
            ("properties", Value::Object(properties)),
        ];
        match place {
            Value::Object(object) => {
                object.remove("anyOf");
                object.extend(found.map(|(name, value)| (name.to_owned(), value)));
            }
            _ => *place = Value::Object(found.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()),
        }
    }
    root
}

/// The schema of a key of an object, or of every key where they are the user's names.
fn inner<'a>(object: &'a mut Value, name: &str) -> &'a mut Value {
    match name {
        "NAME" => &mut object["additionalProperties"],
        _ => &mut object["properties"][name],
    }
}

fn property(key: &Key) -> Value {
    let alternatives: Vec<&str> = key.kind.split(" or ").flat_map(|kind| kind.split(", ")).collect();
    let mut property = match &alternatives[..] {
        [kind] => of_type(kind),
        kinds => json!({ "anyOf": kinds.iter().map(|kind| of_type(kind)).collect::<Vec<_>>() }),
    };
    property["description"] = json!(key.meaning);
    let default = key.default.as_ref().and_then(|default| format!("x = {default}").parse::<toml::Table>().ok());
    if let Some(value) = default.and_then(|table| serde_json::to_value(table.get("x")?).ok()) {
        property["default"] = value;
    }
    property
}

/// The schema of a type that the book has a word for.
fn of_type(kind: &str) -> Value {
    match kind {
        "integer" => json!({ "type": "integer", "minimum": 0 }),
        "number" => json!({ "type": "number" }),
        "boolean" => json!({ "type": "boolean" }),
        "table" => json!({ "type": "object" }),
        "list" => json!({ "type": "array" }),
        "list of texts" | "list of paths" => json!({ "type": "array", "items": { "type": "string" } }),
        "list of two numbers" => {
            json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 })
        }
        // Texts, among them paths, times and amounts of memory.
        _ => json!({ "type": "string" }),
    }
}
