//! What the numbers depend on, and how they are made.

use std::collections::BTreeSet;

use maud::{Markup, html};

use super::{folded, table};
use crate::report::group::Group;
use crate::report::{ReportError, Section};

pub(super) fn section(groups: &[Group]) -> Result<Section, ReportError> {
    let after = html! {
        h3 { "Files and programs" }
        (hashes(groups))
        @for group in groups {
            @for run in group.runs.iter().take(1) {
                (folded(&format!("Config of {}", run.name), &html! { pre { (run.history.config.text) } }))
            }
        }
    };
    Ok(Section { id: "origin", title: "How the numbers are made", words: protocol(groups), figures: Vec::new(), after })
}

fn protocol(groups: &[Group]) -> Markup {
    let is_in_part = groups.iter().any(Group::is_in_part);
    html! {
        ul {
            li {
                "Shares are of all samples that a step asked for, whatever became of them; a sample that fails counts against."
                @if is_in_part {
                    " Where not all samples were kept, the shares by space group and by free coordinates, and those of elements, are \
                     of the samples kept alone: of the others no more is known than that they were asked for."
                }
            }
            li {
                "Stable means an energy above hull below 0.1 eV/atom, by the first hull term of the config, without relaxation."
            }
            li {
                "Intervals of shares are 95 % (Wilson), those of changes 95 % (Newcombe); they take samples as independent, and \
                 say nothing of other seeds. The share of different formulas has none: it is no count of independent samples. \
                 Numbers after \u{b1} are standard deviations: over the runs of a group in the summary, over the steps under \
                 Time."
            }
            li {
                "The first step is drawn from the policy that the run starts from. The last steps are the last ten without the \
                 first, pooled over the runs of a group."
            }
            li { "Definitions and units of all metrics are in the book, under Files of a run." }
        }
    }
}

/// A row for each key of the locks; where runs differ, each value is named with its runs.
fn hashes(groups: &[Group]) -> Markup {
    let runs: Vec<_> = groups.iter().flat_map(|group| &group.runs).collect();
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.history.lock.keys()).collect();
    if keys.is_empty() {
        return html! { p { "The runs have no lock.json: they were made by an earlier version." } };
    }
    let mut rows = Vec::new();
    for key in keys {
        let values: BTreeSet<&str> =
            runs.iter().map(|run| run.history.lock.get(key).map_or("absent", String::as_str)).collect();
        for value in &values {
            let has = runs.iter().filter(|run| run.history.lock.get(key).map_or("absent", String::as_str) == *value);
            let names: Vec<&str> = has.map(|run| run.name.as_str()).collect();
            let whose = if values.len() == 1 { "all".to_owned() } else { names.join(", ") };
            rows.push(vec![key.clone(), (*value).to_owned(), whose]);
        }
    }
    html! {
        p { "SHA-256 of everything that the numbers depend on, as the runs have locked it." }
        (folded("Versions and hashes", &table(&["what", "version or hash", "runs"], &rows)))
    }
}
