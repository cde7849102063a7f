//! Plugins of earlier releases of temper-plugin-api in today's host: `compat/v1` has the first one, with a plugin.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use support::{cargo_target, nested_cargo};
use temper::plugin::{
    API_VERSION, Crystals, Evaluator, HULL_CORRECTION, Outcome, PluginLibrary, REWARD, Supervision, WorkerCommand,
};

const FIRST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/compat/v1");

/// Builds the first release with its plugin, with the versions of then.
fn library() -> PathBuf {
    nested_cargo(Path::new(FIRST), &["build", "--locked", "--package", "temper-compat-v1"]);
    library_file("temper_compat_v1")
}

fn library_file(name: &str) -> PathBuf {
    let name = format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    cargo_target().join("debug").join(name)
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

/// An instance in this process, and one in a worker.
fn evaluators(library: &Path, interface: &str, config: &Value) -> [Evaluator; 2] {
    let config = object(config.clone());
    let here = Evaluator::in_process(&PluginLibrary::open(library).unwrap(), interface, &config).unwrap();
    let program = env!("CARGO_BIN_EXE_temper");
    let command = WorkerCommand::new(program, vec!["plugin".into(), "serve".into(), library.into()]);
    let deadline = Duration::from_secs(20);
    let supervision = Supervision::of_one(deadline, deadline, None);
    [here, Evaluator::in_workers("a plugin", command, interface, &config, supervision).unwrap()]
}

/// Magnesium oxide's two atoms, helium, neon, and one crystal of which nothing is known but where its atoms are.
fn crystals() -> Crystals {
    let mut crystals = Crystals::default();
    crystals.push(
        &[[2.0, 1.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 8.0]],
        &[12, 8],
        &[[0.25, 0.5, 0.0], [0.5, 0.0, -1.0]],
    );
    let cube = [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]];
    crystals.push(&cube, &[2], &[[0.0; 3]]);
    crystals.push(&cube, &[10], &[[0.5; 3]]);
    crystals.push(&cube, &[8, 8, 1], &[[0.0; 3], [0.5; 3], [0.25; 3]]);
    crystals.set_symmetry(vec![225, 229, 225, 0], vec![b'a', b'A', b'a', b'a', 0, 0, 0]);
    crystals.set_energies(vec![-12.0, -0.5, -0.25, f64::NAN]);
    crystals
}

#[test]
fn the_first_release_scores_crystals() {
    let library = library();
    let unknown = || Outcome::failed("not known");
    let neon = || Outcome::failed("neon at [1.5, 1.5, 1.5]");
    // By hand. Cartesian: (0.5, 2.25, 0) and (1, 0.5, -8) of the first crystal.
    for (column, first, last) in [
        ("atomic-numbers", 20.0, Outcome::Value(17.0)),
        ("fractional", 0.25 + 5.0 + 0.5 - 100.0, Outcome::Value(0.75 * 111.0)),
        ("cartesian", 0.5 + 22.5 + 1.0 + 5.0 - 800.0, Outcome::Value(2.25 * 111.0)),
        ("volume", 64.0, Outcome::Value(27.0)),
        ("space-group", 225.0, unknown()),
        ("wyckoff-letter", 65.0, unknown()),
        ("energy", -12.0, unknown()),
    ] {
        for scale in [1.0, -2.0] {
            let last = if let Outcome::Value(value) = last { Outcome::Value(scale * value) } else { last.clone() };
            let expected = [Outcome::Value(scale * first), Outcome::Abstain, neon(), last];
            for evaluator in evaluators(&library, REWARD, &json!({"column": column, "scale": scale})) {
                assert_eq!(evaluator.evaluate_batch(crystals()), Ok(expected.to_vec()), "{column}");
                assert_eq!(evaluator.evaluate_batch(Crystals::default()), Ok(Vec::new()), "{column}");
            }
        }
    }
}

