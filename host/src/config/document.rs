//! The text of a config together with the overrides of the command line: read into a typed config, and searched for the
//! place of a key.

use std::path::Path;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, Location, Problem};
use crate::input::{MOST_TEXT, read_text};

/// One `--set key=value`: `key` is a dotted path, `value` TOML, or plain text where it is not TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    key: Vec<String>,
    value: String,
}

impl FromStr for Override {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (key, value) = text.split_once('=').ok_or_else(|| ConfigError::NotAnAssignment(text.to_owned()))?;
        let key: Vec<String> = key.split('.').map(|part| part.trim().to_owned()).collect();
        if key.iter().any(String::is_empty) {
            return Err(ConfigError::NotAnAssignment(text.to_owned()));
        }
        Ok(Self { key, value: value.trim().to_owned() })
    }
}

impl Override {
    /// Sets a key to a text, whatever the text looks like.
    pub fn text(key: &[&str], text: &str) -> Self {
        let value = toml::Value::String(text.to_owned()).to_string();
        Self { key: key.iter().map(|part| (*part).to_owned()).collect(), value }
    }
}

impl std::fmt::Display for Override {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.key.join("."), self.value)
    }
}

/// The text of a config and the overrides that apply to it.
#[derive(Clone, Debug)]
pub struct Document {
    name: String,
    text: String,
    overrides: Vec<Override>,
}

impl Document {
    /// A document of the given text; `name` stands in messages.
    pub fn new(name: impl Into<String>, text: impl Into<String>, overrides: Vec<Override>) -> Self {
        Self { name: name.into(), text: text.into(), overrides }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is not UTF-8.
    pub fn open(path: &Path, overrides: Vec<Override>) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match read_text(path, MOST_TEXT) {
            Ok(text) => Ok(Self::new(file, text, overrides)),
            Err(source) => Err(ConfigError::Unreadable { file, source }),
        }
    }

    /// The typed config, its ranges checked.
    ///
    /// # Errors
    /// For the first mistake: broken TOML, an unknown key (with the nearest valid one), a wrong type, a value out of range.
    pub fn read<T: Config>(&self) -> Result<T, ConfigError> {
        let mut table = DeTable::parse(&self.text).map_err(|e| self.broken(&e))?;
        for assignment in &self.overrides {
            self.apply(assignment, table.get_mut())?;
        }
        let config: T =
            serde_path_to_error::deserialize(toml::Deserializer::from(table)).map_err(|e| self.refused(&e))?;
        config.check().map_err(|problem| self.locate(problem))?;
        Ok(config)
    }

    /// Whether the file, or an override, has this key at its top level.
    pub fn has(&self, key: &str) -> bool {
        self.overrides.iter().any(|assignment| assignment.key == [key])
            || DeTable::parse(&self.text).is_ok_and(|table| table.get_ref().contains_key(key))
    }

    /// The error for a problem that was found in this document's values, here or later by whoever gives them meaning.
    pub fn locate(&self, problem: Problem) -> ConfigError {
        ConfigError::Mistake { place: self.place(&problem.key), message: problem.message, hints: problem.hints }
    }

