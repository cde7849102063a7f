//! What is left after each stage of the scoring, and why samples fail.

use std::collections::BTreeMap;

use maud::html;
use serde_json::Value;

use super::{file_name, folded, of_group, table};
use crate::figures::{Bars, Colour, Series, bars};
use crate::metrics::Proportion;
use crate::report::group::Group;
use crate::report::text::share;
use crate::report::window::Window;
use crate::report::{Figure, Section, percent_bar};

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let funnels: Vec<(&Group, Funnel)> =
        groups.iter().map(|group| (group, Funnel::of(group))).filter(|(_, funnel)| !funnel.stages.is_empty()).collect();
    if funnels.is_empty() {
        return None;
    }
    let mut figures = Vec::new();
    for (group, funnel) in &funnels {
        figures.push(funnel.figure(group, groups));
        figures.extend(failure_figure(group, groups));
    }
    let after = html! {
        @for (group, funnel) in &funnels {
            (folded(&format!("Rows after each stage{}", of_group(group, groups)),
                &table(&["stage", "first step", "last steps"], &funnel.rows())))
            @let failures = failures(group);
            @if failures.is_empty() { p { "No term has failed on any sample" (of_group(group, groups)) "." } }
            @else {
                (folded(&format!("Failures by reason, over all steps{}", of_group(group, groups)),
                    &table(&["term: reason", "share of all samples"], &failure_rows(&failures))))
            }
        }
    };
    let words = html! { p { "Shares are of all samples that were asked for." } };
    Some(Section { id: "funnel", title: "From samples to scores", words, figures, after })
}

/// Rows after each stage, in the order of the stages.
struct Funnel {
    stages: Vec<(String, Window<usize>)>,
}

impl Funnel {
    fn of(group: &Group) -> Self {
        let mut stages = Vec::<(String, Window<usize>)>::new();
        for steps in group.runs.iter().map(|run| run.steps()) {
            for (lines, is_after) in [(steps.before, false), (steps.after, true)] {
                for (name, rows) in lines.into_iter().flat_map(stages_of) {
                    let place = stages.iter().position(|(stage, _)| *stage == name).unwrap_or_else(|| {
                        stages.push((name, Window::default()));
                        stages.len() - 1
                    });
                    let window = &mut stages[place].1;
                    let sum = if is_after { &mut window.after } else { &mut window.before };
                    *sum = sum.saturating_add(rows);
                }
            }
        }
        Self { stages }
    }

    fn shares(&self) -> Vec<(&str, Window<Proportion>)> {
        let all = self.stages.first().map(|(_, rows)| rows.clone()).unwrap_or_default();
        let share = |rows: &Window<usize>| Window {
            before: Proportion::new(rows.before.min(all.before), all.before),
            after: Proportion::new(rows.after.min(all.after), all.after),
        };
        self.stages.iter().map(|(name, rows)| (name.as_str(), share(rows))).collect()
    }

    fn figure(&self, group: &Group, groups: &[Group]) -> Figure {
        let shares = self.shares();
        let series = |name: &str, colour, of: fn(&Window<Proportion>) -> Proportion| Series {
            name: name.into(),
            colour,
            values: shares.iter().map(|(_, window)| percent_bar(Some(of(window)))).collect(),
        };
        let labels = shares.iter().map(|(name, _)| (*name).to_owned()).collect();
        let series = vec![
            series("first step", Colour::LightBlue, |w| w.before),
            series("last steps", Colour::Blue, |w| w.after),
        ];
        Figure {
            name: file_name("funnel", group, groups),
            svg: bars(["", "share of the samples (%)"], &Bars { labels, series }),
            caption: html! { "Samples that are left after each stage" (of_group(group, groups)) ", with 95 % intervals." },
        }
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.shares()
            .into_iter()
            .map(|(name, window)| vec![name.to_owned(), share(window.before), share(window.after)])
            .collect()
    }
}

/// Stages of a line, and their rows.
fn stages_of(line: &Value) -> Vec<(String, usize)> {
    let stages = line.get("funnel").and_then(Value::as_array).into_iter().flatten();
    let stage = |stage: &Value| {
        Some((stage.get("stage")?.as_str()?.to_owned(), usize::try_from(stage.get("rows")?.as_u64()?).ok()?))
    };
    stages.filter_map(stage).collect()
}

/// Failures over all steps: term, reason, and share of all samples, the most frequent first.
fn failures(group: &Group) -> Vec<(String, Proportion)> {
    let (mut counts, mut sampled) = (BTreeMap::<String, usize>::new(), 0usize);
    for line in group.runs.iter().flat_map(|run| &run.history.lines) {
        sampled = stages_of(line).first().map_or(0, |(_, rows)| *rows).saturating_add(sampled);
        for (term, statistics) in line.get("terms").and_then(Value::as_object).into_iter().flatten() {
            for (reason, count) in statistics.get("failures").and_then(Value::as_object).into_iter().flatten() {
                let count = count.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
                let sum = counts.entry(format!("{term}: {reason}")).or_default();
                *sum = sum.saturating_add(count);
            }
        }
    }
    let share = |(name, count): (String, usize)| (name, Proportion::new(count.min(sampled), sampled));
    let mut failures: Vec<(String, Proportion)> = counts.into_iter().map(share).collect();
    failures.sort_by_key(|(_, share)| std::cmp::Reverse(share.count));
    failures
}

fn failure_rows(failures: &[(String, Proportion)]) -> Vec<Vec<String>> {
    failures.iter().map(|(name, proportion)| vec![name.clone(), share(*proportion)]).collect()
}

/// The most frequent reasons, over all terms: a sample without a structure fails in each of them.
fn failure_figure(group: &Group, groups: &[Group]) -> Option<Figure> {
    const MOST: usize = 8;
    let failures = failures(group);
    let shown = &failures[..failures.len().min(MOST)];
    let values = shown.iter().map(|(_, share)| percent_bar(Some(*share))).collect();
    let labels = shown.iter().map(|(name, _)| name.clone()).collect();
    let series = vec![Series { name: "failed".into(), colour: Colour::Orange, values }];
    let is_any = !shown.is_empty();
    is_any.then(|| Figure {
        name: file_name("failures", group, groups),
        svg: crate::figures::rows_of_bars("share of all samples (%)", &Bars { labels, series }),
        caption: html! {
            "Failures by term and reason, over all steps" (of_group(group, groups)) ", with 95 % intervals."
            @if failures.len() > MOST { " The table has " (failures.len() - MOST) " more." }
        },
    })
}
