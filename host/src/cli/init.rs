//! `temper init`: a commented config to start from, with every key there is.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;

use super::every_key::with_every_key;
use super::{Context, Failure, Recipe};

/// Write a commented config to start from, with every key there is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper init stability -o run.toml")]
pub struct Init {
    /// The recipe to copy
    #[arg(default_value = "stability")]
    name: String,
    /// The file to write; it must not exist
    #[arg(short, long, value_name = "FILE", default_value = "run.toml")]
    out: PathBuf,
}

impl Init {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let recipe = Recipe::named(&self.name)?;
        let out = self.out.display();
        let text = with_every_key(recipe.text, recipe.tables());
        let written = std::fs::File::create_new(&self.out).and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            return Err(match error.kind() {
                ErrorKind::AlreadyExists => {
                    Failure::user(format!("{out} already exists")).hint("choose another name with -o")
                }
                _ => Failure::user(format!("cannot write {out}: {error}")),
            });
        }
        context.say(&format!("wrote {out}; run it with: temper {} {out}", recipe.command));
        Ok(())
    }
}
