//! The best candidates, with their cells.

use maud::{Markup, PreEscaped, html};

use super::{file_name, of_group};
use crate::report::candidates::Candidate;
use crate::report::group::Group;
use crate::report::text::number;
use crate::report::{Figure, Section};

/// Candidates that are sought of each group.
const BEST: usize = 10;
/// Those of them that are drawn.
const DRAWN: usize = 8;
/// What else is said of each.
const MOST_VALUES: usize = 8;

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    if groups.iter().all(|group| group.unit() != "step") {
        return None;
    }
    let mut figures = Vec::new();
    let after = html! {
        @for group in groups {
            @let best = best_of(group);
            @if best.is_empty() { p { "No candidates have been written yet" (of_group(group, groups)) "." } }
            @else {
                @if groups.len() > 1 { h3 { (group.name) } }
                div.cards { @for (run, candidate) in best.iter().take(DRAWN) { (card(run, candidate, group.runs.len() > 1)) } }
            }
        }
    };
    for group in groups {
        for (place, (_, candidate)) in best_of(group).into_iter().take(DRAWN).enumerate() {
            let name = file_name(&format!("candidate-{}", place + 1), group, groups);
            figures.extend(candidate.cell().map(|svg| Figure { name, svg, caption: html! {} }));
        }
    }
    let words = html! {
        p {
            "The crystals with the highest objective of the whole run, the same crystal of several runs once. They are as drawn, \
             without relaxation: examine them before you believe them. Spheres show where atoms are, not how large; heavier \
             elements are drawn larger."
        }
    };
    Some(Section { id: "candidates", title: "Best candidates", words, figures, after })
}

/// The best candidates of all runs of a group with the names of their runs, the same crystal of several runs once. Those of one
/// run differ already.
pub(super) fn best_of(group: &Group) -> Vec<(&str, &Candidate)> {
    let all = group.runs.iter().flat_map(|run| run.candidates.iter().map(|candidate| (run.name.as_str(), candidate)));
    let mut all: Vec<(&str, &Candidate)> = all.collect();
    let objective = |candidate: &Candidate| candidate.objective.unwrap_or(f64::NEG_INFINITY);
    all.sort_by(|a, b| objective(b.1).total_cmp(&objective(a.1)));
    let mut best = Vec::<(&str, &Candidate)>::new();
    for (run, candidate) in all {
        if best.len() == BEST {
            break;
        }
        if !best.iter().any(|(other, kept)| *other != run && kept.is_the_same_as(candidate)) {
            best.push((run, candidate));
        }
    }
    best
}

fn card(run: &str, candidate: &Candidate, has_runs: bool) -> Markup {
    html! {
        div.card {
            @match candidate.cell() {
                Some(svg) => (PreEscaped(svg)),
                None => p { "A cell of " (candidate.structure.len()) " atoms is too full to be drawn." },
            }
            h4 { (candidate.formula) }
            dl {
                dt { "space group" } dd { (candidate.group) }
                @if let Some(objective) = candidate.objective { dt { "objective" } dd { (number(objective)) } }
                @for (key, value) in candidate.others.iter().take(MOST_VALUES) { dt { (key) } dd { (shortened(value)) } }
                dt { "name" } dd { (candidate.id) }
                @if has_runs { dt { "run" } dd { (run) } }
            }
        }
    }
}

fn shortened(value: &str) -> String {
    value.parse::<f64>().map_or_else(|_| value.chars().take(60).collect(), number)
}
