//! `temper model import`: a checkpoint of the reference implementation as a policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure};
use crate::cli::token_rows::Tokenising;
use crate::cli::wanted::UNIFORM;
use crate::crystal::{Description, MAX_ATOMS, SYMPREC};
use crate::policy::{
    Hyperparameters, ImportError, MODEL, ModelToml, PARAMETERS, ParameterError, PolicyDirectory, check_crystal,
    import_checkpoint,
};

/// Turn a checkpoint of the reference implementation into a policy. No code from the file is ever run.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  temper model import epoch_003800.pkl -o models/crystalformer-alex --spacegroups-from train.csv"
)]
pub struct Import {
    /// The checkpoint: a pickle; no code in it is run
    #[arg(value_name = "CHECKPOINT")]
    checkpoint: PathBuf,
    /// Folder that receives model.toml and params.safetensors
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// A model.toml with the hyper-parameters; without it, those of the paper's Table S1
    #[arg(long, value_name = "TOML")]
    config: Option<PathBuf>,
    /// The training data, structures or tokens: how often each space group occurs in them is how often it is sampled
    #[arg(long, value_name = "DATA")]
    spacegroups_from: Option<PathBuf>,
    /// Replace a policy that is there already
    #[arg(long)]
    force: bool,
}

impl Import {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        self.refuse_to_replace()?;
        let mut model = match &self.config {
            Some(path) => ModelToml::read(path)?,
            None => ModelToml { hyper: Hyperparameters::paper(), spacegroups: None, provenance: None },
        };
        let parameters = import_checkpoint(&self.checkpoint, &model.hyper).map_err(|error| self.refused(error))?;
        if let Some(data) = &self.spacegroups_from {
            model.spacegroups = Some(frequencies(context, data, &model.hyper)?);
        }
        if model.spacegroups.is_none() {
            context.say(&format!(
                "warning: {UNIFORM}\nhint: --spacegroups-from counts them in the data that the policy was trained on"
            ));
        }
        let policy = PolicyDirectory { model, parameters };
        policy.save(&self.out)?;
        context.say(&format!("{} parameters: {}", policy.parameters.count(), self.out.display()));
        Ok(())
    }

    fn refuse_to_replace(&self) -> Result<(), Failure> {
        let there = [MODEL, PARAMETERS].map(|name| self.out.join(name)).into_iter().find(|file| file.exists());
        match there.filter(|_| !self.force) {
            Some(file) => Err(Failure::user(format!("{} exists already", file.display()))
                .hint("name another folder, or replace the policy with --force")),
            None => Ok(()),
        }
    }

    fn refused(&self, error: ImportError) -> Failure {
        use ParameterError::{Missing, Shape, Unexpected};
        let other_shape = matches!(&error, ImportError::Parameters(Missing { .. } | Shape { .. } | Unexpected { .. }));
        let failure = Failure::from(error);
        if other_shape && self.config.is_none() {
            failure
                .hint("these are the paper's hyper-parameters; give the checkpoint's own in a model.toml with --config")
        } else {
            failure
        }
    }
}

/// How many crystals of each space group a file has, of those that the policy can write.
fn frequencies(context: &Context, data: &Path, hyper: &Hyperparameters) -> Result<BTreeMap<u8, f64>, Failure> {
    let progress = context.progress("crystals", 0);
    let tokenising = Tokenising { max_atoms: MAX_ATOMS, symprec: SYMPREC, description: Description::Found };
    let (mut groups, mut rows, mut first) = (BTreeMap::new(), 0, None);
    tokenising.each_row(context, (data, None), &progress, &mut |row| {
        rows += 1;
        let usable = |tokens| check_crystal(&tokens, hyper).map(|()| tokens).map_err(|error| error.to_string());
        match row.tokens.and_then(usable) {
            Ok(tokens) => *groups.entry(tokens.group.number()).or_insert(0.0) += 1.0,
            Err(reason) => drop(first.get_or_insert_with(|| format!("row {}: {reason}", row.row))),
        }
        Ok(())
    })?;
    drop(progress);
    let counted = groups.values().sum::<f64>();
    let because = first.map_or_else(String::new, |reason| format!(" ({reason})"));
    if groups.is_empty() {
        let message = format!("{}: none of {rows} crystals has a space group{because}", data.display());
        return Err(Failure::user(message));
    }
    let others = if because.is_empty() { String::new() } else { format!("; the others are left out{because}") };
    context.say(&format!("{} space groups from {counted} of {rows} crystals{others}", groups.len()));
    Ok(groups)
}
