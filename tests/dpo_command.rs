//! `temper pretrain` on preferences, and on crystals that are chosen by their numbers. Policies are tiny and crystals come from the
//! textbook.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{accepted, assert_refused, json_lines, prepared, temper};

const HOLDOUT: f64 = 0.4;
const BETA: f64 = 0.2;

const CONFIG: &str = r#"
[data]
files = "salts.jsonl"
scores = "scores.csv"
holdout = 0.4

[policy]
model = "policy"

[dpo]
chosen = "e_hull < 0.1"
beta = 0.2
pairs_per_crystal = 1000

[run]
dir = "run"
threads = 1
checkpoint_every = 2

[train]
batch = 20
epochs = 4
schedule = "constant"
learning_rate = 1e-2
warmup_steps = 0
patience = 0
out = "out"
"#;

/// Forty rock salts, of which fluorides and chlorides are stable, one more without a score, and one of another kind.
fn folder() -> tempfile::TempDir {
    let folder = prepared("");
    let (mut lines, mut scores) = (String::new(), "id,status,e_hull\n".to_owned());
    let mut add = |id: &str, lattice: Value, species: [&str; 2], e_hull: f64| {
        let line = json!({ "id": id, "lattice": lattice, "species": species,
            "frac_coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]] });
        lines += &format!("{line}\n");
        if e_hull.is_finite() {
            scores += &format!("{id},ok,{e_hull}\n");
        }
    };
    for (i, cation) in ["Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Mn"].iter().enumerate() {
        for (j, anion) in ["F", "Cl", "O", "S"].iter().enumerate() {
            let h = 2.0 + 0.1 * i as f64 + 0.15 * j as f64;
            let e_hull = if j < 2 { 0.01 * i as f64 } else { 0.1 + 0.01 * i as f64 };
            add(&format!("{cation}{anion}"), json!([[0.0, h, h], [h, 0.0, h], [h, h, 0.0]]), [cation, anion], e_hull);
        }
    }
    add("unknown", json!([[0.0, 3, 3], [3, 0.0, 3], [3, 3, 0.0]]), ["Ag", "I"], f64::NAN);
    add("cubic", json!([[4, 0, 0], [0, 4, 0], [0, 0, 4]]), ["Cs", "I"], 0.0);
    fs::write(folder.path().join("salts.jsonl"), lines).unwrap();
    fs::write(folder.path().join("scores.csv"), scores).unwrap();
    fs::write(folder.path().join("dpo.toml"), CONFIG).unwrap();
    folder
}

fn metrics(run: &Path) -> Vec<Value> {
    let mut lines = json_lines(&run.join("metrics.jsonl"));
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("time")));
    lines
}

