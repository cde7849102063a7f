//! The runs of a sweep: every combination of the values of its keys.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// More runs than anybody waits for.
const MOST_RUNS: usize = 10_000;
/// Keys that the sweep sets itself.
const OWN_KEYS: [&str; 2] = ["run.dir", "train.out"];

/// A run of a sweep.
#[derive(Debug)]
pub(super) struct Combination {
    /// Where it goes.
    pub directory: PathBuf,
    /// Its overrides, `key=value`.
    pub set: Vec<String>,
}

/// A key with its values.
struct Axis<'a> {
    key: &'a str,
    values: Vec<&'a str>,
}

/// Every combination, the values of the last key changing fastest. A pretraining also writes its policy into the run's directory.
pub(super) fn combinations(set: &[String], out: &Path, pretrain: bool) -> Result<Vec<Combination>, Failure> {
    if out.to_string_lossy().contains('{') {
        return Err(Failure::user(format!("-o {}: the folder is that of all runs: no braces", out.display()))
            .hint("each run has a directory in it that is called by its values"));
    }
    let axes = set.iter().map(|text| axis(text)).collect::<Result<Vec<Axis<'_>>, _>>()?;
    let runs = axes.iter().try_fold(1_usize, |runs, axis| runs.checked_mul(axis.values.len()));
    let runs = runs.filter(|runs| *runs <= MOST_RUNS);
    let runs = runs.ok_or_else(|| Failure::user(format!("these are more than {MOST_RUNS} runs")))?;
    let mut found = Vec::with_capacity(runs);
    let mut names = HashSet::new();
    for run in 0..runs {
        let chosen = chosen(&axes, run);
        let name = unused(name(&axes, &chosen), &names);
        let directory = out.join(&name);
        names.insert(name);
        let mut set: Vec<String> =
            axes.iter().zip(&chosen).map(|(axis, value)| format!("{}={value}", axis.key)).collect();
        set.push(format!("run.dir={}", quoted(&directory)?));
        if pretrain {
            set.push(format!("train.out={}", quoted(&directory.join("model"))?));
        }
        found.push(Combination { directory, set });
    }
    Ok(found)
}

fn axis(text: &str) -> Result<Axis<'_>, Failure> {
    let (key, values) =
        text.split_once('=').ok_or_else(|| Failure::user(format!("--set {text}: expected KEY=VALUE,...")))?;
    let key = key.trim();
    if OWN_KEYS.contains(&key) {
        return Err(Failure::user(format!("--set {text}: the sweep gives each run a directory of its own"))
            .hint("-o names the folder in which they are"));
    }
    let values = split(values);
    let mut seen = HashSet::new();
    match values.iter().find(|value| !seen.insert(**value)) {
        None => Ok(Axis { key, values }),
        Some(twice) => Err(Failure::user(format!("--set {text}: {twice} is there twice")).hint("give each value once")),
    }
}

/// The values between commas that stand in no brackets, parentheses or quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut values, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (place, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '{' | '(') => depth += 1,
            (None, ']' | '}' | ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                values.push(text[start..place].trim());
                start = place + 1;
            }
            _ => {}
        }
    }
    values.push(text[start..].trim());
    values
}

/// The values of the run of this number.
fn chosen<'a>(axes: &[Axis<'a>], mut run: usize) -> Vec<&'a str> {
    let mut chosen: Vec<&str> = Vec::new();
    for axis in axes.iter().rev() {
        chosen.push(axis.values[run % axis.values.len()]);
        run /= axis.values.len();
    }
    chosen.reverse();
    chosen
}

/// What sets a run apart, as the name of a directory: `seed-42_kl_weight-0.01`.
fn name(axes: &[Axis<'_>], chosen: &[&str]) -> String {
    let varied = axes.iter().zip(chosen).filter(|(axis, _)| axis.values.len() > 1);
    let parts: Vec<String> =
        varied.map(|(axis, value)| format!("{}-{}", short(axis.key, axes), plain(value))).collect();
    if parts.is_empty() { "run".to_owned() } else { parts.join("_") }
}

/// A name that no other run has: different values may read alike without their special characters.
fn unused(name: String, names: &HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !names.contains(name)).unwrap_or(name)
}

