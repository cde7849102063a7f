//! Space groups: stability by group (the paper's figure 4), and how often each is drawn, against the base.

use std::collections::BTreeSet;

use maud::html;

use super::{file_name, folded, of_group, samples_of, table};
use crate::crystal::CRYSTAL_SYSTEMS;
use crate::figures::{Bars, Colour, Series, bars, rows_of_bars};
use crate::metrics::{Proportion, two_per_system};
use crate::report::group::Group;
use crate::report::samples::{Stable, Tally};
use crate::report::text::{change, share};
use crate::report::window::Window;
use crate::report::{Figure, Section};

/// Of the table of all space groups.
const HEADER: [&str; 6] =
    ["group", "drawn, first step", "drawn, last steps", "change (points)", "stable, first step", "stable, last steps"];

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let sampled: Vec<&Group> = groups.iter().filter(|group| !numbers_of(group).is_empty()).collect();
    if sampled.is_empty() {
        return None;
    }
    let mut figures = Vec::new();
    for group in &sampled {
        figures.push(stability_figure(group, groups));
        figures.push(system_figure(group, groups));
    }
    let after = html! {
        @for group in sampled {
            (folded(&format!("All space groups of the {}{}", samples_of(group), of_group(group, groups)),
                &table(&HEADER, &rows(group))))
        }
    };
    let words = html! {
        p {
            "The space group is the one that was drawn. Before anything is learnt, samples come from the policy that the run starts \
             from, so the first step stands for the base."
        }
    };
    Some(Section { id: "space-groups", title: "Space groups", words, figures, after })
}

/// A share as a bar, per cent.
pub fn percent_bar(share: Option<Proportion>) -> (f64, [f64; 2]) {
    let known = share.and_then(|share| Some((100.0 * share.value?, share.interval?.map(|end| 100.0 * end))));
    known.unwrap_or((0.0, [0.0; 2]))
}

/// Space groups of which there are samples.
fn numbers_of(group: &Group) -> BTreeSet<u8> {
    let Window { before, after } = &group.samples;
    before.groups.keys().chain(after.groups.keys()).copied().collect()
}

fn stable_of(tally: &Tally, number: u8) -> Stable {
    tally.groups.get(&number).copied().unwrap_or_default()
}

fn stability_figure(group: &Group, groups: &[Group]) -> Figure {
    let samples = |number: u8| {
        let Window { before, after } = &group.samples;
        stable_of(before, number).of + stable_of(after, number).of
    };
    let chosen = two_per_system(numbers_of(group).into_iter().map(|number| (number, samples(number))));
    let series = |name: &str, colour, tally: &Tally| Series {
        name: name.into(),
        colour,
        values: chosen.iter().map(|number| percent_bar(Some(stable_of(tally, *number).share()))).collect(),
    };
    let Window { before, after } = &group.samples;
    let series = vec![series("first step", Colour::LightBlue, before), series("last steps", Colour::Blue, after)];
    let labels = chosen.iter().map(u8::to_string).collect();
    Figure {
        name: file_name("space-groups", group, groups),
        svg: bars(["space group", "stable (%)"], &Bars { labels, series }),
        caption: html! {
            "Stable share of the " (samples_of(group)) " of a space group" (of_group(group, groups))
            ", with 95 % intervals: of each crystal system the two groups with the most " (samples_of(group)) "."
        },
    }
}

/// Samples of a crystal system, of all whose draw has a space group.
fn share_of_system(tally: &Tally, system: usize) -> Proportion {
    let first = if system == 0 { 1 } else { CRYSTAL_SYSTEMS[system - 1].1 + 1 };
    let count = tally.groups.range(first..=CRYSTAL_SYSTEMS[system].1).map(|(_, stable)| stable.of).sum();
    Proportion::new(count, drawn(tally))
}

fn drawn(tally: &Tally) -> usize {
    tally.groups.values().map(|stable| stable.of).sum()
}

fn system_figure(group: &Group, groups: &[Group]) -> Figure {
    let Window { before, after } = &group.samples;
    let series = |name: &str, colour, tally: &Tally| Series {
        name: name.into(),
        colour,
        values: (0..CRYSTAL_SYSTEMS.len()).map(|system| percent_bar(Some(share_of_system(tally, system)))).collect(),
    };
    let series = vec![series("first step", Colour::LightBlue, before), series("last steps", Colour::Blue, after)];
    let labels = CRYSTAL_SYSTEMS.iter().map(|(name, _)| (*name).to_owned()).collect();
    Figure {
        name: file_name("crystal-systems", group, groups),
        svg: rows_of_bars(&format!("share of the {} (%)", samples_of(group)), &Bars { labels, series }),
        caption: html! { "Crystal systems of the " (samples_of(group)) (of_group(group, groups)) ", with 95 % intervals." },
    }
}

fn rows(group: &Group) -> Vec<Vec<String>> {
    let Window { before, after } = &group.samples;
    let row = |number: u8| {
        let share_of = |tally: &Tally| Proportion::new(stable_of(tally, number).of, drawn(tally));
        let (first, last) = (share_of(before), share_of(after));
        let stable = [before, after].map(|tally| share(stable_of(tally, number).share()));
        let [stable_first, stable_last] = stable;
        vec![number.to_string(), share(first), share(last), change(&last, &first), stable_first, stable_last]
    };
    numbers_of(group).into_iter().map(row).collect()
}
