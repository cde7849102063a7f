//! The crystals of a training: read, filtered and split, or paired.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::numbers::{Numbers, Role};
use super::plan::PretrainPlan;
use crate::cli::token_rows::{StatusTable, TokenRow, Tokenising};
use crate::cli::{Context, Failure, Table};
use crate::config::{self, Dpo};
use crate::crystal::{Description, Tokens};
use crate::policy::{Hyperparameters, check_crystal};
use crate::record::PretrainRun;
use crate::train::{JudgedCrystal, PairSettings, Preferences, PretrainData};

/// What is learnt from.
pub(super) enum Examples {
    /// Crystals by themselves.
    Crystals(PretrainData),
    /// Pairs of crystals.
    Pairs(Preferences),
}

/// Reads the files of a plan; tables in the run's directory, if there is one, receive what became of each row, and the numbers of
/// pairs.
pub(super) fn read_data(
    context: &Context,
    plan: &PretrainPlan,
    run: Option<&PretrainRun>,
) -> Result<Examples, Failure> {
    let mut reading = Reading {
        plan,
        numbers: Numbers::new(plan.conditions.names(), plan.scores.as_deref())?,
        seen: HashSet::new(),
        crystals: Vec::new(),
        rows: Vec::new(),
    };
    reading.read(context)?;
    let Reading { numbers, mut crystals, mut rows, .. } = reading;
    describe(context, &mut crystals, &plan.hyper);
    let count = rows.len();
    let examples = match &plan.config.dpo {
        None => {
            let mut data = PretrainData::default();
            let holdout = plan.config.data.holdout;
            crystals.into_iter().for_each(|crystal| data.add(&rows[crystal.row].id, crystal.tokens, holdout));
            Examples::Crystals(data)
        }
        Some(dpo) => Examples::Pairs(paired(crystals, &mut rows, dpo, &plan.config)),
    };
    let (mut pairs, mut others) = (String::new(), String::new());
    if let Some(run) = run {
        let status = run.data_status();
        write_status(&rows, &plan.files, &status)?;
        others = format!("; {} says why the others are left out", status.display());
    }
    if let (Some(run), Examples::Pairs(made)) = (run, &examples) {
        let table = run.pairs_table();
        write_pairs(made, &table)?;
        pairs = format!(": {}", table.display());
    }
    let what = match &examples {
        Examples::Crystals(data) => {
            format!("{} crystals to train on, {} held out", data.train.len(), data.valid.len())
        }
        Examples::Pairs(made) => described(made),
    };
    context.say(&format!("{count} rows: {what}{pairs}{others}"));
    numbers.check()?;
    Ok(examples)
}

/// Puts crystals in the description that the policy learns. One for which it cannot be found is learnt as it is.
fn describe(context: &Context, crystals: &mut [Crystal], hyper: &Hyperparameters) {
    if hyper.description.is_found() {
        return;
    }
    let progress = context.progress("standard descriptions", crystals.len() as u64);
    let failed = crystals.par_iter_mut().map(|crystal| {
        progress.advance(1);
        let described = hyper.description.of(&crystal.tokens).ok();
        let described = described.filter(|tokens| check_crystal(tokens, hyper).is_ok());
        described.map(|tokens| crystal.tokens = tokens).is_none()
    });
    let failed = failed.filter(|failed| *failed).count();
    drop(progress);
    if failed > 0 {
        context.say(&format!("{failed} crystals are learnt as they are: no standard description was found"));
    }
}

/// What became of a row.
struct Row {
    /// Place in the plan's files.
    file: usize,
    row: usize,
    id: String,
    /// Why it is left out.
    reason: Option<String>,
}

/// A crystal that is learnt from.
struct Crystal {
    /// Place among the rows.
    row: usize,
    tokens: Tokens,
    role: Role,
}

struct Reading<'a> {
    plan: &'a PretrainPlan,
    numbers: Numbers,
    seen: HashSet<String>,
    crystals: Vec<Crystal>,
    rows: Vec<Row>,
}

