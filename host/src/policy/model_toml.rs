//! `model.toml` of a policy directory: architecture, hyper-parameters, training frequencies of the space groups, provenance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::hyper::{HyperparameterError, Hyperparameters, SPACE_GROUPS};
use crate::atomic::write_atomically;
use crate::hint::Hint;
use crate::input::{MOST_TEXT, read_text};

const ARCHITECTURE: &str = "crystalformer";
const TOP_KEYS: [&str; 4] = ["architecture", "crystalformer", "spacegroups", "provenance"];
const HYPER_KEYS: [&str; 16] = [
    "Nf",
    "Kx",
    "Kl",
    "n_max",
    "h0_size",
    "num_layers",
    "num_heads",
    "key_size",
    "model_size",
    "embed_size",
    "atom_types",
    "wyck_types",
    "dropout_rate",
    "attn_dropout",
    "description",
    "temperature",
];

/// What `model.toml` says.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelToml {
    /// The table `[crystalformer]`.
    pub hyper: Hyperparameters,
    /// The table `[spacegroups]`: how often each group 1..=230 occurs in the training data, not normalised. Absent: uniform.
    pub spacegroups: Option<BTreeMap<u8, f64>>,
    /// The table `[provenance]`: free, carried along.
    pub provenance: Option<toml::Table>,
}

/// Why a `model.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelTomlError {
    /// The file cannot be read or written.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Not TOML, a missing key, or a value of the wrong type.
    #[error("{}: {source}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Line, column and reason.
        source: Box<toml::de::Error>,
    },
    /// A key that has no meaning here.
    #[error("{} line {line}: unknown key `{key}`", file.display())]
    UnknownKey {
        /// The file.
        file: PathBuf,
        /// Line of the key, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The most similar valid key.
        nearest: Option<&'static str>,
    },
    /// Another architecture.
    #[error("{}: architecture `{found}` is not supported: only `{ARCHITECTURE}` is", file.display())]
    Architecture {
        /// The file.
        file: PathBuf,
        /// What it names.
        found: String,
    },
    /// A key of `[spacegroups]` that is no space group number.
    #[error("{} line {line}: `{key}` is not a space group: they are numbered 1 to 230", file.display())]
    SpaceGroup {
        /// The file.
        file: PathBuf,
        /// Line of the key, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// Frequencies that nothing can be drawn from.
    #[error("{}: [spacegroups] {reason}", file.display())]
    Frequencies {
        /// The file.
        file: PathBuf,
        /// What is wrong with them.
        reason: String,
    },
    /// Hyper-parameters that make no network.
    #[error("{}: [crystalformer] {source}", file.display())]
    Hyperparameters {
        /// The file.
        file: PathBuf,
        /// Which one, and why.
        source: HyperparameterError,
    },
    /// The contents cannot be written as TOML.
    #[error("{}: {source}", file.display())]
    Encode {
        /// The file.
        file: PathBuf,
        /// The encoder's reason.
        source: toml::ser::Error,
    },
}

impl Hint for ModelTomlError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::UnknownKey { nearest: Some(nearest), .. } => vec![format!("did you mean `{nearest}`?")],
            _ => Vec::new(),
        }
    }
}

/// The file as TOML has it: keys are text.
#[derive(Serialize, Deserialize)]
struct File {
    architecture: String,
    crystalformer: Hyperparameters,
    spacegroups: Option<BTreeMap<String, f64>>,
    provenance: Option<toml::Table>,
}

impl ModelToml {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Any [`ModelTomlError`] but `Encode`.
    pub fn read(path: &Path) -> Result<Self, ModelTomlError> {
        let text =
            read_text(path, MOST_TEXT).map_err(|source| ModelTomlError::Io { file: path.to_path_buf(), source })?;
        Self::parse(&text, path)
    }

