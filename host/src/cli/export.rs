//! `temper export`: the policy of a run as a policy directory with a card.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure, Output, Search};
use crate::policy::{MODEL, PARAMETERS};
use crate::record::{run_card, run_policy};

/// Write the policy of a run as a policy directory with a card.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper export runs/finetune -o models/mine")]
pub struct Export {
    /// The directory of a run, of which the best step (or epoch) is taken, or one of its checkpoints
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Folder that receives model.toml, params.safetensors and the card README.md; it must not hold them
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
}

impl Export {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        const CARD: &str = "README.md";
        let folder = Search::new(None).find("RUN", &self.run)?;
        let run = run_policy(&folder)?.ok_or_else(|| {
            Failure::user(format!("{}: neither the directory of a run nor a checkpoint", folder.display()))
                .hint("the directory of a run has a folder `checkpoints`")
        })?;
        let there = [MODEL, PARAMETERS, CARD].map(|name| self.out.join(name)).into_iter().find(|file| file.exists());
        if let Some(there) = there {
            return Err(Failure::user(format!("{}: the file already exists, so nothing was written", there.display())));
        }
        run.policy.save(&self.out)?;
        let mut card = Output::create(&self.out.join(CARD))?;
        let text = run_card(&run, &self.out)?;
        std::io::Write::write_all(&mut card, text.as_bytes()).map_err(|error| card.failed(&error))?;
        card.finish()?;
        context.say(&format!("{}: {}: {}", self.out.display(), run.parameters_file.display(), run.reason));
        Ok(())
    }
}