    fn apply<'a>(&self, assignment: &'a Override, root: &mut DeTable<'a>) -> Result<(), ConfigError> {
        let mistake = |message| ConfigError::Mistake {
            place: Location::CommandLine(assignment.to_string()),
            message,
            hints: Vec::new(),
        };
        let Some((last, tables)) = assignment.key.split_last() else { return Ok(()) };
        let mut table = root;
        for (depth, name) in tables.iter().enumerate() {
            let entry = table
                .entry(Spanned::new(0..0, name.as_str().into()))
                .or_insert_with(|| Spanned::new(0..0, DeValue::Table(DeTable::new())));
            let DeValue::Table(inner) = entry.get_mut() else {
                return Err(mistake(format!("`{}` is not a table", assignment.key[..=depth].join("."))));
            };
            table = inner;
        }
        let value = parse_value(&assignment.value).map_err(mistake)?;
        table.insert(Spanned::new(0..0, last.as_str().into()), value);
        Ok(())
    }

    /// Text that is not TOML.
    fn broken(&self, error: &toml::de::Error) -> ConfigError {
        let offset = error.span().map_or(self.text.len(), |span| span.start);
        ConfigError::Mistake { place: self.at(offset), message: error.message().to_owned(), hints: Vec::new() }
    }

    /// TOML that is not a config.
    fn refused(&self, error: &serde_path_to_error::Error<toml::de::Error>) -> ConfigError {
        use serde_path_to_error::Segment;
        let key: Vec<String> = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                Segment::Map { key } => Some(key.clone()),
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .collect();
        let (message, hints) = describe(&key, error.inner().message());
        ConfigError::Mistake { place: self.place(&key), message, hints }
    }

    /// Where `key` was last given: by an override, else in the file, else where its table was made.
    fn place(&self, key: &[String]) -> Location {
        let given_by = |o: &&Override| key.starts_with(&o.key);
        let made_by = |o: &&Override| o.key.starts_with(key);
        let root = DeTable::parse(&self.text).unwrap_or_else(|_| Spanned::new(0..0, DeTable::new()));
        let (offset, found) = offset_of(root.get_ref(), key);
        let latest_first = || self.overrides.iter().rev();
        let overriding = latest_first().find(given_by).or_else(|| latest_first().find(made_by).filter(|_| !found));
        match overriding {
            Some(assignment) => Location::CommandLine(assignment.to_string()),
            None => self.at(offset),
        }
    }

    /// The line and column of a byte offset.
    fn at(&self, offset: usize) -> Location {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Location::File {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            text: self.text[start..].lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// TOML, or text: only what begins like a string, an array or a table must be well formed.
fn parse_value(text: &str) -> Result<Spanned<DeValue<'_>>, String> {
    match DeValue::parse(text) {
        Ok(value) => Ok(Spanned::new(0..0, value.into_inner())),
        Err(error) if text.starts_with(['"', '\'', '[', '{']) => Err(format!("not TOML: {}", error.message())),
        Err(_) => Ok(Spanned::new(0..0, DeValue::String(text.into()))),
    }
}

/// Byte offset of `key`, or of an array's item, and whether it is there; of the innermost table that is, where it is not.
fn offset_of(root: &DeTable<'_>, key: &[String]) -> (usize, bool) {
    let (mut table, mut offset) = (root, 0);
    for (depth, name) in key.iter().enumerate() {
        let Some((written, value)) = table.get_key_value(name.as_str()) else { return (offset, false) };
        offset = written.span().start;
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            DeValue::Array(items) => {
                let index = key.get(depth + 1).and_then(|index| index.parse::<usize>().ok());
                return (index.and_then(|i| items.get(i)).map_or(offset, |item| item.span().start), true);
            }
            _ => return (offset, true),
        }
    }
    (offset, !key.is_empty())
}

/// The sentence and the hints for what serde said about `key`.
fn describe(key: &[String], said: &str) -> (String, Vec<String>) {
    let dotted = key.join(".");
    let (table, last) = match key.split_last() {
        Some((last, table)) => (table.join("."), last.as_str()),
        None => (String::new(), ""),
    };
    let quoted: Vec<&str> = said.split('`').skip(1).step_by(2).collect();
    if said.starts_with("unknown field") || said.starts_with("unknown variant") {
        // serde's text is "unknown field `x`, expected one of `a`, `b`".
        let what = if said.starts_with("unknown field") { "key" } else { "value" };
        let (given, valid) = quoted.split_first().map_or((last, &[][..]), |(given, valid)| (*given, valid));
        let prefix = if what == "key" && !table.is_empty() { format!("{table}.") } else { String::new() };
        let nearest = nearest(given, valid.iter().copied()).map(|nearest| format!("did you mean `{prefix}{nearest}`?"));
        let of = if what == "value" { format!("`{dotted}`: ") } else { String::new() };
        let valid = format!("valid here: {}", valid.join(", "));
        return (format!("{of}unknown {what} `{prefix}{given}`"), nearest.into_iter().chain([valid]).collect());
    }
    if let (true, Some(field)) = (said.starts_with("missing field"), quoted.first()) {
        let full = if dotted.is_empty() { (*field).to_owned() } else { format!("{dotted}.{field}") };
        return (format!("the key `{full}` is missing"), Vec::new());
    }
    let plain = said
        .replace("expected u64", "expected a whole number of at least 0")
        .replace("expected usize", "expected a whole number of at least 0")
        .replace("expected u32", "expected a whole number of at least 0")
        .replace("expected f64", "expected a number");
    (format!("`{dotted}`: {plain}"), Vec::new())
}

