//! The figures of an evaluation as SVG files: energies above hull (the paper's figures 3 and 6b), and space groups (figure 4).

use std::io::Write as _;
use std::path::Path;

use super::earlier::Earlier;
use crate::cli::{Failure, Output};
use crate::figures::{Bars, Colour, Series, bars};
use crate::metrics::{Evaluation, Histogram, Stability};
use crate::report::{percent_bar, share_of_energies};

/// Writes `e_hull.svg` and `space_groups.svg`, as far as there is something to draw.
pub(super) fn write(
    folder: &Path,
    evaluation: &Evaluation,
    limits: Stability,
    earlier: Option<&Earlier>,
) -> Result<(), Failure> {
    if let Some(histogram) = evaluation.e_hull.as_ref().filter(|histogram| histogram.mean.is_some()) {
        let before = earlier.and_then(|earlier| earlier.e_hull.as_ref());
        save(&folder.join("e_hull.svg"), &energies(histogram, before, limits.metastable))?;
    }
    if !evaluation.two_per_system.is_empty() {
        save(&folder.join("space_groups.svg"), &space_groups(evaluation, limits.metastable, earlier))?;
    }
    Ok(())
}

fn save(path: &Path, svg: &str) -> Result<(), Failure> {
    let mut file = Output::create(path)?;
    file.write_all(svg.as_bytes()).map_err(|e| file.failed(&e))?;
    file.finish()
}

fn energies(now: &Histogram, before: Option<&Histogram>, limit: f64) -> String {
    let name = if before.is_some() { "now" } else { "samples" };
    share_of_energies((name, now), before.map(|before| ("before", before)), limit)
}

/// Of each group the metastable crystals, and those of them that are unique and new.
fn space_groups(evaluation: &Evaluation, limit: f64, earlier: Option<&Earlier>) -> String {
    let groups = &evaluation.two_per_system;
    let now = |group: u8, name: &str| evaluation.space_groups.as_ref()?.0.get(&group)?.get(name).copied();
    let before = |group: u8, name: &str| earlier?.space_groups.get(&group)?.get(name).copied();
    let kinds = [
        ("metastable", format!("at most {limit} eV/atom"), [Colour::LightBlue, Colour::Blue]),
        ("msun", "also unique and new".to_owned(), [Colour::LightOrange, Colour::Orange]),
    ];
    let mut series = Vec::new();
    for (name, label, [light, strong]) in kinds.into_iter().filter(|(name, ..)| evaluation.metrics.contains_key(name)) {
        if earlier.is_some() {
            let values = groups.iter().map(|group| percent_bar(before(*group, name))).collect();
            series.push(Series { name: format!("before: {label}"), colour: light, values });
        }
        let values = groups.iter().map(|group| percent_bar(now(*group, name))).collect();
        let prefix = if earlier.is_some() { "now: " } else { "" };
        series.push(Series { name: format!("{prefix}{label}"), colour: strong, values });
    }
    let labels = groups.iter().map(u8::to_string).collect();
    bars(["space group", "share of its samples (%)"], &Bars { labels, series })
}