impl Reading<'_> {
    fn read(&mut self, context: &Context) -> Result<(), Failure> {
        let progress = context.progress("crystals", 0);
        let limits = &self.plan.config.data;
        let tokenising =
            Tokenising { max_atoms: limits.max_atoms, symprec: limits.symprec, description: Description::Found };
        for (file, (_, path)) in self.plan.files.iter().enumerate() {
            tokenising.each_row(context, (path, None), &progress, &mut |row| {
                self.add(file, row);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn add(&mut self, file: usize, row: TokenRow) {
        let numbers = self.numbers.of(&row.id, &row.extra);
        let new = self.seen.insert(row.id.clone());
        let passed = self.pass(row.tokens, new, &numbers);
        let (passed, reason) = passed.map_or_else(|reason| (None, Some(reason)), |passed| (Some(passed), None));
        self.crystals.extend(passed.map(|(tokens, role)| Crystal { row: self.rows.len(), tokens, role }));
        self.rows.push(Row { file, row: row.row, id: row.id, reason });
    }

    /// A row that is learnt from, or why it is not.
    fn pass(
        &self,
        tokens: Result<Tokens, String>,
        new: bool,
        numbers: &BTreeMap<String, f64>,
    ) -> Result<(Tokens, Role), String> {
        let tokens = tokens?;
        let (sites, most) = (tokens.sites.len(), self.plan.config.data.max_sites);
        // Files may overlap: a material counts once, wherever it comes first.
        if !new {
            return Err("the id was there before".to_owned());
        }
        if sites > most {
            return Err(format!("{sites} sites, more than {most}"));
        }
        check_crystal(&tokens, &self.plan.hyper).map_err(|error| error.to_string())?;
        let role = self.plan.conditions.role(numbers)?;
        Ok((tokens, role))
    }
}

/// The pairs that the crystals make; the rows of the others say so.
fn paired(crystals: Vec<Crystal>, rows: &mut [Row], dpo: &Dpo, config: &config::Pretrain) -> Preferences {
    let settings = PairSettings {
        per_crystal: dpo.pairs_per_crystal,
        same_family: dpo.same_family,
        holdout: config.data.holdout,
        seed: config.run.seed,
    };
    let places: Vec<usize> = crystals.iter().map(|crystal| crystal.row).collect();
    let judged = crystals.into_iter().map(|Crystal { row, tokens, role }| JudgedCrystal {
        id: rows[row].id.clone(),
        tokens,
        chosen: role == Role::Chosen,
    });
    let made = Preferences::new(judged.collect(), &settings);
    let in_pairs = made.paired();
    for (place, row) in places.iter().enumerate().filter(|(place, _)| !in_pairs.contains(place)) {
        let crystal = &made.crystals[place];
        let (what, group) = (if crystal.chosen { "rejected" } else { "chosen" }, crystal.tokens.group.number());
        let family = if dpo.same_family { " and proportions" } else { "" };
        let reason = format!("no {what} crystal of its space group{family} ({group}) is left to pair it with");
        rows[*row].reason = Some(reason);
    }
    made
}

fn described(made: &Preferences) -> String {
    let chosen = made.crystals.iter().filter(|crystal| crystal.chosen).count();
    let (rejected, train, valid) = (made.crystals.len() - chosen, made.train.len(), made.valid.len());
    format!("{chosen} chosen, {rejected} rejected, {train} pairs to train on, {valid} held out")
}

fn write_status(rows: &[Row], files: &[(PathBuf, PathBuf)], path: &Path) -> Result<(), Failure> {
    let mut table = StatusTable::create(path)?;
    rows.iter().try_for_each(|row| table.add(&files[row.file].0, row.row, &row.id, row.reason.as_deref()))?;
    table.finish()
}

fn write_pairs(made: &Preferences, path: &Path) -> Result<(), Failure> {
    let mut table = Table::create(path, &["spacegroup", "family", "chosen", "rejected", "pairs", "held_out"])?;
    for counts in &made.counts {
        let numbers = [counts.chosen, counts.rejected, counts.train, counts.valid].map(|count| count.to_string());
        let [chosen, rejected, train, valid] = numbers;
        table.row(&[counts.spacegroup.to_string(), counts.family.clone(), chosen, rejected, train, valid])?;
    }
    table.finish()
}