/// The candidate that is spelled most like `given`.
pub(super) fn nearest<'a>(given: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates.min_by_key(|candidate| strsim::damerau_levenshtein(given, candidate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Finetune, RewardKind, SpaceGroups};

    const RUN: &str = "objective = \"-e_hull\"\n\n[policy]\nmodel = \"m\"\n\n[rewards.e_hull.hull]\npotential = \"p\"\nreference = \"h\"\n";

    fn read(text: &str, overrides: &[&str]) -> Result<Finetune, ConfigError> {
        let overrides = overrides.iter().map(|o| o.parse()).collect::<Result<_, _>>()?;
        Document::new("run.toml", text, overrides).read()
    }

    fn sentence(text: &str, overrides: &[&str]) -> String {
        read(text, overrides).unwrap_err().to_string()
    }

    #[test]
    fn a_short_config_has_the_defaults() {
        let config = read(RUN, &[]).unwrap();
        assert_eq!((config.run.steps, config.ppo.clip, config.sampling.batch), (100, 0.2, 200));
        assert_eq!(config.sampling.spacegroups, SpaceGroups::Training);
        assert!(
            matches!(&config.rewards["e_hull"].kind, RewardKind::Hull(term) if term.correction == crate::config::Correction::default())
        );
    }

    #[test]
    fn mistakes_in_the_file_name_line_column_and_what_is_right() {
        let cases = [
            ("[run]\nstepz = 3\n", "run.toml:10:1: unknown key `run.stepz`"),
            ("[rum]\nsteps = 3\n", "run.toml:9:2: unknown key `rum`"),
            (
                "[run]\nsteps = \"x\"\n",
                "run.toml:10:1: `run.steps`: invalid type: string \"x\", expected a whole number of at least 0",
            ),
            ("[run]\nsteps = 0\n", "run.toml:10:1: `run.steps` = 0: must be 1 to 1000000000"),
            (
                "[sampling]\nbatch = 100000000000\n",
                "run.toml:10:1: `sampling.batch` = 100000000000: must be 1 to 1000000",
            ),
            ("[guards]\nkl = \"stopp\"\n", "run.toml:10:1: `guards.kl`: unknown value `stopp`"),
            ("[guards]\nmax_idle_steps = 0\n", "run.toml:10:1: `guards.max_idle_steps` = 0: must be at least 1"),
            (
                "[run]\nsteps = -3\n",
                "run.toml:10:1: `run.steps`: invalid value: integer `-3`, expected a whole number of at least 0",
            ),
            ("[run]\nsteps = \n", "run.toml:10:9: string values must be quoted, expected literal string"),
            (
                "[run]\nmemory = \"4\"\n",
                "run.toml:10:1: `run.memory`: \"4\" is not an amount of memory; write it like \"4 GiB\" or \"512 MiB\"",
            ),
            ("[ppo]\nclip = 1.5\n", "run.toml:10:1: `ppo.clip` = 1.5: must be between 0 and 1"),
            ("[ppo]\nclip = nan\n", "run.toml:10:1: `ppo.clip` = NaN: must be between 0 and 1"),
            ("[ppo]\nkl_gradient = \"detach\"\n", "run.toml:10:1: `ppo.kl_gradient`: unknown value `detach`"),
            (
                "[sampling]\nspacegroups = [225, 231]\n",
                "run.toml:10:1: `sampling.spacegroups`: 231 is not a space group; they are numbered 1 to 230",
            ),
            (
                "[sampling]\nspacegroups = { 231 = 1.0 }\n",
                "run.toml:10:1: `sampling.spacegroups`: 231 is not a space group; they are numbered 1 to 230",
            ),
            ("[sampling]\nelements = { excludes = [] }\n", "run.toml:10:14: unknown key `sampling.elements.excludes`"),
            (
                "[sampling]\nelements = {}\n",
                "run.toml:10:1: `sampling.elements`: give `exclude`, `only` or `require`, a list of elements",
            ),
            ("[sampling]\ntop_p = 0.0\n", "run.toml:10:1: `sampling.top_p` = 0: must be more than 0 and at most 1"),
            ("[sampling]\ntemperature = inf\n", "run.toml:10:1: `sampling.temperature` = inf: must be at least 0.001"),
            ("[rewards.gap.onxn]\nmodel = \"x\"\n", "run.toml:9:14: unknown key `rewards.gap.onxn`"),
            ("[rewards.gap.onnx]\noutput = \"x\"\n", "run.toml:9:14: the key `rewards.gap.onnx.model` is missing"),
            (
                "[rewards.gap.plugin]\nlibrary = \"x\"\ndeadline = \"soon\"\n",
                "run.toml:11:1: `rewards.gap.plugin.deadline`: \"soon\" is not a length of time above 0; write it like \"30s\", \"500ms\" or \"5m\"",
            ),
            (
                "[rewards.gap.process]\ncommand = []\n",
                "run.toml:10:1: `rewards.gap.process.command` = []: must name a program",
            ),
            (
                "[rewards.n.builtin]\nterm = \"x\"\nrole = \"filter\"\n",
                "run.toml:11:1: `rewards.n.builtin.role` = \"filter\" needs a `bound`",
            ),
            (
                "[rewards.n.builtin]\nterm = \"x\"\nbound = 1\n",
                "run.toml:11:1: `rewards.n.builtin.bound` = 1: only a term with role = \"filter\" has a bound",
            ),
            (
                "[rewards.n.builtin]\nterm = \"x\"\non_failur = \"drop\"\n",
                "run.toml:11:1: unknown key `rewards.n.builtin.on_failur`",
            ),
            (
                "[rewards.n.process]\ncommand = [\"x\"]\nwokers = 2\n",
                "run.toml:11:1: unknown key `rewards.n.process.wokers`",
            ),
            (
                "[rewards.n.plugin]\nlibrary = \"x\"\nworkers = -1\n",
                "run.toml:11:1: `rewards.n.plugin.workers`: invalid value: integer `-1`, expected a whole number of at least 0",
            ),
            (
                "[rewards.n.onnx]\nmodel = \"x\"\nbound = \"y\"\n",
                "run.toml:11:1: `rewards.n.onnx.bound`: expected a number, the least that passes, or { min = ..., max = ... }",
            ),
            (
                "[rewards.n.plugin]\nlibrary = \"x\"\nconfig = { a = { b = [1, nan] } }\n",
                "run.toml:11:26: `rewards.n.plugin.config.a.b.1` is NaN or infinite; give a finite number, or text",
            ),
            (
                "[rewards.n.process]\ncommand = [\"x\"]\n[rewards.n.process.config]\nday = 2026-01-01\n",
                "run.toml:12:1: `rewards.n.process.config.day` is a date; write it in quotes, as text",
            ),
            (
                "[judge.hull]\npotential = \"x\"\ncorrection = { plugin = \"x\", config = { a = inf } }\n",
                "run.toml:11:41: `judge.hull.correction.config.a` is NaN or infinite; give a finite number, or text",
            ),
        ];
        for (added, expected) in cases {
            assert_eq!(sentence(&format!("{RUN}{added}"), &[]), expected, "{added}");
        }
        assert_eq!(sentence("objective = \"x\"", &[]), "run.toml:1:1: the key `policy` is missing");
    }

    /// The text is hashed into the lock of a run, which later versions must resume.
    #[test]
    fn terms_are_written_with_all_keys_in_order() {
        let terms = "[rewards.a.plugin]\nlibrary = \"x\"\nbound = { max = 1.5 }\nrole = \"filter\"\nmax_restarts = 2\n\
            config = { k = 1 }\nisolation = \"none\"\nmemory = \"1 GiB\"\n\
            [rewards.b.process]\ncommand = [\"x\"]\non_failure = { value = -2.0 }\n";
        let text = "correction = { command = [\"x\"], workers = 3 }\n".to_owned() + terms;
        let config = read(&format!("{RUN}{text}"), &[]).unwrap();
        let written = toml::to_string(&config.rewards).unwrap();
        let expected = "[a.plugin]\nlibrary = \"x\"\nisolation = \"none\"\ndeadline = \"30s\"\nworkers = 1\nmemory = \"1 GiB\"\n\
            max_restarts = 2\non_failure = \"worst\"\nrole = \"filter\"\n\n[a.plugin.config]\nk = 1\n\n[a.plugin.bound]\nmax = 1.5\n\n\
            [b.process]\ncommand = [\"x\"]\ndeadline = \"30s\"\nworkers = 1\nmax_restarts = 5\nrole = \"reward\"\n\n\
            [b.process.on_failure]\nvalue = -2.0\n\n\
            [e_hull.hull]\npotential = \"p\"\nreference = \"h\"\non_failure = \"worst\"\nrole = \"reward\"\n\n\
            [e_hull.hull.correction]\ncommand = [\"x\"]\ndeadline = \"30s\"\nworkers = 3\nmax_restarts = 5\n";
        assert_eq!(written, expected);
        assert_eq!(toml::from_str::<std::collections::BTreeMap<_, _>>(&written), Ok(config.rewards));
    }

    #[test]
    fn hints_name_the_nearest_and_list_what_is_valid() {
        let Err(ConfigError::Mistake { hints, place, .. }) = read(&format!("{RUN}[policy2]\n"), &[]) else { panic!() };
        let valid = "valid here: objective, policy, run, sampling, ppo, rewards, pareto, judge, guards, record";
        assert_eq!(hints, ["did you mean `policy`?", valid]);
        assert_eq!(place, Location::File { file: "run.toml".into(), line: 9, column: 2, text: "[policy2]".into() });
        // Keys that terms share are among the valid ones.
        let added = "[rewards.n.process]\ncommand = [\"x\"]\nwokers = 2\n";
        let Err(ConfigError::Mistake { hints, .. }) = read(&format!("{RUN}{added}"), &[]) else { panic!() };
        let valid = "valid here: command, potential, config, deadline, workers, max_batch, memory, max_restarts, device, env, \
             on_failure, role, bound";
        assert_eq!(hints, ["did you mean `rewards.n.process.workers`?", valid]);
    }

    #[test]
    fn overrides_win_and_fall_back_to_text() {
        let set =
            ["run.steps=3", "objective=-2*e_hull", "sampling.spacegroups=[225]", "run.memory=1 GiB", "run.dir=a=b"];
        let config = read(&format!("{RUN}[run]\nsteps = 7\n"), &set).unwrap();
        assert_eq!((config.run.steps, config.objective.as_str()), (3, "-2*e_hull"));
        assert_eq!(config.run.memory.unwrap().bytes(), 1 << 30);
        assert_eq!(config.run.dir.to_str(), Some("a=b"));
        assert_eq!(config.sampling.spacegroups, SpaceGroups::Weighted([(225, 1.0)].into()));
    }

    #[test]
    fn mistakes_in_overrides_name_the_argument() {
        for (set, expected) in [
            ("run.stepz=3", "--set run.stepz=3: unknown key `run.stepz`"),
            (
                "run.steps=x",
                "--set run.steps=x: `run.steps`: invalid type: string \"x\", expected a whole number of at least 0",
            ),
            ("run.steps=0", "--set run.steps=0: `run.steps` = 0: must be 1 to 1000000000"),
            ("objective.x=1", "--set objective.x=1: `objective` is not a table"),
            ("sampling.spacegroups=[1", "--set sampling.spacegroups=[1: not TOML: unclosed array, expected `]`"),
            ("run.steps", "--set run.steps: expected KEY=VALUE"),
            ("=3", "--set =3: expected KEY=VALUE"),
            (
                "rewards.gap.onnx.output=x",
                "--set rewards.gap.onnx.output=x: the key `rewards.gap.onnx.model` is missing",
            ),
        ] {
            assert_eq!(sentence(RUN, &[set]), expected);
        }
    }

    #[test]
    fn the_resolved_config_reads_back() {
        let elaborate = format!(
            "{RUN}on_failure = {{ value = 3.0 }}\n[sampling]\nspacegroups = {{ 225 = 0.7, 216 = 0.3 }}\n\
             elements = {{ exclude = [\"radioactive\", \"Li\"] }}\n[judge.hull]\npotential = \"q\"\n\
             [rewards.n.builtin]\nterm = \"t\"\nrole = \"filter\"\nbound = 1.0\non_failure = \"drop\"\n\
             [rewards.m.builtin]\nterm = \"t\"\nrole = \"filter\"\nbound = {{ min = 0, max = 2.5 }}\n"
        );
        for text in [RUN, &elaborate] {
            let config = read(text, &[]).unwrap();
            assert_eq!(read(&config.to_toml().unwrap(), &[]).unwrap(), config);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z\\[\\]{}=.\", 0-9\n\u{e9}-]{0,60}", set in "[a-z\\[.=\"{ 0-9]{0,20}") {
            let _ = read(&text, &[]);
            let _ = read(&format!("{RUN}{text}"), &[&set]);
        }
    }
}
