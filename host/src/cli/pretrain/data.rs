//! The crystals of a pretraining: read, filtered and split.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::cli::token_rows::{StatusTable, TokenRow, Tokenising};
use crate::cli::{Context, Failure};
use crate::config;
use crate::policy::{Hyperparameters, check_crystal};
use crate::train::PretrainData;

/// Reads the files, each with the name that it has in the config; `status` receives a table of what became of each row.
pub(super) fn read_data(
    context: &Context,
    limits: &config::Data,
    files: &[(PathBuf, PathBuf)],
    hyper: &Hyperparameters,
    status: &Path,
) -> Result<PretrainData, Failure> {
    let progress = context.progress("crystals", 0);
    let tokenising = Tokenising { max_atoms: limits.max_atoms, symprec: limits.symprec };
    let mut filter = Filter { limits, hyper, seen: HashSet::new() };
    let (mut data, mut rows) = (PretrainData::default(), 0);
    let mut table = StatusTable::create(status)?;
    for (named, file) in files {
        tokenising.each_row(context, (file, None), &progress, &mut |row| {
            rows += 1;
            let row = filter.pass(row);
            table.add(named, &row)?;
            if let Ok(tokens) = row.tokens {
                data.add(&row.id, tokens, limits.holdout);
            }
            Ok(())
        })?;
    }
    drop(progress);
    table.finish()?;
    let (train, valid) = (data.train.len(), data.valid.len());
    context.say(&format!(
        "{rows} rows: {train} crystals to train on, {valid} held out; {} says why the others are left out",
        status.display()
    ));
    Ok(data)
}

/// Which rows are learnt from.
struct Filter<'a> {
    limits: &'a config::Data,
    hyper: &'a Hyperparameters,
    seen: HashSet<String>,
}

impl Filter<'_> {
    /// Takes the tokens from a row that is not learnt from, and says why.
    fn pass(&mut self, row: TokenRow) -> TokenRow {
        let TokenRow { id, row, tokens } = row;
        let new = self.seen.insert(id.clone());
        let tokens = tokens.and_then(|tokens| {
            let (sites, most) = (tokens.sites.len(), self.limits.max_sites);
            // Files may overlap: a material counts once, wherever it comes first.
            if !new {
                Err("the id was there before".to_owned())
            } else if sites > most {
                Err(format!("{sites} sites, more than {most}"))
            } else {
                check_crystal(&tokens, self.hyper).map(|()| tokens).map_err(|error| error.to_string())
            }
        });
        TokenRow { id, row, tokens }
    }
}
