//! A config followed by the keys that it does not have, as comments.

use std::collections::BTreeSet;

use crate::config::{Key, KeyTable};

/// Longest line.
const WIDTH: usize = 130;

/// The text with every other key of these tables behind it.
pub(super) fn with_every_key(text: &str, tables: &[KeyTable]) -> String {
    let given = given(text);
    let mut rest = String::new();
    for table in tables {
        let missing =
            table.keys().into_iter().filter(|key| key.kind != "table" && !is_given(&given, table.path, &key.name));
        let lines: Vec<String> = missing.map(|key| line(&key)).collect();
        if !lines.is_empty() {
            let heading = if table.path.is_empty() { String::new() } else { format!("# [{}]\n", table.path) };
            rest += &format!("#\n{heading}{}\n", lines.join("\n"));
        }
    }
    let title = "# Every other key, with its default if it has one; what is needed goes into its table above.";
    format!("{}\n\n{title}\n{rest}", text.trim_end())
}

/// The keys of a config with the tables that they stand in, those in comments too.
fn given(text: &str) -> BTreeSet<(String, String)> {
    let (mut path, mut found) = (String::new(), BTreeSet::new());
    for line in text.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        if let Some((table, _)) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            path = table.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' ')) {
            found.insert((path.clone(), key.to_owned()));
        }
    }
    found
}

/// Whether a key stands in a table of this path, in which NAME stands for any name.
fn is_given(given: &BTreeSet<(String, String)>, path: &str, key: &str) -> bool {
    let alike = |table: &str| {
        let (table, path): (Vec<&str>, Vec<&str>) = (table.split('.').collect(), path.split('.').collect());
        table.len() == path.len() && table.iter().zip(&path).all(|(own, other)| *other == "NAME" || own == other)
    };
    given.iter().any(|(table, name)| name == key && alike(table))
}

/// `# steps = 100  # number of steps`, as much of the meaning as fits.
fn line(key: &Key) -> String {
    let start = format!("# {} = {}", key.name, key.default.as_deref().unwrap_or_default());
    let line = format!("{:<38}# {}", start.trim_end(), key.meaning);
    if line.chars().count() <= WIDTH {
        return line;
    }
    let kept: String = line.chars().take(WIDTH - 4).collect();
    format!("{} ...", kept.rsplit_once(' ').map_or(kept.as_str(), |(whole, _)| whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FINETUNE_KEYS, PRETRAIN_KEYS};

    #[test]
    fn keys_that_are_there_are_not_repeated_and_no_other_is_missing() {
        let text = "objective = \"x\"\n[run]\n# steps = 3\n[rewards.gap.onnx]\nmodel = \"m\"\n";
        let written = with_every_key(text, &FINETUNE_KEYS);
        assert!(written.starts_with(text.trim_end()));
        assert_eq!(written.matches("\n# steps = ").count(), 2, "of [run], and of relax: {written}");
        for table in &FINETUNE_KEYS {
            for key in table.keys().into_iter().filter(|key| key.kind != "table") {
                assert!(is_given(&given(&written), table.path, &key.name), "{} {}", table.path, key.name);
            }
        }
        assert!(written.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(with_every_key("", &PRETRAIN_KEYS).contains("\n# [train]\n# batch = 100 "));
    }
}
