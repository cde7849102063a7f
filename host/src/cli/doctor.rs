//! `temper doctor`: what works on this machine, and why the rest does not.

use clap::Args;

use super::{Context, Failure, Search};
use crate::runtime::{Loaded, Locator, doctor};

/// Show what works on this machine, and why the rest does not. Fetches nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper doctor")]
pub struct Doctor {}

impl Doctor {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let announce = |line: &str| context.say(line);
        let report = doctor(&Locator::from_env(&announce), context.device()?);
        let row = |name: &str, value: &str| context.print(&format!("{name:<18} {value}"));
        row("temper", env!("CARGO_PKG_VERSION"))?;
        let mut broken = None;
        match report.runtime {
            Ok(Some(loaded)) => show(&loaded, &row)?,
            Ok(None) => row("ONNX Runtime", "not installed yet; it is fetched when needed, or by `temper setup`")?,
            Err(error) => {
                row("ONNX Runtime", &error.to_string())?;
                broken = Some(error);
            }
        }
        row("threads", &report.threads.to_string())?;
        row("cache", &report.cache.map_or("none: set TEMPER_CACHE_DIR".to_owned(), |path| path.display().to_string()))?;
        for folder in Search::new(None).model_folders() {
            let state = if folder.is_dir() { "" } else { " (does not exist)" };
            row("models", &format!("{}{state}", folder.display()))?;
        }
        broken.map_or(Ok(()), |error| Err(error.into()))
    }
}

fn show(loaded: &Loaded, row: &dyn Fn(&str, &str) -> Result<(), Failure>) -> Result<(), Failure> {
    let version = loaded.version.as_deref().unwrap_or("of unknown version");
    row("ONNX Runtime", &format!("{version}, {}", loaded.library.path.display()))?;
    row("found by", &loaded.library.found.to_string())?;
    row("build", &loaded.build_info)?;
    for provider in &loaded.providers {
        let state = provider.problem.as_deref().unwrap_or("works");
        row("provider", &format!("{}: {state}", provider.name))?;
    }
    match &loaded.cudnn {
        Some(Ok(())) => row("cuDNN", "works")?,
        Some(Err(reason)) => {
            row("cuDNN", &format!("{reason}; models that need it, such as convolutions, are refused"))?
        }
        None => {}
    }
    Ok(())
}
