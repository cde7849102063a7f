//! Figures of the metrics against steps or epochs.

use maud::html;

use crate::figures::{Curve, curves};
use crate::report::group::{Group, Point};
use crate::report::run::hull_term;
use crate::report::{Figure, Section};

/// Points of a curve: of longer runs, neighbouring steps are averaged.
const MOST_POINTS: usize = 400;
/// Terms that have a curve each.
const MOST_TERMS: usize = 12;

/// What is drawn: keys in the metrics, file, label of the axis, and words below. Several keys share a figure.
struct Drawn {
    lines: Vec<(Vec<String>, &'static str)>,
    file: String,
    axis: String,
    words: String,
}

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let figures: Vec<Figure> = all(groups).into_iter().filter_map(|drawn| figure(&drawn, groups)).collect();
    let words = html! {
        p {
            "Each line is a group of runs; a band is the standard deviation over its runs, where at least two have a value. \
             KL, entropy and clip fraction are means over the batch of a step."
        }
    };
    let is_any = !figures.is_empty();
    is_any.then(|| Section { id: "curves", title: "Learning curves", words, figures, after: html! {} })
}

fn all(groups: &[Group]) -> Vec<Drawn> {
    let of = |key: &str, axis: &str, words: &str| Drawn {
        lines: vec![(vec![key.to_owned()], "")],
        file: key.replace('_', "-"),
        axis: axis.to_owned(),
        words: words.to_owned(),
    };
    let mut all = vec![
        of("objective_mean", "mean objective", "Mean objective of the batch: what the run maximises, KL aside."),
        of("stable_fraction", "stable fraction", "Share of all samples whose energy above hull is below 0.1 eV/atom."),
    ];
    all.extend(terms(groups));
    all.extend([
        of("kl", "KL to the base (nats)", "How far the policy has moved from the base."),
        of(
            "clip_fraction",
            "clip fraction",
            "Share of the batch whose probability ratio was outside the clip range at the last optimiser step.",
        ),
        of("entropy", "entropy (nats)", "Mean of -ln p: a fall without a limit is a collapse."),
        of(
            "composition_kl",
            "KL of the elements (nats)",
            "How far the frequencies of the elements are from those of the base's crystals.",
        ),
        of("unique_formulas", "share of different formulas", "Different reduced formulas, of all samples of a step."),
        of("failed_fraction", "failed", "Share of all samples on which something failed."),
        pair(
            ["train_nll", "valid_nll"],
            "NLL per crystal (nats)",
            "Negative log-likelihood of training crystals (with dropout) and of held-out ones.",
        ),
        pair(["train_loss", "valid_loss"], "loss per pair (nats)", "Loss of training pairs and of held-out ones."),
        pair(
            ["train_accuracy", "valid_accuracy"],
            "share of pairs in the right order",
            "Share of pairs whose chosen crystal has the higher log-ratio.",
        ),
    ]);
    all
}

fn pair(keys: [&str; 2], axis: &str, words: &str) -> Drawn {
    let lines =
        keys.into_iter().zip(["training", "held out"]).map(|(key, name)| (vec![key.to_owned()], name)).collect();
    let file = keys[1].trim_start_matches("valid_").to_owned();
    Drawn { lines, file, axis: axis.to_owned(), words: words.to_owned() }
}

/// A curve of each reward term; the term that decides what is stable comes first.
fn terms(groups: &[Group]) -> Vec<Drawn> {
    let mut names = Vec::<String>::new();
    let hulls = groups.iter().flat_map(|group| &group.runs).filter_map(|run| hull_term(&run.history.config.table));
    for name in hulls.chain(groups.iter().flat_map(|group| group.names_under("terms"))) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let left_out = names.len().saturating_sub(MOST_TERMS);
    let of = |(index, name): (usize, String)| {
        let more = match index + 1 == MOST_TERMS && left_out > 0 {
            true => format!(" {left_out} more terms have no figure here; they are in metrics.jsonl."),
            false => String::new(),
        };
        Drawn {
            lines: vec![(vec!["terms".to_owned(), name.clone(), "mean".to_owned()], "")],
            file: format!("term-{}", index + 1),
            axis: format!("mean {name}"),
            words: format!("Mean of the term {name} over the samples that have a value.{more}"),
        }
    };
    names.into_iter().take(MOST_TERMS).enumerate().map(of).collect()
}

fn figure(drawn: &Drawn, groups: &[Group]) -> Option<Figure> {
    let (mut lines, mut fewer) = (Vec::new(), String::new());
    for (kind, group) in groups.iter().enumerate() {
        for (line, (path, name)) in drawn.lines.iter().enumerate() {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            let points = group.series(&path);
            if !points.is_empty() {
                let separator = if name.is_empty() { "" } else { ", " };
                let kind = kind * drawn.lines.len() + line;
                let name = format!("{}{separator}{name}", group.name);
                fewer += &of_fewer_runs(&name, &points, group);
                lines.push(curve(name, kind, &points));
            }
        }
    }
    let units: Vec<&str> = groups.iter().map(Group::unit).collect();
    let unit = if units.windows(2).all(|pair| pair[0] == pair[1]) { units[0] } else { "step or epoch" };
    let is_any = !lines.is_empty();
    is_any.then(|| Figure {
        name: drawn.file.clone(),
        svg: curves([unit, &drawn.axis], &lines, None),
        caption: html! {
            (drawn.words) @if lines.len() == 1 && groups.len() > 1 { " Only " (lines[0].name) " has it." } (fewer)
        },
    })
}

/// A sentence where some points of a curve come from fewer runs than the group has.
pub(super) fn of_fewer_runs(name: &str, points: &[Point], group: &Group) -> String {
    let runs = group.runs.len();
    match points.iter().filter(|point| point.runs < runs).count() {
        0 => String::new(),
        fewer => {
            format!(" {name}: fewer than its {runs} runs contribute to {fewer} of {} {}s.", points.len(), group.unit())
        }
    }
}

/// A curve of at most [`MOST_POINTS`] points.
pub(super) fn curve(name: String, kind: usize, points: &[Point]) -> Curve {
    let merged: Vec<Point> = points.chunks(points.len().div_ceil(MOST_POINTS).max(1)).map(mean).collect();
    Curve {
        name,
        kind,
        points: merged.iter().map(|point| [point.step as f64, point.mean]).collect(),
        spread: merged.iter().map(|point| point.spread).collect(),
    }
}

fn mean(points: &[Point]) -> Point {
    let n = points.len() as f64;
    let of = |value: fn(&Point) -> f64| points.iter().map(value).sum::<f64>() / n;
    Point {
        step: of(|point| point.step as f64).round() as u64,
        mean: of(|point| point.mean),
        spread: points.iter().map(|point| point.spread).sum::<Option<f64>>().map(|sum| sum / n),
        runs: points.iter().map(|point| point.runs).min().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_averaged() {
        let point = |step: u64| Point { step, mean: step as f64, spread: (step > 3).then_some(1.0), runs: 2 };
        let points: Vec<Point> = (1..=1000).map(point).collect();
        let long = curve("x".into(), 0, &points);
        assert_eq!(long.points.len(), 334, "threes");
        assert_eq!(long.points[0], [2.0, 2.0]);
        assert_eq!(long.spread[..2], [None, Some(1.0)]);
        assert_eq!(curve("x".into(), 0, &points[..400]).points.len(), 400);
    }
}
