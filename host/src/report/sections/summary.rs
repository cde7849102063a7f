//! What the runs are, and what has changed from the first step to the last ten.

use maud::html;
use serde_json::Value;

use super::{folded, of_group, table};
use crate::config::changed_keys;
use crate::metrics::Proportion;
use crate::report::group::{Group, mean_and_spread, number};
use crate::report::run::ReportedRun;
use crate::report::text::{change, mean_with_spread, number as digits, share};
use crate::report::window::Window;
use crate::report::{ReportError, Section};

/// Differences that are shown at once.
const MOST_DIFFERENCES: usize = 12;

pub(super) fn section(groups: &[Group]) -> Result<Section, ReportError> {
    let differences = differences(groups)?;
    let rows: Vec<(&Group, Vec<Vec<String>>)> = groups.iter().map(|group| (group, rows(group))).collect();
    let after = html! {
        div.columns {
            @for (group, rows) in &rows {
                div {
                    h3 { "First and last" (of_group(group, groups)) }
                    (table(&["", &format!("first {}", group.unit()), &last_ones(group), "change"], rows))
                }
            }
        }
        @if !differences.is_empty() {
            @let listed = table(&["key", "first", "other"], &differences);
            h3 { "What differs between the configs" }
            @if differences.len() > MOST_DIFFERENCES { (folded(&format!("{} keys", differences.len()), &listed)) }
            @else { (listed) }
        }
        @let notes: Vec<&String> = groups.iter().flat_map(|group| &group.runs).flat_map(|run| &run.notes).collect();
        @if !notes.is_empty() {
            h3 { "What could not be read" }
            ul { @for note in notes { li { (note) } } }
        }
    };
    Ok(Section { id: "summary", title: "Summary", words: runs(groups), figures: Vec::new(), after })
}

fn runs(groups: &[Group]) -> maud::Markup {
    let row = |group: &Group, run: &ReportedRun| {
        let done = format!("{} of {} {}s", run.done(), run.history.config.planned, group.unit());
        let objective = run.setting("objective").unwrap_or_else(|| "training on examples".to_owned());
        let seed = run.setting("run.seed").unwrap_or_else(|| "-".to_owned());
        vec![group.letter.clone(), run.name.clone(), seed, done, objective]
    };
    let rows: Vec<Vec<String>> =
        groups.iter().flat_map(|group| group.runs.iter().map(move |run| row(group, run))).collect();
    html! {
        (table(&["group", "run", "seed", "done", "objective"], &rows))
        p.note { "Runs whose configs differ only in their seed are one group: its curves are means over its runs, with their
            standard deviation as a band." }
    }
}

fn last_ones(group: &Group) -> String {
    let steps = group.runs.first().map_or(0, |run| run.steps().after.len());
    match steps {
        0 => "none after it".to_owned(),
        1 => format!("the next {}", group.unit()),
        steps => format!("last {steps} {}s", group.unit()),
    }
}

fn rows(group: &Group) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let hull = group.runs.first().and_then(|run| crate::report::run::hull_term(&run.history.config.table));
    let mut paths: Vec<(String, Vec<&str>)> = vec![("mean objective".into(), vec!["objective_mean"])];
    if let Some(hull) = &hull {
        paths.push((format!("mean {hull} (eV/atom)"), vec!["terms", hull, "mean"]));
    }
    paths.extend(MEANS.map(|(name, key)| (name.to_owned(), vec![key])));
    for (name, path) in &paths {
        rows.extend(row_of_means(name, group.windows(path)));
    }
    for (name, key) in SHARES {
        rows.extend(row_of_shares(name, counted(group, key)));
    }
    rows
}

/// The share of different formulas is among them: whether a formula is new depends on the other samples, so that the intervals
/// of counts of independent samples are not for it.
const MEANS: [(&str, &str); 7] = [
    ("KL to the base (nats)", "kl"),
    ("entropy (nats)", "entropy"),
    ("share of different formulas", "unique_formulas"),
    ("training NLL (nats)", "train_nll"),
    ("validation NLL (nats)", "valid_nll"),
    ("training loss (nats)", "train_loss"),
    ("validation loss (nats)", "valid_loss"),
];

const SHARES: [(&str, &str); 2] = [("stable (below 0.1 eV/atom)", "stable_fraction"), ("failed", "failed_fraction")];

/// A mean over the runs, with the spread over them where there are several.
fn row_of_means(name: &str, Window { before, after }: Window<Vec<f64>>) -> Option<Vec<String>> {
    let shown = |values: &[f64]| match values {
        [] => "-".to_owned(),
        values => mean_with_spread(mean_and_spread(values)),
    };
    if before.is_empty() && after.is_empty() {
        return None;
    }
    let change = match before.is_empty() || after.is_empty() {
        true => "-".to_owned(),
        false => digits(mean_and_spread(&after).0 - mean_and_spread(&before).0),
    };
    Some(vec![name.to_owned(), shown(&before), shown(&after), change])
}

fn row_of_shares(name: &str, Window { before, after }: Window<Proportion>) -> Option<Vec<String>> {
    let has_any = before.of > 0 || after.of > 0;
    has_any.then(|| vec![name.to_owned(), share(before), share(after), change(&after, &before)])
}

/// The rows behind a share of the metrics, over all runs: each line says the share and how many rows were sampled.
fn counted(group: &Group, key: &str) -> Window<Proportion> {
    let mut counts = Window::<[usize; 2]>::default();
    for steps in group.runs.iter().map(ReportedRun::steps) {
        add(&mut counts.before, &steps.before, key);
        add(&mut counts.after, &steps.after, key);
    }
    counts.map(|[count, of]| Proportion::new(count, of))
}

fn add(counts: &mut [usize; 2], lines: &[&Value], key: &str) {
    for line in lines {
        let sampled = line.get("funnel").and_then(|funnel| number(funnel.get(0)?, &["rows"]));
        if let Some((value, of)) = number(line, &[key]).zip(sampled) {
            let of = of.clamp(0.0, 1e12);
            counts[0] += (value.clamp(0.0, 1.0) * of).round() as usize;
            counts[1] += of as usize;
        }
    }
}

/// The keys in which the configs of the groups differ from that of the first.
fn differences(groups: &[Group]) -> Result<Vec<Vec<String>>, ReportError> {
    let mut rows = Vec::new();
    for group in groups.iter().skip(1) {
        for (key, first, other) in changed_keys(&groups[0].config, &group.config)? {
            let value =
                |letter: &str, value: Option<String>| format!("{letter}: {}", value.unwrap_or_else(|| "absent".into()));
            rows.push(vec![key, value(&groups[0].letter, first), value(&group.letter, other)]);
        }
    }
    Ok(rows)
}