/// The last part of a key, or all of it where another key ends alike.
fn short(key: &str, axes: &[Axis<'_>]) -> String {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let alike = axes.iter().filter(|axis| last(axis.key) == last(key)).count();
    if alike > 1 { plain(key) } else { plain(&last(key)) }
}

/// Without characters that have a meaning in paths or for shells.
fn plain(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '+', '-'].contains(&c);
    text.split(|c| !allowed(c)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

fn quoted(path: &Path) -> Result<String, Failure> {
    let text = path
        .to_str()
        .ok_or_else(|| Failure::user(format!("{}: the name of a run's directory must be UTF-8", path.display())))?;
    Ok(toml::Value::String(text.to_owned()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(set: &[&str]) -> Result<Vec<(String, Vec<String>)>, Failure> {
        let set: Vec<String> = set.iter().map(|text| (*text).to_owned()).collect();
        let found = combinations(&set, Path::new("runs"), false)?;
        Ok(found.into_iter().map(|run| (run.directory.display().to_string(), run.set)).collect())
    }

    #[test]
    fn every_combination_has_a_directory() {
        let found = of(&["run.seed=1,2", "run.steps=3", "ppo.kl_weight=0.1, 0.2"]).unwrap();
        let expected = [("1", "0.1"), ("1", "0.2"), ("2", "0.1"), ("2", "0.2")].map(|(seed, weight)| {
            let directory = format!("runs/seed-{seed}_kl_weight-{weight}");
            let set = [
                format!("run.seed={seed}"),
                "run.steps=3".to_owned(),
                format!("ppo.kl_weight={weight}"),
                format!("run.dir=\"{directory}\""),
            ];
            (directory, set.to_vec())
        });
        assert_eq!(found, expected);
        assert_eq!(of(&["run.steps=3"]).unwrap()[0].0, "runs/run");
    }

    #[test]
    fn commas_in_brackets_and_quotes_part_nothing() {
        let values = split(r#"[1, 2],{ a = "x]," },'a,b',c"#);
        assert_eq!(values, ["[1, 2]", r#"{ a = "x]," }"#, "'a,b'", "c"]);
        assert_eq!(split("min(gap, (1, 3)), -gap"), ["min(gap, (1, 3))", "-gap"]);
        let found = of(&["sampling.spacegroups=[225, 216],[1]"]).unwrap();
        assert_eq!(found[0].0, "runs/spacegroups-225.216");
        assert_eq!(found[1].1[0], "sampling.spacegroups=[1]");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (set, part) in [
            (&["run.seed=1,2,1"][..], "--set run.seed=1,2,1: 1 is there twice"),
            (&["run.dir=a,b"], "gives each run a directory of its own"),
            (&["seed"], "expected KEY=VALUE"),
            (
                &[
                    "a=1,2,3,4,5,6,7,8,9,10,11",
                    "b=1,2,3,4,5,6,7,8,9,10,11",
                    "c=1,2,3,4,5,6,7,8,9,10,11",
                    "d=1,2,3,4,5,6,7,8,9",
                ],
                "more than 10000 runs",
            ),
        ] {
            let said = of(set).unwrap_err().to_string();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn values_that_read_alike_are_told_apart() {
        let found = of(&["objective=gap*2,gap/2,gap.2-2,gap-2"]).unwrap();
        let names: Vec<&str> = found.iter().map(|(directory, _)| directory.as_str()).collect();
        let expected = ["gap.2", "gap.2-2", "gap.2-2-2", "gap-2"].map(|value| format!("runs/objective-{value}"));
        assert_eq!(names, expected);
    }

    #[test]
    fn the_folder_of_all_runs_has_no_seed() {
        let said = combinations(&["run.seed=1,2".to_owned()], Path::new("out-{seed}"), false).unwrap_err().to_string();
        assert!(said.contains("-o out-{seed}: the folder is that of all runs: no braces"), "{said}");
    }

    #[test]
    fn keys_that_end_alike_are_told_apart() {
        let found = of(&["rewards.a.hull.reference=x,y", "rewards.b.hull.reference=x,y"]).unwrap();
        assert_eq!(found[1].0, "runs/rewards.a.hull.reference-x_rewards.b.hull.reference-y");
    }
}