    /// Checks the text of a file; `path` is named in errors.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, ModelTomlError> {
        let file = || path.to_path_buf();
        let syntax = |source| ModelTomlError::Syntax { file: file(), source: Box::new(source) };
        check_keys(text, DeTable::parse(text).map_err(syntax)?.get_ref(), path)?;
        let raw: File = toml::from_str(text).map_err(syntax)?;
        if raw.architecture != ARCHITECTURE {
            return Err(ModelTomlError::Architecture { file: file(), found: raw.architecture });
        }
        raw.crystalformer.check().map_err(|source| ModelTomlError::Hyperparameters { file: file(), source })?;
        let spacegroups = raw.spacegroups.map(|table| frequencies(table, path)).transpose()?;
        Ok(Self { hyper: raw.crystalformer, spacegroups, provenance: raw.provenance })
    }

    /// Writes the file, space groups in the order of their numbers.
    ///
    /// # Errors
    /// [`ModelTomlError::Io`] or [`ModelTomlError::Encode`].
    pub fn write(&self, path: &Path) -> Result<(), ModelTomlError> {
        let text = self.to_text().map_err(|source| ModelTomlError::Encode { file: path.to_path_buf(), source })?;
        write_atomically(path, text.as_bytes())
            .map_err(|source| ModelTomlError::Io { file: path.to_path_buf(), source })
    }

    fn to_text(&self) -> Result<String, toml::ser::Error> {
        let raw = File {
            architecture: ARCHITECTURE.into(),
            crystalformer: self.hyper.clone(),
            spacegroups: None,
            provenance: self.provenance.clone(),
        };
        let mut text = toml::to_string(&raw)?;
        if let Some(table) = &self.spacegroups {
            // By hand: as text keys, "10" would come before "2".
            text.push_str("\n[spacegroups]\n");
            for (group, frequency) in table {
                text.push_str(&format!("{group} = {frequency:?}\n"));
            }
        }
        Ok(text)
    }
}

/// Refuses the first key that has no meaning, with its line and the valid key nearest to it.
fn check_keys(text: &str, table: &DeTable<'_>, path: &Path) -> Result<(), ModelTomlError> {
    for (key, value) in table {
        known(text, key, &TOP_KEYS, path)?;
        let DeValue::Table(inner) = value.get_ref() else { continue };
        match key.get_ref().as_ref() {
            "crystalformer" => inner.keys().try_for_each(|key| known(text, key, &HYPER_KEYS, path))?,
            "spacegroups" => inner.keys().try_for_each(|key| is_space_group(text, key, path))?,
            _ => {}
        }
    }
    Ok(())
}

fn known(
    text: &str,
    key: &Spanned<impl AsRef<str>>,
    valid: &[&'static str],
    path: &Path,
) -> Result<(), ModelTomlError> {
    let name = key.get_ref().as_ref();
    if valid.contains(&name) {
        return Ok(());
    }
    let similarity = |candidate: &str| strsim::jaro_winkler(&candidate.to_lowercase(), &name.to_lowercase());
    let nearest = valid.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b))).copied();
    Err(ModelTomlError::UnknownKey { file: path.into(), line: line(text, key), key: name.into(), nearest })
}

fn is_space_group(text: &str, key: &Spanned<impl AsRef<str>>, path: &Path) -> Result<(), ModelTomlError> {
    let name = key.get_ref().as_ref();
    match group_number(name) {
        Some(_) => Ok(()),
        None => Err(ModelTomlError::SpaceGroup { file: path.into(), line: line(text, key), key: name.into() }),
    }
}

/// Number of a group, written without leading zeros or sign so that no group can stand twice.
fn group_number(key: &str) -> Option<u8> {
    let number = key.parse::<u8>().ok().filter(|n| (1..=SPACE_GROUPS).contains(&usize::from(*n)))?;
    (number.to_string() == key).then_some(number)
}

fn frequencies(table: BTreeMap<String, f64>, path: &Path) -> Result<BTreeMap<u8, f64>, ModelTomlError> {
    let refuse = |reason| Err(ModelTomlError::Frequencies { file: path.to_path_buf(), reason });
    if let Some((group, value)) = table.iter().find(|(_, value)| !(value.is_finite() && **value >= 0.0)) {
        return refuse(format!("gives group {group} the frequency {value}: it must be finite and not negative"));
    }
    let total: f64 = table.values().sum();
    if !(total.is_finite() && total > 0.0) {
        return refuse(format!("has frequencies that add up to {total}: at least one must be above 0"));
    }
    Ok(table.into_iter().filter_map(|(key, value)| Some((group_number(&key)?, value))).collect())
}

