//! `temper plugin list`: what there is, and why the rest cannot be used.

use clap::Args;
use serde_json::{Value, json};

use super::{Context, Failure};
use crate::plugin::{Discovered, ProbeResult};

/// Which plugins there are: part of this program, and in the folders where they are looked for.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper plugin list --plugin-dir target/release\n\n\
    Looked for in: --plugin-dir, the folders of TEMPER_PLUGIN_PATH, plugins/ in Temper's data folder, plugins/ beside the \
    program, each with the folders in it. Libraries in plugins/ of the current folder are listed, and loaded only when they are \
    named by their path or the folder by --plugin-dir. One that anyone may write is not loaded. A library is loaded in a process \
    of its own first; what became of that is remembered until the file changes, so one that crashed is not loaded again. Libraries that are no plugins are not loaded; --json lists them.")]
pub struct List {
    /// Load libraries again that have been tried before, including those that crashed
    #[arg(long)]
    again: bool,
    /// Print JSON, one line per library
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let discovery = context.discovery();
        let found = discovery.list(self.again);
        let (others, plugins): (Vec<_>, Vec<_>) = found.iter().partition(|plugin| plugin.is_foreign && !self.json);
        for plugin in plugins {
            context.print(&if self.json { as_json(plugin).to_string() } else { printable(&as_text(plugin)) })?;
        }
        let folders = discovery.folders.iter().chain(&discovery.listed_only);
        let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
        let others = match others.len() {
            0 => String::new(),
            1 => "; passed over a library that is no plugin".to_owned(),
            n => format!("; passed over {n} libraries that are no plugins"),
        };
        context.say(&format!("looked in {}{others}", folders.join(", ")));
        Ok(())
    }
}

/// Without what could steer a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || !c.is_control()).collect()
}

fn as_text(plugin: &Discovered) -> String {
    let path = plugin.path.as_ref().map_or_else(|| "part of this program".to_owned(), |p| p.display().to_string());
    let hash = plugin.hash.as_ref().map_or_else(String::new, |hash| format!("  sha256 {}", &hash[..16]));
    match &plugin.result {
        ProbeResult::Usable(descriptor) => {
            let interfaces: Vec<&str> = descriptor.interfaces.iter().map(|interface| interface.id.as_str()).collect();
            let licence = if descriptor.licence.is_empty() { "no licence stated" } else { &descriptor.licence };
            let hidden = if plugin.hidden { "\n    hidden by another one of this name before it" } else { "" };
            let (name, version, interfaces) = (&descriptor.name, &descriptor.version, interfaces.join(", "));
            format!("{name} {version}  {licence}  {interfaces}\n    {path}{hash}{hidden}")
        }
        ProbeResult::Refused { reason, advice } => {
            let advice = advice.as_ref().map_or_else(String::new, |advice| format!("\n    hint: {advice}"));
            format!("not usable{hash}\n    {reason}{advice}")
        }
        ProbeResult::Crashed { reason } => {
            format!(
                "not usable{hash}\n    {path}: set aside, at its first load {reason}\n    hint: --again tries it once more"
            )
        }
    }
}

fn as_json(plugin: &Discovered) -> Value {
    let mut line = json!({
        "path": plugin.path.as_ref().map(|path| path.display().to_string()),
        "sha256": plugin.hash, "usable": matches!(plugin.result, ProbeResult::Usable(_)), "hidden": plugin.hidden,
    });
    match &plugin.result {
        ProbeResult::Usable(descriptor) => line["descriptor"] = json!(descriptor),
        ProbeResult::Refused { reason, advice } => {
            line["reason"] = json!(reason);
            line["advice"] = json!(advice);
        }
        ProbeResult::Crashed { reason } => line["crashed"] = json!(reason),
    }
    line
}
