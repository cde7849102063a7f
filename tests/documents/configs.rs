use std::collections::BTreeSet;

use temper::config::{Config, Document, Finetune, Pretrain};
use temper::reward::Objective;
use toml::Table;

use crate::pages::{book, guide, quoted, rows};
use crate::support::{accepted, temper};

/// Heading of a table of keys, the subcommand that reads it, and the TOML in front of its keys.
const TABLES: [(&str, &str, &str); 26] = [
    ("Top level", "finetune", ""),
    ("`[policy]`", "finetune", "[policy]"),
    ("`[run]`", "finetune", "[run]"),
    ("`[sampling]`", "finetune", "[sampling]"),
    ("`[ppo]`", "finetune", "[ppo]"),
    ("`[ppo.replay]`", "finetune", "[ppo.replay]"),
    ("`[pareto]`", "finetune", "[pareto]"),
    ("`[judge]`", "finetune", "[judge]"),
    ("`[judge.hull]`", "finetune", "[judge.hull]"),
    ("`[guards]`", "finetune", "[guards]"),
    ("`[record]`", "finetune", "[record]"),
    ("`[rewards.NAME.hull]`", "finetune", "[rewards.a.hull]"),
    ("`[rewards.NAME.force]`", "finetune", "[rewards.b.force]"),
    ("`[rewards.NAME.displacement]`", "finetune", "[rewards.g.displacement]"),
    ("`[rewards.NAME.onnx]`", "finetune", "[rewards.c.onnx]"),
    ("`[rewards.NAME.builtin]`", "finetune", "[rewards.d.builtin]"),
    ("`[rewards.NAME.plugin]`", "finetune", "[rewards.e.plugin]"),
    ("`[rewards.NAME.process]`", "finetune", "[rewards.f.process]"),
    ("Top level of a pretraining", "pretrain", ""),
    ("`[data]`", "pretrain", "[data]"),
    ("`[policy]` of a pretraining", "pretrain", "[policy]"),
    ("`[policy.crystalformer]`", "pretrain", "[policy.crystalformer]"),
    ("`[dpo]`", "pretrain", "[dpo]"),
    ("`[run]` of a pretraining", "pretrain", "[run]"),
    ("`[train]`", "pretrain", "[train]"),
    ("`[record]` of a pretraining", "pretrain", "[record]"),
];

/// Nothing but what must be given.
const FINETUNE: &str = r#"
objective = "a"
[policy]
model = "m"
[ppo.replay]
crystals = 5
[pareto]
terms = { a = "min", b = "min" }
[judge.hull]
potential = "p"
[guards]
[record]
[rewards.a.hull]
potential = "p"
reference = "h"
[rewards.b.force]
potential = "p"
[rewards.g.displacement]
relax = { potential = "p", steps = 30, fmax = 0.1 }
[rewards.c.onnx]
model = "m"
[rewards.d.builtin]
term = "density"
[rewards.e.plugin]
library = "l"
[rewards.f.process]
command = ["p"]
"#;
const PRETRAIN: &str = "[data]\nfiles = [\"f\"]\n[record]\n[policy.crystalformer]\n";
const DPO: &str = "[data]\nfiles = [\"f\"]\n[policy]\nmodel = \"m\"\n[dpo]\nchosen = \"a < 1\"\n";

fn keys(heading: &str) -> BTreeSet<String> {
    rows(&book("configuration.md").section(heading)).iter().flat_map(|row| quoted(&row[0])).collect()
}

/// The program itself lists the keys that it would have taken in place of one that it does not know.
#[test]
fn every_key_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let names: BTreeSet<&str> = TABLES.iter().map(|(heading, ..)| *heading).collect();
    assert_eq!(names.len(), TABLES.len());
    for (heading, command, table) in TABLES {
        std::fs::write(folder.path().join("x.toml"), format!("{table}\nno_such_key = 1\n")).unwrap();
        let output = temper(folder.path(), &[command, "x.toml"]);
        let said = String::from_utf8(output.stderr).unwrap();
        let valid = said.split_once("valid here: ").unwrap_or_else(|| panic!("{heading}: {said}")).1;
        let valid: BTreeSet<String> = valid.trim().split(", ").map(str::to_owned).collect();
        assert_eq!(keys(heading), valid, "{heading}");
        let schema: serde_json::Value = serde_json::from_str(&accepted(folder.path(), &["schema", command]).0).unwrap();
        let described = schema_of(&schema, table)["properties"].as_object().unwrap();
        assert_eq!(described.keys().cloned().collect::<BTreeSet<_>>(), valid, "temper schema {command}: {table}");
    }
}