fn line<T>(text: &str, key: &Spanned<T>) -> usize {
    let start = key.span().start.min(text.len());
    1 + text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::Description;
    use crate::policy::Temperatures;

    fn paper_text() -> String {
        ModelToml { hyper: Hyperparameters::paper(), spacegroups: None, provenance: None }.to_text().unwrap()
    }

    fn refusal(text: &str) -> String {
        ModelToml::parse(text, Path::new("model.toml")).unwrap_err().to_string()
    }

    #[test]
    fn a_file_comes_back_as_written() {
        let provenance = toml::from_str("origin = \"here\"\n[training]\nepochs = 3\n").unwrap();
        let spacegroups = BTreeMap::from([(2, 0.1), (10, 1.0 / 3.0), (225, 7.0)]);
        let model = ModelToml {
            hyper: super::super::hyper::tests::tiny(),
            spacegroups: Some(spacegroups),
            provenance: Some(provenance),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.toml");
        model.write(&path).unwrap();
        assert_eq!(ModelToml::read(&path).unwrap(), model);
        let temperature = Temperatures { w: 0.7, xyz: 0.1, ..Temperatures::default() };
        let hyper = Hyperparameters { temperature, description: Description::Standard, ..model.hyper.clone() };
        let sharp = ModelToml { hyper, ..model.clone() };
        sharp.write(&path).unwrap();
        assert_eq!(ModelToml::read(&path).unwrap(), sharp);
        let bare = ModelToml { spacegroups: None, provenance: None, ..model };
        bare.write(&path).unwrap();
        assert_eq!(ModelToml::read(&path).unwrap(), bare);
    }

    #[test]
    fn dropout_may_be_left_out_and_integers_are_frequencies() {
        let text: String = paper_text().lines().filter(|l| !l.contains("dropout")).map(|l| format!("{l}\n")).collect();
        let model = ModelToml::parse(&(text + "[spacegroups]\n225 = 3\n"), Path::new("m")).unwrap();
        assert_eq!(model.hyper, Hyperparameters::paper());
        assert_eq!(model.spacegroups, Some(BTreeMap::from([(225, 3.0)])));
    }

    #[test]
    fn mistakes_are_named_with_line_and_remedy() {
        let text = paper_text();
        assert_eq!(refusal(&text.replace("n_max", "nmax")), "model.toml line 7: unknown key `nmax`");
        assert_eq!(refusal(&text.replace("Nf =", "nf =")), "model.toml line 4: unknown key `nf`");
        assert_eq!(
            refusal(&text.replace("architecture", "architectur")),
            "model.toml line 1: unknown key `architectur`"
        );
        assert_eq!(
            refusal(&text.replace("\"crystalformer\"", "\"mattergen\"")),
            "model.toml: architecture `mattergen` is not supported: only `crystalformer` is"
        );
        assert!(refusal(&text.replace("Kl = 4", "Kl = \"four\"")).contains("line 6"));
        assert!(refusal(&text.replace("Kl = 4\n", "")).contains("missing field `Kl`"));
        assert!(refusal(&text.replace("Kl = 4\n", "Kl = -4\n")).contains("line 6"));
        assert!(refusal(&text.replace("Kl = 4", "Kl = 0")).contains("[crystalformer] `Kl` is 0"));
        assert!(refusal("architecture = ").contains("line 1"));
    }

    #[test]
    fn space_groups_are_1_to_230_and_frequencies_can_be_drawn_from() {
        let with = |table: &str| refusal(&format!("{}\n[spacegroups]\n{table}\n", paper_text()));
        assert_eq!(
            with("225 = 1.0\n231 = 0.5"),
            "model.toml line 21: `231` is not a space group: they are numbered 1 to 230"
        );
        for key in ["0", "-1", "007", "1e2", "Fm3m", "99999999999999999999"] {
            assert!(with(&format!("{key} = 1.0")).contains("is not a space group"), "{key}");
        }
        for table in ["225 = nan", "225 = inf", "225 = -1", "225 = 0", "", "1 = 1e308\n2 = 1e308"] {
            assert!(with(table).contains("[spacegroups]"), "{table}");
        }
        assert!(
            ModelToml::read(Path::new("no/such/model.toml")).unwrap_err().to_string().contains("no/such/model.toml")
        );
    }
}
