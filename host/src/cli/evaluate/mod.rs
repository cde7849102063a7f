//! `temper evaluate`: what the field measures of generated crystals.

mod criteria;
mod earlier;
mod judgement;
mod pictures;
mod properties;
mod protocol;
mod relaxed;
mod report;
mod table;
mod twins;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::match_pairs::MatcherOptions;
use super::structures::{Structures, format_named};
use super::{Context, Failure};
use crate::crystal::{Format, Record, for_each_chunk};
use crate::metrics::Stability;
use criteria::Criteria;
use earlier::Earlier;
use judgement::Judgement;
use protocol::{Deciding, Named, Settings};
use relaxed::RelaxedSamples;
use report::Report;
use table::StructureTable;

/// Measure the validity, stability, uniqueness and novelty of generated crystals.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  temper evaluate samples.jsonl --reference train.csv.gz --model models/chgnet-0.3.0 \
    --hull models/hulls/mp-chgnet.hull -o evaluation\n  \
    temper evaluate after.jsonl --reference known.index --model a.onnx --hull a.hull --model b.onnx --hull b.hull \
    --before evaluation -o judged-by-two\n\n\
    The folder receives structures.csv, with one row per sample; metrics.json: every figure as a count, the number of samples \
    that were asked for, their ratio and its 95 % interval (Wilson); and figures as SVG. With --relax they are also relaxed and judged again: relaxed.csv, relaxed.extxyz and relaxation.csv."
)]
pub struct Evaluate {
    /// Samples: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz; a folder of them, a pattern in
    /// quotes, or - for standard input
    #[arg(value_name = "SAMPLES")]
    samples: PathBuf,
    /// Format of the samples, whatever their names: cif, csv, jsonl, extxyz, poscar
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// Known structures, or an index of them as `temper index build` makes; may be repeated
    #[arg(long, value_name = "DATA")]
    reference: Vec<PathBuf>,
    /// A potential: an ONNX file or its folder; may be repeated, first the one that the policy was trained with
    #[arg(long, value_name = "MODEL", requires = "hull")]
    model: Vec<PathBuf>,
    /// A hull on the potential's energy scale, one for each
    #[arg(long, value_name = "HULL", requires = "model")]
    hull: Vec<PathBuf>,
    /// Correction that takes a potential's energies to the scale of its hull: none, mp2020, mp2020-as-crystalformer or a plugin; once
    /// for all, or once for each
    #[arg(long, value_name = "NAME", requires = "hull")]
    correction: Vec<String>,
    /// Judge as others do: paper, mattergen or lemat-genbench; what differs here is said
    #[arg(long, value_enum, value_name = "NAME",
        conflicts_with_all = ["stable", "metastable", "ltol", "stol", "angle_tol", "no_primitive", "no_scale"])]
    protocol: Option<Named>,
    /// Also relax the samples with the first potential, in at most so many steps, and judge what they become
    #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "200", requires = "model")]
    relax: Option<usize>,
    /// Energy above hull up to which a crystal is stable, eV/atom
    #[arg(long, value_name = "EV", default_value_t = Stability::default().stable, allow_negative_numbers = true, value_parser = finite)]
    stable: f64,
    /// Energy above hull up to which a crystal is metastable, eV/atom
    #[arg(long, value_name = "EV", default_value_t = Stability::default().metastable, allow_negative_numbers = true, value_parser = finite)]
    metastable: f64,
    /// SMACT's table of oxidation states: 2.2.1 or 3.2.0
    #[arg(long, value_name = "VERSION", default_value = "2.2.1", value_parser = ["2.2.1", "3.2.0"])]
    smact: String,
    /// Samples that were asked for, where the file has only those that became crystals
    #[arg(long, value_name = "N")]
    requested: Option<usize>,
    /// Measure how far each sample is from the nearest known structure, by average minimum distances (AMD)
    #[arg(long, requires = "reference")]
    amd: bool,
    /// The policy's training data, or an index of it: which samples are in it, beside the known structure; may be repeated
    #[arg(long, value_name = "DATA")]
    training: Vec<PathBuf>,
    /// Data of a property, and its columns: which samples are in it, with the known values beside their own
    #[arg(long, value_name = "DATA=COLUMN,...")]
    property: Option<String>,
    /// A property model, asked about the samples and about their twins in the training data; may be repeated
    #[arg(long, value_name = "MODEL")]
    property_model: Vec<PathBuf>,
    /// Folder of an earlier evaluation, such as that of the base policy, to compare with
    #[arg(long, value_name = "DIR")]
    before: Option<PathBuf>,
    /// Seconds that it took to draw the samples, for the rate of S.U.N. crystals
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    sampling_time: Option<f64>,
    #[command(flatten)]
    matcher: MatcherOptions,
    /// Folder that receives the results
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
}

impl Evaluate {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let began = Instant::now();
        let earlier = self.before.as_deref().map(Earlier::read).transpose()?;
        std::fs::create_dir_all(&self.out).map_err(|e| Failure::user(format!("{}: {e}", self.out.display())))?;
        let records = Structures::open(context, &self.samples, self.format)?;
        let criteria = Criteria::open(self, self.settings(), context)?;
        let opened = began.elapsed();
        let mut table = StructureTable::create(&context.writable(&self.out.join("structures.csv")), &criteria)?;
        let mut judgement = Judgement::new(&criteria);
        let mut relaxed = RelaxedSamples::open(self, &criteria, context)?;
        let progress = context.progress("samples", 0);
        for_each_chunk(records, |chunk: Vec<Record>| -> Result<(), Failure> {
            for (record, row) in chunk.iter().zip(judgement.add(&chunk)?) {
                table.add(record, &row)?;
            }
            match &mut relaxed {
                Some(relaxed) => relaxed.add(&chunk, &progress),
                None => {
                    progress.advance(chunk.len() as u64);
                    Ok(())
                }
            }
        })?;
        drop(progress);
        if judgement.len() == 0 {
            return Err(Failure::user(format!("{}: there are no samples", self.samples.display())));
        }
        let twinned = table.finish()?;
        let requested = self.requested(judgement.len())?;
        let evaluation = judgement.evaluation(requested);
        let relaxed = relaxed.map(|relaxed| relaxed.finish(requested)).transpose()?;
        let (criteria, judgement, durations) = (&criteria, &judgement, [opened, began.elapsed() - opened]);
        let report = Report { evaluate: self, criteria, judgement, requested, twinned, relaxed, durations };
        match context.ranks.is_first() {
            true => report.write(context, &evaluation, earlier.as_ref()),
            false => Ok(()),
        }
    }

    fn settings(&self) -> Settings {
        let relaxed = self.relax.is_some();
        match self.protocol {
            Some(named) => named.settings(relaxed),
            None => Settings {
                named: None,
                limits: Stability { stable: self.stable, metastable: self.metastable },
                matcher: self.matcher.matcher(),
                deciding: Deciding::First,
                relaxed,
            },
        }
    }

    fn requested(&self, samples: usize) -> Result<usize, Failure> {
        match self.requested {
            Some(fewer) if fewer < samples => Err(Failure::user(format!(
                "--requested is {fewer}, but {} has {samples} samples",
                self.samples.display()
            ))),
            asked => Ok(asked.unwrap_or(samples)),
        }
    }
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| "not a finite number".into())
}

fn positive(text: &str) -> Result<f64, String> {
    finite(text).ok().filter(|number| *number > 0.0).ok_or_else(|| "not a number above 0".into())
}
