//! The config that a plugin or program is given: any table, as far as JSON can carry it.

use serde_json::{Map, Value};

use super::Problem;

/// What a TOML date becomes on its way into a JSON value.
const DATE: &str = "$__toml_private_datetime";

/// Refuses what would not arrive: NaN, infinities and dates. `key` is the dotted path of the table.
///
/// # Errors
/// The first such value.
pub fn check_plugin_config(config: &Map<String, Value>, key: &str) -> Result<(), Problem> {
    config.iter().try_for_each(|(name, value)| check_value(value, &format!("{key}.{name}")))
}

fn check_value(value: &Value, key: &str) -> Result<(), Problem> {
    match value {
        // JSON has no other word for a number that is not finite.
        Value::Null => Err(Problem::new(key, format!("`{key}` is NaN or infinite; give a finite number, or text"))),
        Value::Object(table) if table.contains_key(DATE) => {
            Err(Problem::new(key, format!("`{key}` is a date; write it in quotes, as text")))
        }
        Value::Object(table) => check_plugin_config(table, key),
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| check_value(item, &format!("{key}.{index}")))
        }
        _ => Ok(()),
    }
}