/// The part of a schema that is about a table, `[rewards.a.hull]`.
fn schema_of<'a>(schema: &'a serde_json::Value, table: &str) -> &'a serde_json::Value {
    let path = table.trim_matches(['[', ']']).split('.').filter(|key| !key.is_empty());
    path.fold(schema, |object, key| object["properties"].get(key).unwrap_or(&object["additionalProperties"]))
}

fn resolved(text: &str, command: &str) -> Table {
    let document = Document::new("x.toml", text, Vec::new());
    let text = match command {
        "finetune" => document.read::<Finetune>().unwrap().to_toml(),
        _ => document.read::<Pretrain>().unwrap().to_toml(),
    };
    text.unwrap().parse().unwrap()
}

fn inner<'a>(table: &'a Table, path: &str) -> &'a Table {
    let path = path.trim_matches(['[', ']']);
    path.split('.').filter(|key| !key.is_empty()).fold(table, |table, key| table[key].as_table().unwrap())
}

#[test]
fn every_default_is_the_programs() {
    let mut compared = 0;
    for (heading, command, path) in TABLES {
        let text = match (command, path) {
            ("finetune", _) => FINETUNE,
            (_, "[dpo]") => DPO,
            _ => PRETRAIN,
        };
        let config = resolved(text, command);
        for row in rows(&book("configuration.md").section(heading)) {
            let [key, _, default, _] = &row[..] else { panic!("{heading}: {row:?}") };
            let found = inner(&config, path).get(key.trim_matches('`'));
            match default.as_str() {
                "-" | "see below" => continue,
                "absent" if heading == "`[policy]` of a pretraining" || heading == "Top level" => continue,
                "absent" | "`{}`" => assert_eq!(found, None, "{heading} {key}"),
                text => {
                    let text = format!("x = {}", text.trim_matches('`'));
                    assert_eq!(found, Some(&text.parse::<Table>().unwrap()["x"]), "{heading} {key}");
                }
            }
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared}");
}

/// A value of each type that the tables of corrections name.
fn example(key: &str, kind: &str) -> String {
    let value = match kind {
        "integer" => "2",
        "time" => "\"2s\"",
        "memory" => "\"1 GiB\"",
        "table" if key == "env" => "{ x = \"1\" }",
        "table" => "{ x = 1 }",
        "list of texts" => "[\"p\"]",
        _ if key == "isolation" => "\"none\"",
        _ => "\"x\"",
    };
    format!("{key} = {value}")
}

/// The tables of a correction are read with every key of the page, and have no others.
#[test]
fn every_key_of_a_correction_is_explained() {
    for heading in ["`correction = { plugin = ... }`", "`correction = { command = ... }`"] {
        let rows = rows(&book("configuration.md").section(heading));
        let examples: Vec<String> = rows.iter().map(|row| example(row[0].trim_matches('`'), &row[1])).collect();
        let correction = format!("correction = {{ {} }}\n", examples.join(", "));
        let text = FINETUNE.replace("reference = \"h\"\n", &format!("reference = \"h\"\n{correction}"));
        let config = resolved(&text, "finetune");
        let table = config["rewards"]["a"]["hull"]["correction"].as_table().unwrap();
        let found: BTreeSet<String> = table.keys().cloned().collect();
        assert_eq!(keys(heading), found, "{heading}");
    }
}

/// Configs in the README and the book, the incomplete ones completed.
#[test]
fn the_configs_in_the_documents_are_read() {
    let mut read = 0;
    for page in guide() {
        for block in page.blocks("toml") {
            if block.contains("contract = ") {
                continue; // A sidecar.
            }
            let name = page.name();
            if block.contains("[data]") {
                Document::new(name, block, Vec::new()).read::<Pretrain>().unwrap();
            } else {
                let policy = if block.contains("[policy]") { "" } else { "\n[policy]\nmodel = \"m\"\n" };
                let config: Finetune = Document::new(name, format!("{block}{policy}"), Vec::new()).read().unwrap();
                let terms: Vec<&str> = config.rewards.keys().map(String::as_str).collect();
                Objective::parse(&config.objective, &terms).unwrap();
            }
            read += 1;
        }
    }
    assert!(read > 10, "{read}");
}
