//! The keys of configs as the book explains them: a test holds its tables to what the program reads.

const PAGE: &str = include_str!("../../../docs/src/configuration.md");

/// A table of keys: the heading of its section, and where it stands in a config; NAME is a name of the user's.
pub struct KeyTable {
    heading: &'static str,
    /// The tables that lead to it, `rewards.NAME.hull`; empty for the top level.
    pub path: &'static str,
}

/// A key as a row of the book explains it.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// Its type in words, such as `text or table`.
    pub kind: String,
    /// Its default as TOML, where it has one.
    pub default: Option<String>,
    /// What it means, as Markdown without links.
    pub meaning: String,
}

const fn table(path: &'static str, heading: &'static str) -> KeyTable {
    KeyTable { heading, path }
}

/// The tables of a fine-tuning.
pub static FINETUNE_KEYS: [KeyTable; 19] = [
    table("", "Top level"),
    table("policy", "`[policy]`"),
    table("run", "`[run]`"),
    table("sampling", "`[sampling]`"),
    table("ppo", "`[ppo]`"),
    table("ppo.replay", "`[ppo.replay]`"),
    table("record", "`[record]`"),
    table("guards", "`[guards]`"),
    table("pareto", "`[pareto]`"),
    table("judge", "`[judge]`"),
    table("judge.hull", "`[judge.hull]`"),
    table("rewards.NAME.hull", "`[rewards.NAME.hull]`"),
    table("rewards.NAME.force", "`[rewards.NAME.force]`"),
    table("rewards.NAME.displacement", "`[rewards.NAME.displacement]`"),
    table("rewards.NAME.onnx", "`[rewards.NAME.onnx]`"),
    table("rewards.NAME.builtin", "`[rewards.NAME.builtin]`"),
    table("rewards.NAME.plugin", "`[rewards.NAME.plugin]`"),
    table("rewards.NAME.process", "`[rewards.NAME.process]`"),
    table("rewards.NAME.hull.relax", "`relax`"),
];

/// The tables of a pretraining.
pub static PRETRAIN_KEYS: [KeyTable; 8] = [
    table("", "Top level of a pretraining"),
    table("data", "`[data]`"),
    table("policy", "`[policy]` of a pretraining"),
    table("policy.crystalformer", "`[policy.crystalformer]`"),
    table("dpo", "`[dpo]`"),
    table("run", "`[run]` of a pretraining"),
    table("train", "`[train]`"),
    table("record", "`[record]` of a pretraining"),
];

impl KeyTable {
    /// Its keys, in the order of the book.
    pub fn keys(&self) -> Vec<Key> {
        let title = |line: &&str| line.starts_with('#') && line.trim_start_matches('#').trim() == self.heading;
        let section = PAGE.lines().skip_while(|line| !title(line)).skip(1).take_while(|line| !line.starts_with('#'));
        section.filter(|line| line.starts_with("| `")).flat_map(row).collect()
    }
}

/// The keys of a row: several may share one.
fn row(line: &str) -> Vec<Key> {
    let line = line.replace("\\|", "\u{0}");
    let cells: Vec<String> = line.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect();
    let [_, names, kind, default, meaning, ..] = &cells[..] else { return Vec::new() };
    let default = default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).map(str::to_owned);
    let key = |name: &str| Key {
        name: name.to_owned(),
        kind: kind.clone(),
        default: default.clone(),
        meaning: without_links(meaning),
    };
    names.split('`').skip(1).step_by(2).map(key).collect()
}

/// `[words](target)` as words.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("](") {
        let Some((_, after)) = link.split_once(')') else { break };
        match before.rsplit_once('[') {
            // Brackets of a table's name: [`[guards]`](#guards).
            Some((start, word)) if word.ends_with("]`") => {
                plain += &format!("{}`[{word}", start.trim_end_matches("[`"))
            }
            Some((start, words)) => plain += &format!("{start}{words}"),
            None => plain += before,
        }
        rest = after;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_keys() {
        for table in FINETUNE_KEYS.iter().chain(&PRETRAIN_KEYS) {
            assert!(!table.keys().is_empty(), "{}", table.heading);
        }
        let steps = FINETUNE_KEYS[2].keys().into_iter().find(|key| key.name == "steps").unwrap();
        assert_eq!((steps.kind.as_str(), steps.default.as_deref()), ("integer", Some("100")));
        assert!(steps.meaning.starts_with("number of steps"), "{}", steps.meaning);
    }

    #[test]
    fn links_are_words() {
        assert_eq!(
            without_links("see [`[guards]`](#guards) and [that](x.md#y), [1, 2]"),
            "see `[guards]` and that, [1, 2]"
        );
    }
}
