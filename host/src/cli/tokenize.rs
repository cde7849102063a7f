//! `temper tokenize`: structures to tokens.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::structures::format_named;
use super::token_rows::{StatusTable, TokenRow, Tokenising};
use super::{Context, Failure, Output};
use crate::crystal::{Description, Format, MAX_ATOMS, SYMPREC, encode_tokens};

/// Turn structures into tokens: space group, lattice, Wyckoff sites.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper tokenize train.csv.gz val.csv.gz -o tokens.safetensors\n\n\
    tokens.status.csv, beside tokens.safetensors, says for every row whether it was taken, and why not.")]
pub struct Tokenize {
    /// Files of structures: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz; folders of them, patterns,
    /// or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the files, whatever their names: cif, csv, jsonl, extxyz, poscar
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// File that receives the tokens
    #[arg(long, short, value_name = "SAFETENSORS")]
    out: PathBuf,
    /// Site slots per crystal; crystals with more sites are left out
    #[arg(long, value_name = "N", default_value_t = 21)]
    slots: usize,
    /// Tolerance of the symmetry search, angstrom
    #[arg(long, value_name = "ANGSTROM", default_value_t = SYMPREC)]
    symprec: f64,
    /// Of the equivalent descriptions of each crystal, take the standard one
    #[arg(long)]
    standard: bool,
}

impl Tokenize {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        if !(self.symprec.is_finite() && self.symprec > 0.0) {
            return Err(Failure::user(format!("--symprec {}: must be more than 0 A", self.symprec)));
        }
        if !(1..=MAX_ATOMS).contains(&self.slots) {
            return Err(Failure::user(format!("--slots {}: a number from 1 to {MAX_ATOMS} is needed", self.slots)));
        }
        let mut output = Output::create(&self.out)?;
        let status_path = self.out.with_extension("status.csv");
        let mut status = StatusTable::create(&status_path)?;
        let description = if self.standard { Description::Standard } else { Description::Found };
        let tokenising = Tokenising { max_atoms: MAX_ATOMS, symprec: self.symprec, description };
        let (mut crystals, mut rows, mut first) = (Vec::new(), 0, None);
        let progress = context.progress("rows", 0);
        for file in &self.files {
            tokenising.each_row(context, (file, self.format), &progress, &mut |row| {
                let row = self.fitting(row);
                rows += 1;
                status.add(file, row.row, &row.id, row.reason())?;
                match row.tokens {
                    Ok(tokens) => crystals.push((row.id, tokens)),
                    Err(reason) => drop(first.get_or_insert_with(|| format!("row {}: {reason}", row.row))),
                }
                Ok(())
            })?;
        }
        drop(progress);
        status.finish()?;
        if crystals.is_empty() {
            let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
            let first = first.map_or_else(String::new, |first| format!(" ({first})"));
            return Err(Failure::user(format!("{}: none of {rows} structures is usable{first}", files.join(", ")))
                .hint(format!("the column `status` of {} says why", status_path.display())));
        }
        let bytes = encode_tokens(&self.out, &crystals, self.slots)?;
        output.write_all(&bytes).map_err(|error| output.failed(&error))?;
        output.finish()?;
        let (taken, out) = (crystals.len(), self.out.display());
        let others = format!("; {} says why the others are left out", status_path.display());
        context.say(&format!("{taken} of {rows} structures: {out}{}", if taken < rows { &others } else { "" }));
        Ok(())
    }

    /// A row that has more sites than there are slots has no tokens.
    fn fitting(&self, mut row: TokenRow) -> TokenRow {
        let sites = row.tokens.as_ref().map_or(0, |tokens| tokens.sites.len());
        if sites > self.slots {
            row.tokens = Err(format!("{sites} sites, more than the {} slots", self.slots));
        }
        row
    }
}