/// What became of the rows that are left out, by id.
fn left_out(run: &Path) -> HashMap<String, String> {
    let text = fs::read_to_string(run.join("data.status.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.splitn(4, ',').collect::<Vec<_>>());
    rows.filter(|row| row[3] != "ok").map(|row| (row[2].to_owned(), row[3].trim_matches('"').to_owned())).collect()
}

/// ln p by id.
fn log_probabilities(at: &Path, model: &str) -> HashMap<String, f64> {
    accepted(at, &["logp", "-m", model, "-i", "salts.jsonl", "-o", "logp.csv"]);
    let text = fs::read_to_string(at.join("logp.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.map(|row| (row[0].to_owned(), row[5].parse().unwrap())).collect()
}

/// The documented rule: the first eight bytes of the hash as a fraction.
fn is_held_out(id: &str) -> bool {
    let bytes: [u8; 8] = Sha256::digest(id)[..8].try_into().unwrap();
    (u64::from_be_bytes(bytes) as f64 / 2f64.powi(64)) < HOLDOUT
}

#[test]
fn it_learns_the_preference_and_says_what_it_made_of_the_data() {
    let folder = folder();
    let at = folder.path();
    let (_, said) = accepted(at, &["pretrain", "dpo.toml", "--set", "train.epochs=15"]);
    assert!(said.contains("42 rows: 21 chosen, 20 rejected, "), "{said}");
    let left_out = left_out(&at.join("run"));
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert_eq!(left_out["unknown"], "there is no number `e_hull`");
    assert_eq!(left_out["cubic"], "no rejected crystal of its space group (221) is left to pair it with");
    let held_out = |stable: bool| {
        let salts = json_lines(&at.join("salts.jsonl"));
        let ids = salts.iter().take(40).map(|line| line["id"].as_str().unwrap().to_owned());
        ids.filter(|id| is_held_out(id) && (id.ends_with('F') || id.ends_with("Cl")) == stable).count()
    };
    let (good, bad) = (held_out(true), held_out(false));
    let pairs = fs::read_to_string(at.join("run/pairs.csv")).unwrap();
    let expected = format!(
        "spacegroup,family,chosen,rejected,pairs,held_out\n221,,1,0,0,0\n225,,20,20,{},{}\n",
        (20 - good) * (20 - bad),
        good * bad
    );
    assert_eq!(pairs, expected);
    let lines = metrics(&at.join("run"));
    let last = lines.last().unwrap();
    // The anion decides, and the policy can learn it.
    assert!(last["valid_accuracy"].as_f64().unwrap() > 0.9, "{last}");
    assert!(last["valid_loss"].as_f64().unwrap() < 0.5 && last["train_loss"].as_f64().unwrap() < 0.5, "{last}");
    assert!(last["kl"].as_f64().unwrap() > 4.0 * last["kl_error"].as_f64().unwrap(), "{last}");
    let base = log_probabilities(at, "policy");
    let now = log_probabilities(at, "out");
    assert!(now["NaF"] - base["NaF"] > now["NaS"] - base["NaS"] + 1.0);
    let (model, old) = (at.join("out/model.toml"), at.join("policy/model.toml"));
    let spacegroups = |path: &Path| fs::read_to_string(path).unwrap().contains("[spacegroups]");
    assert_eq!(spacegroups(&model), spacegroups(&old), "preferences teach nothing about space groups");
}

/// Eq. 7 of the paper over all held-out pairs, from log-probabilities that `temper logp` gives.
#[test]
fn the_figures_are_those_of_the_log_probabilities() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["pretrain", "dpo.toml", "--quiet", "--set", "train.epochs=2"]);
    let base = log_probabilities(at, "policy");
    let now = log_probabilities(at, "run/checkpoints/step-2");
    let mut losses = Vec::new();
    let (mut ranked, mut chosen, mut rejected) = (0.0, 0.0, 0.0);
    let ids: Vec<&String> =
        base.keys().filter(|id| is_held_out(id) && !["unknown", "cubic"].contains(&id.as_str())).collect();
    let is_good = |id: &&&String| id.ends_with('F') || id.ends_with("Cl");
    for good in ids.iter().filter(is_good) {
        for bad in ids.iter().filter(|id| !is_good(id)) {
            let ratio = |id: &str| now[id] - base[id];
            let sigmoid = 1.0 / (1.0 + (-BETA * (ratio(good) - ratio(bad))).exp());
            losses.push(-f64::ln(sigmoid));
            ranked += f64::from(u8::from(ratio(good) > ratio(bad)));
            (chosen, rejected) = (chosen + ratio(good), rejected + ratio(bad));
        }
    }
    let pairs = losses.len() as f64;
    assert!(pairs > 20.0);
    let last = &metrics(&at.join("run"))[1];
    for (key, expected) in [
        ("valid_loss", losses.iter().sum::<f64>() / pairs),
        ("valid_accuracy", ranked / pairs),
        ("valid_chosen", chosen / pairs),
        ("valid_rejected", rejected / pairs),
        ("valid_margin", BETA * (chosen - rejected) / pairs),
    ] {
        let found = last[key].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-4, "{key}: {found} is not {expected}");
    }
}

#[test]
fn a_resumed_training_ends_with_the_same_bytes() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["pretrain", "dpo.toml", "--set", "run.dir=straight", "--set", "train.out=whole"]);
    accepted(at, &["pretrain", "dpo.toml", "--set", "train.epochs=2"]);
    accepted(at, &["pretrain", "dpo.toml", "--resume", "--threads", "2"]);
    assert_eq!(metrics(&at.join("straight")), metrics(&at.join("run")));
    for file in ["params.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"] {
        let read = |run: &str| fs::read(at.join(run).join("checkpoints/step-4").join(file)).unwrap();
        assert!(read("straight") == read("run"), "{file} differs");
    }
    for file in ["params.safetensors", "model.toml"] {
        assert!(fs::read(at.join("whole").join(file)).unwrap() == fs::read(at.join("out").join(file)).unwrap());
    }
    let scores = fs::read_to_string(at.join("scores.csv")).unwrap();
    fs::write(at.join("scores.csv"), scores.replace("LiF,ok,0\n", "LiF,ok,1\n")).unwrap();
    let arguments = ["pretrain", "dpo.toml", "--resume", "--set", "train.epochs=5"];
    let changed = "error: run: the run was started with a different data.scores\n\
        hint: go on with what is there now, on the record, with --accept-changed data.scores\n\
        hint: or start a new run in another directory with --set run.dir=...";
    assert_refused(at, &arguments, 2, changed);
}

