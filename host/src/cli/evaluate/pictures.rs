//! The figures of an evaluation as SVG files: energies above hull (the paper's figures 3 and 6b), and space groups (figure 4).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use super::earlier::Earlier;
use crate::cli::{Failure, Output};
use crate::figures::{Bars, Distribution, Series, bars, distributions};
use crate::metrics::{Evaluation, Histogram, Proportion, Stability};

/// Upper end of the axis of energies above hull, eV/atom.
const UP_TO: f64 = 1.0;

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
    let distribution = |name: &str, histogram: &Histogram| {
        let all = histogram.counts.iter().sum::<usize>() + histogram.below + histogram.above + histogram.without;
        let edges = (0..=histogram.counts.len()).map(|edge| histogram.from + histogram.width * edge as f64).collect();
        let shares = histogram.counts.iter().map(|count| 100.0 * *count as f64 / all.max(1) as f64).collect();
        Distribution { name: name.into(), edges, values: shares }
    };
    let mut drawn: Vec<Distribution> = before.map(|before| distribution("before", before)).into_iter().collect();
    drawn.push(distribution(if before.is_some() { "now" } else { "samples" }, now));
    let axes = ["energy above hull (eV/atom)", "share of all samples (%)"];
    distributions(axes, &drawn, [now.from.max(-0.5), UP_TO], Some((limit, &format!("{limit} eV/atom"))))
}

fn space_groups(evaluation: &Evaluation, limit: f64, earlier: Option<&Earlier>) -> String {
    let now = |group: u8, name: &str| evaluation.space_groups.as_ref()?.0.get(&group)?.get(name).copied();
    let before = |group: u8, name: &str| earlier?.space_groups.get(&group)?.get(name).copied();
    let bar = |share: Option<Proportion>| {
        let known = share.and_then(|share| Some((100.0 * share.value?, share.interval?.map(|end| 100.0 * end))));
        known.unwrap_or((0.0, [0.0; 2]))
    };
    let kinds =
        BTreeMap::from([("metastable", format!("at most {limit} eV/atom")), ("msun", "also unique and new".into())]);
    let has_novelty = evaluation.metrics.contains_key("msun");
    let mut series = Vec::new();
    for (name, label) in kinds.iter().filter(|(name, _)| **name == "metastable" || has_novelty) {
        let of = |values: &dyn Fn(u8) -> Option<Proportion>| {
            evaluation.two_per_system.iter().map(|g| bar(values(*g))).collect()
        };
        if earlier.is_some() {
            series.push(Series { name: format!("before: {label}"), values: of(&|group| before(group, name)) });
        }
        let prefix = if earlier.is_some() { "now: " } else { "" };
        series.push(Series { name: format!("{prefix}{label}"), values: of(&|group| now(group, name)) });
    }
    let labels = evaluation.two_per_system.iter().map(u8::to_string).collect();
    bars(["space group", "share of its samples (%)"], &Bars { labels, series })
}
