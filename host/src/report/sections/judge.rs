//! What the judge says, beside the term that the policy was trained with.

use maud::html;

use super::curves::{curve, of_fewer_runs};
use super::{file_name, of_group};
use crate::figures::curves;
use crate::report::group::{Group, Point};
use crate::report::text::number;
use crate::report::{Figure, Section};

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    if groups.iter().all(|group| group.unit() != "step") {
        return None;
    }
    let mut figures: Vec<Figure> = groups.iter().flat_map(|group| means(group, groups)).collect();
    figures.extend(gap(groups));
    let words = match figures.is_empty() {
        true => html! {
            p {
                "No judge was asked: with " code { "[judge]" }
                " in the config, another model watches the one that the policy is trained with."
            }
        },
        false => html! {
            p {
                "The judge is asked about the crystals of some steps and is never part of the objective. If its distance from the \
                 term that it judges grows, the policy exploits the errors of that term's model."
            }
        },
    };
    Some(Section { id: "judge", title: "Judge and trainer", words, figures, after: html! {} })
}

/// Of each judge its mean, and that of the term of the same name.
fn means(group: &Group, groups: &[Group]) -> Vec<Figure> {
    let judges = group.names_under("judge");
    let figure = |(index, name): (usize, String)| {
        let judged = group.series(&["judge", &name, "mean"]);
        let trained = group.series(&["terms", &name, "mean"]);
        let lines = [("trained with", &trained), ("judge", &judged)];
        let lines = lines.into_iter().enumerate().filter(|(_, (_, points))| !points.is_empty());
        let lines: Vec<_> = lines.map(|(kind, (name, points))| curve(name.to_owned(), kind, points)).collect();
        let fewer = of_fewer_runs("Judge", &judged, group) + &of_fewer_runs("Trained with", &trained, group);
        let is_any = !lines.is_empty();
        is_any.then(|| Figure {
            name: file_name(&format!("judge-{}", index + 1), group, groups),
            svg: curves(["step", &format!("mean {name}")], &lines, None),
            caption: html! {
                "Mean " (name) " by the judge and by the model of the reward" (of_group(group, groups)) "." (fewer)
            },
        })
    };
    judges.into_iter().enumerate().filter_map(figure).collect()
}

fn gap(groups: &[Group]) -> Option<Figure> {
    let series = groups.iter().map(|group| group.series(&["judge_gap"]));
    let series: Vec<(usize, &Group, Vec<Point>)> =
        groups.iter().zip(series).enumerate().map(|(kind, (group, points))| (kind, group, points)).collect();
    let judged = series.iter().filter(|(.., points)| !points.is_empty());
    let line = |(kind, group, points): &(usize, &Group, Vec<Point>)| curve(group.name.clone(), *kind, points);
    let lines: Vec<_> = judged.clone().map(line).collect();
    let fewer: String = judged.clone().map(|(_, group, points)| of_fewer_runs(&group.name, points, group)).collect();
    let last: Vec<String> = judged.filter_map(|(_, group, points)| Some(last_gap(group, points.last()?))).collect();
    let is_any = !lines.is_empty();
    is_any.then(|| Figure {
        name: "judge-gap".to_owned(),
        svg: curves(["step", "judge less term"], &lines, Some(0.0)),
        caption: html! {
            "Mean of the judge's value less that of the term, over the crystals that have both. " (last.join("; ")) "." (fewer)
        },
    })
}

/// The gap of a step in words, with its spread over the crystals.
fn last_gap(group: &Group, gap: &Point) -> String {
    let spread = group.series(&["judge_gap_spread"]);
    let spread = spread.last().map(|spread| format!(", standard deviation over the crystals {}", number(spread.mean)));
    format!("{}: {} at step {}{}", group.name, number(gap.mean), gap.step, spread.unwrap_or_default())
}