#[test]
fn what_cannot_be_paired_is_refused_in_a_sentence() {
    let folder = folder();
    let at = folder.path();
    let said = |set: &[&str]| {
        let sets = set.iter().flat_map(|set| ["--set", set]);
        let output = temper(at, &["pretrain", "dpo.toml", "--quiet"].into_iter().chain(sets).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let names = said(&["dpo.chosen=e_hul < 0.1"]);
    assert!(
        names.starts_with("error: no crystal of the data has a number `e_hul`\nhint: there are: e_hull"),
        "{names}"
    );
    assert_eq!(
        said(&["dpo.chosen=e_hull <"]),
        "error: `dpo.chosen`: column 9: expected a number, a name, a function or `(`, found the end\n"
    );
    let none = said(&["dpo.chosen=e_hull < -5"]);
    assert!(none.starts_with("error: 0 pairs to train on and 0 held out: training needs at least one batch"), "{none}");
    fs::write(at.join("twice.csv"), "id,e_hull\nLiF,0\nNaF,0\nLiF,1\n").unwrap();
    assert_eq!(said(&["data.scores=twice.csv"]), "error: twice.csv: row 3: the id LiF was there before\n");
    fs::write(at.join("nameless.csv"), "name,e_hull\nLiF,0\n").unwrap();
    assert_eq!(
        said(&["data.scores=nameless.csv"]),
        "error: nameless.csv: no column `id`; the header has name, e_hull\n"
    );
    let unread = said(&["data.scores=nowhere.csv"]);
    assert!(unread.starts_with("error: `data.scores`: no such file or folder: nowhere.csv\n"), "{unread}");
}

/// The numbers may stand in the files themselves, and crystals between the two conditions take no part.
#[test]
fn numbers_of_the_files_and_a_gap_between_good_and_bad() {
    let folder = folder();
    let at = folder.path();
    let config = CONFIG.replace("scores = \"scores.csv\"\n", "keep = \"e_hull < 0.18\"\n");
    fs::write(at.join("dpo.toml"), config).unwrap();
    let scores = fs::read_to_string(at.join("scores.csv")).unwrap();
    let scores: HashMap<&str, f64> = scores
        .lines()
        .skip(1)
        .map(|line| (line.split(',').next().unwrap(), line.rsplit(',').next().unwrap().parse().unwrap()))
        .collect();
    let mut salts = json_lines(&at.join("salts.jsonl"));
    for salt in &mut salts {
        let score = scores.get(salt["id"].as_str().unwrap());
        salt["e_hull"] = json!(score);
    }
    let lines: Vec<String> = salts.iter().map(Value::to_string).collect();
    fs::write(at.join("salts.jsonl"), lines.join("\n")).unwrap();
    let arguments = [
        "pretrain",
        "dpo.toml",
        "--set",
        "dpo.rejected=e_hull >= 0.15",
        "--set",
        "train.epochs=1",
        "--set",
        "train.batch=1",
    ];
    let (_, said) = accepted(at, &arguments);
    // Three bad ones of oxides and sulphides each: 0.15, 0.16, 0.17.
    assert!(said.contains("42 rows: 21 chosen, 6 rejected, "), "{said}");
    let left_out = left_out(&at.join("run"));
    assert_eq!(left_out["LiO"], "is neither chosen nor rejected");
    assert_eq!(left_out["MnS"], "`e_hull < 0.18` does not hold");
}

fn cif(name: &str, symbols: [&str; 2], edge: f64) -> String {
    let [a, b] = symbols;
    format!(
        "data_{name}\n_cell_length_a {edge}\n_cell_length_b {edge}\n_cell_length_c {edge}\n_cell_angle_alpha 60\n\
         _cell_angle_beta 60\n_cell_angle_gamma 60\nloop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n\
         _atom_site_fract_y\n_atom_site_fract_z\n{a}1 {a} 0 0 0\n{b}1 {b} 0.5 0.5 0.5\n"
    )
}

#[test]
fn a_folder_of_cifs_is_learnt_from_in_one_command() {
    let folder = prepared("");
    let at = folder.path();
    fs::create_dir(at.join("mine")).unwrap();
    for (i, cation) in ["Li", "Na", "K", "Rb", "Cs", "Ag", "Cu", "Tl"].iter().enumerate() {
        for anion in ["F", "Cl", "Br"] {
            let name = format!("{cation}{anion}");
            let text = cif(&name, [cation, anion], 3.0 + 0.1 * i as f64);
            fs::write(at.join("mine").join(format!("{name}.cif")), text).unwrap();
        }
    }
    fs::write(at.join("mine/README"), "not a structure").unwrap();
    let small = ["policy.model=policy", "train.batch=4", "train.epochs=2", "data.holdout=0.3"];
    let run = |files: &str, dir: &str| {
        let mut arguments = vec!["pretrain", "--recipe", "sft", "--set", files, "--set", dir];
        small.iter().for_each(|set| arguments.extend(["--set", set]));
        accepted(at, &arguments).1
    };
    let said = run("data.files=mine/", "run.dir=runs/folder");
    assert!(said.starts_with("24 rows: ") && said.contains("validation NLL"), "{said}");
    assert!(said.contains("epoch    0  valid "), "{said}");
    let said = run("data.files=mine/*F.cif", "run.dir=runs/pattern");
    assert!(said.starts_with("8 rows: "), "{said}");
    let policy = fs::read_to_string(at.join("runs/sft/model/model.toml")).unwrap();
    assert!(policy.contains("225 = 8"), "{policy}");
    // The run knows its files: another one that matches is another run.
    fs::write(at.join("mine/AuF.cif"), cif("AuF", ["Au", "F"], 3.9)).unwrap();
    let said = String::from_utf8(temper(at, &["pretrain", "--resume", "runs/pattern", "--quiet"]).stderr).unwrap();
    assert!(said.starts_with("error: runs/pattern: the run was started with a different data.files.0\n"), "{said}");
    let said = "error: `sft` is a recipe of temper pretrain\nhint: temper pretrain --recipe sft";
    assert_refused(at, &["finetune", "--recipe", "sft"], 2, said);
}
