//! What `temper evaluate` found, where it lies beside a run.

use maud::{Markup, html};

use super::{file_name, folded, table};
use crate::figures::{Bars, Colour, Series, bars};
use crate::metrics::{Histogram, Proportion};
use crate::report::evaluation::{EvaluationFigures, EvaluationFolder};
use crate::report::group::Group;
use crate::report::text::share;
use crate::report::{Figure, Section, percent_bar, share_of_energies};

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let mut figures = Vec::new();
    let mut tables = Vec::new();
    for group in groups {
        let found: Vec<&EvaluationFolder> = group.runs.iter().flat_map(|run| &run.evaluations).collect();
        for (index, folder) in found.into_iter().enumerate() {
            let name = file_name(&format!("evaluation-{}", index + 1), group, groups);
            figures.extend(energies(&name, folder));
            figures.extend(space_groups(&name, folder));
            tables.push(described(folder));
        }
    }
    let words = match tables.is_empty() {
        true => html! {
            p {
                "No evaluation lies beside the runs. " code { "temper evaluate" } " with " code { "-o RUN/evaluation" }
                " measures validity, uniqueness and novelty, and this page then shows it."
            }
        },
        false => html! {
            p {
                "Figures of " code { "temper evaluate" }
                ", as shares of all samples that were asked for, with 95 % intervals (Wilson)."
            }
        },
    };
    Some(Section {
        id: "evaluation",
        title: "Evaluation",
        words,
        figures,
        after: html! { @for table in &tables { (table) } },
    })
}

fn described(EvaluationFolder { path, figures }: &EvaluationFolder) -> Markup {
    let rows = figures.metrics.iter().map(|(name, value)| {
        let relaxed = figures
            .relaxed
            .as_ref()
            .map(|relaxed| relaxed.metrics.get(name).map_or("-".to_owned(), |value| shown(*value)));
        [spelt(name), shown(*value)].into_iter().chain(relaxed).collect::<Vec<_>>()
    });
    let mut header = vec!["share", "as drawn"];
    header.extend(figures.relaxed.is_some().then_some("relaxed"));
    html! {
        h3 { (path.display()) }
        (table(&header, &rows.collect::<Vec<_>>()))
        (folded(&format!("Protocol {}", figures.protocol_id), &html! { pre { (format!("{:#}", figures.protocol)) } }))
    }
}

/// The name of a share as it is read: `msun_of_valid` is `M.S.U.N. of valid`.
fn spelt(name: &str) -> String {
    let word = |word| match word {
        "sun" => "S.U.N.",
        "msun" => "M.S.U.N.",
        other => other,
    };
    name.split('_').map(word).collect::<Vec<_>>().join(" ")
}

/// A share whose interval is counted again: that of a file is not to be believed.
fn shown(of: Proportion) -> String {
    share(Proportion::new(of.count.min(of.of), of.of))
}

/// Space groups of a figure: two of each crystal system.
const MOST_GROUPS: usize = 14;

/// The energy above hull up to which the protocol calls a crystal metastable, eV/atom.
fn limit(figures: &EvaluationFigures) -> f64 {
    let limit = figures.protocol.get("metastable").and_then(serde_json::Value::as_f64);
    limit.filter(|limit| limit.abs() < 10.0).unwrap_or(0.1)
}

fn energies(name: &str, EvaluationFolder { path, figures }: &EvaluationFolder) -> Option<Figure> {
    let histogram = figures.e_hull.as_ref().filter(|histogram| is_drawable(histogram))?;
    Some(Figure {
        name: format!("{name}-e-hull"),
        svg: share_of_energies(("samples", histogram), None, limit(figures)),
        caption: html! { "Energy above hull of the samples of " (path.display()) "." },
    })
}

/// Whether a histogram is one that `temper evaluate` could have written.
fn is_drawable(histogram: &Histogram) -> bool {
    let Histogram { from, width, counts, below, above, without, mean, .. } = histogram;
    let mut all = counts.iter().chain([below, above, without]);
    let is_sized = counts.len() < 10_000 && all.all(|count| *count < 1 << 40);
    mean.is_some() && is_sized && (1e-6..1e3).contains(width) && from.abs() < 1e3
}

fn space_groups(name: &str, EvaluationFolder { path, figures }: &EvaluationFolder) -> Option<Figure> {
    let groups = figures.space_groups.as_ref()?;
    let chosen = &figures.two_per_system[..figures.two_per_system.len().min(MOST_GROUPS)];
    let value = |group: &u8, key: &str| percent_bar(groups.get(group).and_then(|shares| shares.get(key)).copied());
    let kinds = [
        ("metastable", format!("at most {} eV/atom", limit(figures)), Colour::Blue),
        ("msun", "also unique and new".to_owned(), Colour::Orange),
    ];
    let kinds = kinds.into_iter().filter(|(key, ..)| figures.metrics.contains_key(*key));
    let series: Vec<Series> = kinds
        .map(|(key, name, colour)| Series {
            name,
            colour,
            values: chosen.iter().map(|group| value(group, key)).collect(),
        })
        .collect();
    let labels: Vec<String> = chosen.iter().map(u8::to_string).collect();
    let is_any = !labels.is_empty() && !series.is_empty();
    is_any.then(|| Figure {
        name: format!("{name}-space-groups"),
        svg: bars(["space group", "share of its samples (%)"], &Bars { labels, series }),
        caption: html! { "Stability by space group of the samples of " (path.display()) ", with 95 % intervals." },
    })
}
