//! `temper hull info`: what a hull contains.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure};
use crate::cli::Search;
use crate::crystal::Element;

/// Show what a hull contains.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper hull info models/hulls/mp-chgnet.hull")]
pub struct Info {
    /// A hull of `temper hull build`, a CSV with formula and energy_per_atom, or JSON of pymatgen
    #[arg(value_name = "HULL", required_unless_present = "named", conflicts_with = "named")]
    hull: Option<PathBuf>,
    /// The same, under the name that other commands use
    #[arg(long = "hull", value_name = "HULL")]
    named: Option<PathBuf>,
}

impl Info {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let hull = self.hull.as_ref().or(self.named.as_ref()).ok_or_else(|| Failure::user("no hull is given"))?;
        let path = Search::new(None).find("the hull", hull)?;
        let hull = super::open(&path, context)?;
        let (header, info) = (hull.header(), hull.info());
        let hash = hull.sha256().map_err(|error| Failure::user(format!("{}: {error}", path.display())))?;
        let missing: Vec<Element> =
            (1..=118).filter_map(Element::from_number).filter(|element| !info.elements.contains(element)).collect();
        for (name, value) in [
            ("file", path.display().to_string()),
            ("source", header.source.clone()),
            ("energy reference", header.energy_reference.clone().unwrap_or_else(|| "not stated".to_owned())),
            ("SHA-256", hash),
            ("built from", format!("{} entries", info.built_from)),
            ("stable phases", format!("{} in {} chemical systems", info.phases, info.systems)),
            ("known formulas", hull.formulas().map_or_else(|| "not in the file".to_owned(), |f| f.len().to_string())),
            ("check crystals", header.reference_crystals.len().to_string()),
            ("elements", format!("{}: {}", info.elements.len(), symbols(&info.elements))),
            ("without reference", format!("{}: {}", missing.len(), symbols(&missing))),
        ] {
            context.print(format!("{name:<18} {value}").trim_end())?;
        }
        Ok(())
    }
}

fn symbols(elements: &[Element]) -> String {
    elements.iter().map(|element| element.symbol()).collect::<Vec<_>>().join(" ")
}