#[test]
fn the_first_release_corrects_energies() {
    let expected = [-12.0 / 8.0 - 0.5, -0.5 / 8.0, -0.25 / 8.0].map(Outcome::Value);
    let expected = [&expected[..], &[Outcome::failed("no energy")]].concat();
    for evaluator in evaluators(&library(), HULL_CORRECTION, &json!({})) {
        assert_eq!(evaluator.evaluate_batch(crystals()), Ok(expected.clone()));
        assert_eq!(evaluator.properties().scales, Some(["PBE".to_owned(), "TEST".to_owned()]));
    }
}

#[test]
fn the_first_release_says_what_it_is_and_what_is_wrong() {
    let library = library();
    let plugin = PluginLibrary::open(&library).unwrap();
    let descriptor = plugin.descriptor();
    let said = [&descriptor.name, &descriptor.version, &descriptor.licence, &descriptor.api].map(String::as_str);
    assert_eq!(said, ["compat-v1", "1.2.3", "MIT OR Apache-2.0", "1.0.0"]);
    let properties = &descriptor.interface(REWARD).unwrap().properties;
    assert_eq!(
        (properties.unit.as_str(), properties.worst, properties.range),
        ("of the column", Some(-7.5), [None; 2])
    );
    assert!(properties.symmetry && properties.energies && properties.deterministic && properties.thread_safe);
    for evaluator in evaluators(&library, REWARD, &json!({"column": "volume"})) {
        assert_eq!(evaluator.properties().range, [Some(0.0), None]);
        let failure = |number: u8| {
            let mut crystals = Crystals::default();
            crystals.push(&[[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]], &[number], &[[0.0; 3]]);
            evaluator.evaluate_batch(crystals).unwrap_err().to_string()
        };
        let batch = "(for the whole batch of 1 crystals)";
        assert_eq!(failure(117), format!("tennessine {batch}"));
        assert_eq!(failure(118), format!("it panicked: oganesson in a batch of 1 {batch}"));
        assert!(evaluator.evaluate_batch(crystals()).is_ok());
    }
    let refusal = |config: Value| Evaluator::in_process(&plugin, REWARD, &object(config)).unwrap_err().to_string();
    assert_eq!(refusal(json!({"column": "energy", "scale": 0})), "compat-v1: a `scale` of 0 says nothing");
    assert_eq!(refusal(json!({})), "compat-v1: missing field `column`");
}

/// The same source as a minor version that is not there yet.
#[test]
fn a_later_release_is_accepted() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat-later");
    let files = ["Cargo.toml", "Cargo.lock", "plugin/Cargo.toml", "plugin/src/lib.rs", "plugin-api/Cargo.toml"];
    let texts = files.iter().map(|file| (PathBuf::from(file), Path::new(FIRST).join(file)));
    let sources = std::fs::read_dir(Path::new(FIRST).join("plugin-api/src")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (Path::new("plugin-api/src").join(path.file_name().unwrap()), path)
    });
    let readme = (PathBuf::from("plugin-api/README.md"), Path::new(FIRST).join("plugin-api/README.md"));
    for (place, source) in texts.chain(sources).chain([readme]) {
        let text = std::fs::read_to_string(source).unwrap();
        let text = text.replace("temper-compat-v1", "temper-compat-later").replace("\"1.0.0\"", "\"1.99.0\"");
        let place = folder.join(place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
    }
    nested_cargo(&folder, &["build", "--locked", "--package", "temper-compat-later"]);
    let library = library_file("temper_compat_later");
    assert_eq!(PluginLibrary::open(&library).unwrap().descriptor().api, "1.99.0");
    for evaluator in evaluators(&library, REWARD, &json!({"column": "atomic-numbers"})) {
        assert_eq!(evaluator.evaluate_batch(crystals()).unwrap()[0], Outcome::Value(20.0));
    }
}

/// What crosses the boundary, without what is said about it, is that of the first release until a version adds to it.
#[test]
fn what_crosses_is_what_was_released() {
    if !API_VERSION.starts_with("1.0.") {
        return;
    }
    let code = |folder: &str| {
        let text = std::fs::read_to_string(Path::new(folder).join("src/abi.rs")).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let today = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api");
    let (today, then) = (code(today), code(&format!("{FIRST}/plugin-api")));
    assert_eq!(today.iter().zip(&then).find(|(now, then)| now != then), None, "the first line that differs");
    assert_eq!(today.len(), then.len());
}
