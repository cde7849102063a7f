//! Where the time goes.

use maud::html;

use super::table;
use crate::figures::{Bars, Colour, Series, bars};
use crate::report::group::{Group, mean_and_spread, number};
use crate::report::text::mean_with_spread;
use crate::report::{Figure, Section};

/// Keys under `time`, and what they are.
const STAGES: [(&str, &str); 5] = [
    ("sample", "sampling"),
    ("reward", "rewards"),
    ("likelihood", "log p"),
    ("gradient", "gradients"),
    ("optimiser", "optimiser"),
];

/// The place of a group, the group, and its seconds.
type Timed<'a> = (usize, &'a Group, Vec<(f64, Option<f64>)>);

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let timed: Vec<Timed> =
        groups.iter().enumerate().filter_map(|(kind, group)| Some((kind, group, seconds(group)?))).collect();
    let mut header = vec!["stage"];
    header.extend(timed.iter().map(|(_, group, _)| group.name.as_str()));
    let names = STAGES.iter().map(|(_, name)| *name).chain(["the rest", "whole step"]);
    let row = |(place, name): (usize, &str)| {
        let cells = timed.iter().map(|(.., times)| mean_with_spread(times[place]));
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = names.enumerate().map(row).collect();
    let is_any = !timed.is_empty();
    is_any.then(|| Section {
        id: "time",
        title: "Time",
        words: html! { p { "Seconds of a step: mean and standard deviation over all steps." } },
        figures: vec![figure(&timed)],
        after: table(&header, &rows),
    })
}

/// Mean and spread over the steps of each stage, of the rest, and of the whole step; seconds.
fn seconds(group: &Group) -> Option<Vec<(f64, Option<f64>)>> {
    let mut times = vec![Vec::new(); STAGES.len() + 2];
    for line in group.runs.iter().flat_map(|run| &run.history.lines) {
        let Some(step) = number(line, &["time", "step"]) else { continue };
        let stages = STAGES.map(|(key, _)| number(line, &["time", key]).unwrap_or(0.0));
        let rest = (step - stages.iter().sum::<f64>()).max(0.0);
        stages.into_iter().chain([rest, step]).zip(&mut times).for_each(|(seconds, all)| all.push(seconds));
    }
    (!times[0].is_empty()).then(|| times.iter().map(|all| mean_and_spread(all)).collect())
}

fn figure(timed: &[Timed]) -> Figure {
    let series = timed.iter().map(|(kind, group, times)| Series {
        name: group.name.clone(),
        colour: Colour::of_kind(*kind),
        values: times[..=STAGES.len()]
            .iter()
            .map(|(mean, spread)| (*mean, spread.map_or([0.0; 2], |spread| [(mean - spread).max(0.0), mean + spread])))
            .collect(),
    });
    let series = series.collect();
    let labels = STAGES.iter().map(|(_, name)| (*name).to_owned()).chain(["the rest".to_owned()]).collect();
    Figure {
        name: "time".to_owned(),
        svg: bars(["", "seconds per step"], &Bars { labels, series }),
        caption: html! { "Mean time per stage; the lines are the standard deviation over the steps." },
    }
}
