//! What differs between two configs.

use std::collections::BTreeMap;

use serde::Serialize;
use toml::Value;

/// A key whose values differ: its dotted name, and the two values as TOML, where there is one.
pub type ChangedKey = (String, Option<String>, Option<String>);

/// The keys in which `new` differs from `old`.
///
/// # Errors
/// When one of them cannot be written as TOML.
pub fn changed_keys(old: &impl Serialize, new: &impl Serialize) -> Result<Vec<ChangedKey>, toml::ser::Error> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", &Value::try_from(old)?, &mut before);
    flatten("", &Value::try_from(new)?, &mut after);
    let mut keys: Vec<&String> = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))).collect();
    keys.sort();
    let changed = keys.into_iter().map(|key| (key.clone(), before.get(key).cloned(), after.get(key).cloned()));
    Ok(changed.filter(|(_, old, new)| old != new).collect())
}

/// What does not set a run apart from others: where it is written, and what chance gave it.
const INDIFFERENT: [(&str, &str); 4] = [("run", "seed"), ("run", "dir"), ("run", "threads"), ("train", "out")];

/// The config of a run without its seed and its places: runs for which it is the same differ by chance alone.
#[must_use]
pub fn apart_from_seed(mut config: toml::Table) -> toml::Table {
    for (table, key) in INDIFFERENT {
        if let Some(Value::Table(table)) = config.get_mut(table) {
            table.remove(key);
        }
    }
    // What a run writes about itself changes nothing of it.
    config.remove("record");
    config
}

fn flatten(name: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, inner) in table {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(&name, inner, found);
            }
        }
        value => drop(found.insert(name.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_come_or_go_are_named_with_both_values() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let old = table("a = 1\ngone = \"x\"\n[t]\nsame = true\nb = [1, 2]\n");
        let new = table("a = 2\n[t]\nsame = true\nb = [1]\n[u]\nnew = 0.5\n");
        let text = |text: &str| Some(text.to_owned());
        let expected = [
            ("a".to_owned(), text("1"), text("2")),
            ("gone".to_owned(), text("\"x\""), None),
            ("t.b".to_owned(), text("[1, 2]"), text("[1]")),
            ("u.new".to_owned(), None, text("0.5")),
        ];
        assert_eq!(changed_keys(&old, &new).unwrap(), expected);
        assert!(changed_keys(&old, &old).unwrap().is_empty());
    }
}
