//! `temper logp`: log-probabilities of crystals under a policy, and the gradient of their mean.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::token_rows::{StatusTable, TokenRow, Tokenising};
use super::{Context, Exit, Failure, Output, Search, Table};
use crate::crystal::{MAX_ATOMS, SYMPREC, Tokens, try_map_ok};
use crate::policy::{
    Likelihood, LikelihoodError, LogProbability, LossGradient, Parameters, PolicyDirectory, Resources, check_crystal,
};
use crate::runtime::Runtime;
use crate::train::NegativeLogLikelihood;

const COLUMNS: [&str; 6] = ["id", "logp_w", "logp_xyz", "logp_a", "logp_l", "logp"];

/// Compute log-probabilities of crystals under a policy.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper logp -m models/crystalformer-small -i candidates.cif -o logp.csv\n\n\
    Columns: id, logp_w (Wyckoff letters), logp_xyz (coordinates), logp_a (elements), logp_l (lattice) and their sum logp, \
    in nats. They are empty for a crystal that has none; logp.status.csv, beside logp.csv, says why.")]
pub struct Logp {
    /// The policy: a folder with model.toml and params.safetensors, a run directory or one of its checkpoints
    #[arg(long, short, value_name = "DIR")]
    model: PathBuf,
    /// Structures (.cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz) or tokens (.safetensors)
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// File that receives one row per crystal
    #[arg(long, short, value_name = "CSV")]
    out: PathBuf,
    /// File that receives the gradient of the mean negative log-probability, under the names of the parameters
    #[arg(long, value_name = "SAFETENSORS")]
    grad: Option<PathBuf>,
    /// Tolerance of the symmetry search in structures, angstrom
    #[arg(long, value_name = "ANGSTROM", default_value_t = SYMPREC)]
    symprec: f64,
}

impl Logp {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        if !(self.symprec.is_finite() && self.symprec > 0.0) {
            return Err(Failure::user(format!("--symprec {}: must be more than 0 A", self.symprec)));
        }
        let policy = context.policy(&Search::new(None).find("--model", &self.model)?)?.policy;
        let mut rows = self.rows(context, &policy)?;
        let evaluator = Evaluator::new(context, &policy)?;
        let values = evaluator.log_probabilities(&mut rows)?;
        let usable: Vec<&Tokens> = rows.iter().filter_map(|row| row.tokens.as_ref().ok()).collect();
        let count = usable.len();
        self.write_status(&rows)?;
        if count == 0 {
            return Err(self.none_usable(&rows));
        }
        if let Some(path) = &self.grad {
            write_whole(path, &evaluator.gradient(&usable, path)?)?;
        }
        let mut table = Table::create(&self.out, &COLUMNS)?;
        rows.iter().zip(&values).try_for_each(|(row, value)| table.row(&cells(&row.id, *value)))?;
        table.finish()?;
        let others = format!("; {} says why the others are left out", self.status_path().display());
        let (rows, out) = (rows.len(), self.out.display());
        context.say(&format!("{count} of {rows} crystals: {out}{}", if count < rows { &others } else { "" }));
        Ok(())
    }

    /// The crystals of the file; those that the policy cannot take say why.
    fn rows(&self, context: &Context, policy: &PolicyDirectory) -> Result<Vec<TokenRow>, Failure> {
        let progress = context.progress("crystals", 0);
        let tokenising =
            Tokenising { max_atoms: MAX_ATOMS, symprec: self.symprec, description: policy.model.hyper.description };
        let mut rows = Vec::new();
        tokenising.each_row(context, (&self.input, None), &progress, &mut |mut row| {
            let refusal = row.tokens.as_ref().map_or(Ok(()), |crystal| check_crystal(crystal, &policy.model.hyper));
            if let Err(reason) = refusal {
                row.tokens = Err(reason.to_string());
            }
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }

    fn status_path(&self) -> PathBuf {
        self.out.with_extension("status.csv")
    }

    fn write_status(&self, rows: &[TokenRow]) -> Result<(), Failure> {
        let mut table = StatusTable::create(&self.status_path())?;
        rows.iter().try_for_each(|row| table.add(&self.input, row.row, &row.id, row.reason()))?;
        table.finish()
    }

    fn none_usable(&self, rows: &[TokenRow]) -> Failure {
        let reason = |row: &TokenRow| row.reason().map(|reason| format!(" (row {}: {reason})", row.row));
        let first = rows.first().and_then(reason).unwrap_or_default();
        Failure::user(format!("{}: none of {} crystals is usable{first}", self.input.display(), rows.len()))
            .hint(format!("the column `status` of {} says why", self.status_path().display()))
    }
}

/// A policy, and where it runs.
struct Evaluator<'a> {
    policy: &'a PolicyDirectory,
    runtime: Arc<Runtime>,
    resources: Resources,
}

impl<'a> Evaluator<'a> {
    fn new(context: &Context, policy: &'a PolicyDirectory) -> Result<Self, Failure> {
        let device = context.device()?;
        let runtime = context.runtime(device)?;
        let memory = runtime.memory(device);
        let resources = Resources { device, threads: context.threads(0), memory, ranks: context.ranks };
        Ok(Self { policy, runtime, resources })
    }

    /// One value per row. A usable row whose value is not finite becomes unusable.
    fn log_probabilities(&self, rows: &mut [TokenRow]) -> Result<Vec<Option<LogProbability>>, Failure> {
        let hyper = &self.policy.model.hyper;
        let likelihood = Likelihood::load(&self.runtime, hyper, self.resources)?;
        let tokens = rows.iter().map(|row| row.tokens.as_ref().map_err(String::clone)).collect();
        let values = try_map_ok(tokens, |crystals| {
            let found = likelihood.log_probabilities(&self.policy.parameters, &crystals)?;
            Ok::<_, LikelihoodError>(found.into_iter().map(finite).collect())
        })?;
        for (row, value) in rows.iter_mut().zip(&values) {
            if let Err(reason) = value {
                row.tokens = Err(reason.clone());
            }
        }
        Ok(values.into_iter().map(Result::ok).collect())
    }

    /// The gradient of the mean negative log-probability as a safetensors file; `path` is only named in errors.
    fn gradient(&self, crystals: &[&Tokens], path: &Path) -> Result<Vec<u8>, Failure> {
        let PolicyDirectory { model, parameters } = self.policy;
        let graph = LossGradient::load(&self.runtime, &model.hyper, self.resources)?;
        let loss = NegativeLogLikelihood::mean(crystals.len());
        let gradient = graph.gradient(parameters, crystals, &loss)?.gradient;
        let names = parameters.iter().map(|(name, _)| name.to_owned());
        let named: BTreeMap<_, _> = names.zip(gradient).collect();
        // Refuses a gradient that is not finite.
        let gradient = Parameters::assemble(named, &model.hyper, path)
            .map_err(|error| Failure::from_error(Exit::Model, &error))?;
        gradient.to_safetensors().map_err(|error| Failure::from_error(Exit::Internal, &error))
    }
}

fn finite(value: LogProbability) -> Result<LogProbability, String> {
    let total = value.total();
    if total.is_finite() { Ok(value) } else { Err(format!("its log-probability is {total}")) }
}

fn cells(id: &str, value: Option<LogProbability>) -> Vec<String> {
    let numbers = value.map(|p| [p.w, p.xyz, p.a, p.l, p.total()].map(|number| number.to_string()));
    std::iter::once(id.to_owned()).chain(numbers.unwrap_or_default()).collect()
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut output = Output::create(path)?;
    output.write_all(bytes).map_err(|error| output.failed(&error))?;
    output.finish()
}
