//! The crystals of a pretraining: read, filtered and split.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::cli::token_rows::{StatusTable, TokenRow, Tokenising};
use crate::cli::{Context, Failure};
use crate::config;
use crate::policy::{Hyperparameters, check_crystal};
use crate::train::PretrainData;

/// The crystals of a config, split, and how often each space group occurs.
pub(super) struct Data {
    /// What is trained on, and what is held out.
    pub split: PretrainData,
    /// Number of crystals of each space group, in both parts.
    pub spacegroups: BTreeMap<u8, f64>,
}

impl Data {
    /// Reads the files; `status` receives a table of what became of each row.
    pub(super) fn read(
        context: &Context,
        limits: &config::Data,
        hyper: &Hyperparameters,
        status: &Path,
    ) -> Result<Self, Failure> {
        let progress = context.progress("crystals", 0);
        let tokenising = Tokenising { max_atoms: limits.max_atoms, symprec: limits.symprec };
        let mut filter = Filter { limits, hyper, seen: HashSet::new() };
        let (mut split, mut spacegroups, mut rows) = (PretrainData::default(), BTreeMap::new(), 0);
        let mut table = StatusTable::create(status)?;
        for file in &limits.files {
            tokenising.each_row(file, &progress, &mut |row| {
                rows += 1;
                let row = filter.pass(row);
                table.add(file, &row)?;
                if let Ok(tokens) = row.tokens {
                    *spacegroups.entry(tokens.group.number()).or_insert(0.0) += 1.0;
                    let part = if is_held_out(&row.id, limits.holdout) { &mut split.valid } else { &mut split.train };
                    part.push(tokens);
                }
                Ok(())
            })?;
        }
        drop(progress);
        table.finish()?;
        let (train, valid) = (split.train.len(), split.valid.len());
        context.say(&format!(
            "{rows} rows: {train} crystals to train on, {valid} held out; {} says why the others are left out",
            status.display()
        ));
        Ok(Self { split, spacegroups })
    }
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

/// Whether a material is held out: its id's hash as a number in [0, 1) lies below the share.
fn is_held_out(id: &str, share: f64) -> bool {
    let hash = Sha256::digest(id.as_bytes());
    let number = hash.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    (number as f64 / 2f64.powi(64)) < share
}
