use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::pages::{ROOT, book, quoted, rows};
use crate::support::{accepted, json_lines, prepared};

const FINETUNE: &str = r#"
objective = "-density"

[policy]
model = "policy"

[run]
dir = "run"
steps = 2
threads = 1
checkpoint_every = 2
max_failed = 1.0

[sampling]
batch = 12
spacegroups = [1, 225]

[ppo]
kl_target = 5.0
composition_prior = 1.0
replay = { crystals = 2 }

[pareto]
terms = { density = "min", distance = "max" }

[rewards.density.builtin]
term = "density"

[rewards.distance.builtin]
term = "min_distance"
role = "filter"
bound = 0.0
"#;

const PRETRAIN: &str = r#"
[data]
files = ["salts.jsonl"]
holdout = 0.5

[policy]
model = "policy"

[run]
dir = "run"
threads = 1

[train]
batch = 2
epochs = 1
out = "out"
"#;

/// The keys of a line of metrics, as the page writes them: `terms.NAME.mean`, `funnel[].stage`.
fn flatten(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let key = match path {
                    "terms" | "judge" => "NAME",
                    path if path.ends_with(".failures") => "KIND",
                    _ => key,
                };
                flatten(inner, &if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| flatten(item, &format!("{path}[]"), found)),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

fn keys(run: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    json_lines(&run.join("metrics.jsonl")).iter().for_each(|line| flatten(line, "", &mut found));
    found
}

fn documented(heading: &str) -> BTreeSet<String> {
    rows(&book("files.md").section(heading)).iter().flat_map(|row| quoted(&row[0])).collect()
}

fn files(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let name = if name.starts_with("step-") { name.replace(char::is_numeric, "N") } else { name };
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{prefix}{name}/"), found);
        } else if name.contains("tfevents") {
            found.insert("events.out.tfevents.T.temper".to_owned());
        } else {
            found.insert(format!("{prefix}{name}"));
        }
    }
}

#[test]
fn the_files_and_metrics_of_a_fine_tuning_are_defined() {
    let hull =
        format!("potential = \"{ROOT}/models/chgnet-0.3.0\"\nreference = \"{ROOT}/models/hulls/mp-chgnet.hull\"\n");
    let folder = prepared(&format!("{FINETUNE}\n[judge.hull]\n{hull}every = 2\n"));
    accepted(folder.path(), &["finetune", "run.toml", "--quiet"]);
    let run = folder.path().join("run");
    assert_eq!(keys(&run), documented("`metrics.jsonl`"));
    let mut found = BTreeSet::new();
    files(&run, "", &mut found);
    assert_eq!(found, documented("Fine-tuning"));
    let samples = documented("`samples/step-N.jsonl.gz`");
    for row in json_lines(&run.join("samples/step-2.jsonl.gz")) {
        let terms = ["density", "distance"].map(str::to_owned);
        let unknown: Vec<&String> =
            row.as_object().unwrap().keys().filter(|key| !samples.contains(*key) && !terms.contains(key)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

#[test]
fn the_metrics_of_a_pretraining_are_defined() {
    let folder = prepared("");
    let salt = |(i, a): (usize, f64)| {
        json!({ "id": format!("salt-{i}"), "number": i, "lattice": [[0.0, a, a], [a, 0.0, a], [a, a, 0.0]], "species": ["Na", "Cl"],
            "frac_coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]] })
    };
    let lines: Vec<String> = (0..20).map(|i| salt((i, 2.0 + 0.05 * i as f64)).to_string()).collect();
    std::fs::write(folder.path().join("salts.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(folder.path().join("pretrain.toml"), PRETRAIN).unwrap();
    accepted(folder.path(), &["pretrain", "pretrain.toml", "--quiet"]);
    assert_eq!(keys(&folder.path().join("run")), documented("Pretraining"));
    let dpo = ["dpo.chosen=number < 10", "run.dir=preferences", "dpo.pairs_per_crystal=10"];
    let mut arguments = vec!["pretrain", "pretrain.toml", "--quiet"];
    dpo.iter().for_each(|set| arguments.extend(["--set", set]));
    accepted(folder.path(), &arguments);
    assert_eq!(keys(&folder.path().join("preferences")), documented("Preferences"));
}
