//! Numbers of crystals, and the conditions on them that the config states.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::Failure;
use crate::config;
use crate::reward::Condition;

/// The column that says which crystal a row of a table is about.
const ID: &str = "id";

/// What the config asks of a crystal's numbers.
pub(super) struct Conditions {
    keep: Option<Condition>,
    /// What is preferred, and what to; the latter may be anything else.
    preferred: Option<(Condition, Option<Condition>)>,
}

/// What a crystal is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// To be learnt from by itself.
    Example,
    /// To be preferred.
    Chosen,
    /// To be preferred to.
    Rejected,
}

impl Conditions {
    /// Parses those of a config.
    pub fn new(config: &config::Pretrain) -> Result<Self, Failure> {
        let parse = |key: &str, text: &String| {
            Condition::parse(text).map_err(|error| Failure::user(format!("`{key}`: {error}")))
        };
        let optional = |key: &str, text: &Option<String>| text.as_ref().map(|text| parse(key, text)).transpose();
        let preferred = match &config.dpo {
            Some(dpo) => Some((parse("dpo.chosen", &dpo.chosen)?, optional("dpo.rejected", &dpo.rejected)?)),
            None => None,
        };
        Ok(Self { keep: optional("data.keep", &config.data.keep)?, preferred })
    }

    /// The names of all numbers that are read.
    pub fn names(&self) -> BTreeSet<String> {
        let preferred = self.preferred.iter().flat_map(|(chosen, rejected)| [Some(chosen), rejected.as_ref()]);
        let all = preferred.chain([self.keep.as_ref()]).flatten();
        all.flat_map(|condition| condition.names().iter().cloned()).collect()
    }

    /// What a crystal with these numbers is good for, or why it is left out.
    pub fn role(&self, numbers: &BTreeMap<String, f64>) -> Result<Role, String> {
        let holds = |condition: &Condition| {
            condition.holds(|name| numbers.get(name).copied()).map_err(|undecided| undecided.to_string())
        };
        if let Some(keep) = &self.keep
            && !holds(keep)?
        {
            return Err(format!("`{}` does not hold", keep.source()));
        }
        match &self.preferred {
            None => Ok(Role::Example),
            Some((chosen, _)) if holds(chosen)? => Ok(Role::Chosen),
            Some((_, Some(rejected))) if !holds(rejected)? => Err("is neither chosen nor rejected".to_owned()),
            Some(_) => Ok(Role::Rejected),
        }
    }
}

/// Where the numbers of crystals are found: in a table, else in the crystal's own row.
pub(super) struct Numbers {
    /// Names that are wanted, and whether any crystal has had a number of that name.
    wanted: BTreeMap<String, bool>,
    table: Option<ScoreTable>,
    /// Other names that were seen.
    columns: BTreeSet<String>,
}

/// The wanted columns of a table.
struct ScoreTable {
    columns: Vec<String>,
    rows: HashMap<String, Vec<Option<f64>>>,
}

impl Numbers {
    /// Reads the table of scores, if there is one.
    pub fn new(wanted: BTreeSet<String>, table: Option<&Path>) -> Result<Self, Failure> {
        let mut columns = BTreeSet::new();
        let table = table.map(|path| ScoreTable::read(path, &wanted, &mut columns)).transpose()?;
        Ok(Self { wanted: wanted.into_iter().map(|name| (name, false)).collect(), table, columns })
    }

    /// The numbers of a crystal, `extra` being what its row holds besides.
    pub fn of(&mut self, id: &str, extra: &Map<String, Value>) -> BTreeMap<String, f64> {
        if self.columns.is_empty() {
            self.columns.extend(extra.iter().filter(|(_, value)| number(value).is_some()).map(|(key, _)| key.clone()));
        }
        let scored = |name: &str| self.table.as_ref()?.number(id, name);
        let found = self.wanted.iter_mut().filter_map(|(name, seen)| {
            let value = scored(name).or_else(|| number(extra.get(name)?))?;
            *seen = true;
            Some((name.clone(), value))
        });
        found.collect()
    }

    /// Refuses names that no crystal had a number of.
    pub fn check(&self) -> Result<(), Failure> {
        match self.wanted.iter().find(|(_, seen)| !**seen) {
            None => Ok(()),
            Some((name, _)) => {
                let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
                let hint = match columns.is_empty() {
                    true => "data.scores names a table that has it, with the column `id`".to_owned(),
                    false => format!("there are: {}", columns.join(", ")),
                };
                Err(Failure::user(format!("no crystal of the data has a number `{name}`")).hint(hint))
            }
        }
    }
}

impl ScoreTable {
    fn read(path: &Path, wanted: &BTreeSet<String>, all: &mut BTreeSet<String>) -> Result<Self, Failure> {
        let failed = |error: csv::Error| Failure::user(format!("{}: {error}", path.display()));
        let mut reader = csv::Reader::from_path(path).map_err(failed)?;
        let header: Vec<String> = reader.headers().map_err(failed)?.iter().map(|name| name.trim().to_owned()).collect();
        let place = header.iter().position(|name| name == ID).ok_or_else(|| {
            Failure::user(format!("{}: no column `{ID}`; the header has {}", path.display(), header.join(", ")))
        })?;
        let columns: Vec<(usize, &String)> =
            header.iter().enumerate().filter(|(_, name)| wanted.contains(*name)).collect();
        let mut rows = HashMap::new();
        for (record, number) in reader.records().zip(1..) {
            let record = record.map_err(failed)?;
            let id = record.get(place).unwrap_or_default();
            let cells = columns.iter().map(|(column, _)| text_number(record.get(*column)?)).collect();
            if rows.insert(id.to_owned(), cells).is_some() {
                return Err(Failure::user(format!("{}: row {number}: the id {id} was there before", path.display())));
            }
        }
        let columns = columns.into_iter().map(|(_, name)| name.clone()).collect();
        all.extend(header.into_iter().filter(|name| name != ID));
        Ok(Self { columns, rows })
    }

    fn number(&self, id: &str, name: &str) -> Option<f64> {
        let column = self.columns.iter().position(|column| column == name)?;
        self.rows.get(id)?[column]
    }
}

/// A number, or a truth as 1 or 0; also as text, which is how a CSV has them.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::String(text) => text_number(text),
        _ => None,
    }
}

fn text_number(text: &str) -> Option<f64> {
    match text.trim() {
        "true" | "True" => Some(1.0),
        "false" | "False" => Some(0.0),
        text => text.parse().ok(),
    }
}
