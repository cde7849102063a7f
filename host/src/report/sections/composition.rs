//! Elements of the crystals against the base, as a periodic table.

use maud::html;

use super::{file_name, folded, of_group, steps_named, table};
use crate::crystal::Element;
use crate::figures::{GridCell, grid_map};
use crate::report::group::Group;
use crate::report::periodic_table::place;
use crate::report::samples::Tally;
use crate::report::text::{change, share};
use crate::report::window::Window;
use crate::report::{Figure, Section};

/// Elements beyond this occur in no policy.
const LAST_SHOWN: u8 = 103;

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let sampled: Vec<&Group> = groups.iter().filter(|group| is_comparable(group)).collect();
    if sampled.is_empty() {
        return None;
    }
    let figures = sampled.iter().map(|group| figure(group, groups)).collect();
    let after = html! {
        @for group in sampled {
            (folded(&format!("All elements of the {}{}", crystals_of(group), of_group(group, groups)),
                &table(&["element", "first step", "last steps", "change (points)"], &rows(group))))
        }
    };
    let words = html! {
        p {
            "Share of the crystals that contain an element, in the last steps against the first, which stands for the base. Where \
             the colour is full, the share is four times as large or a quarter; few crystals make large ratios by chance, which \
             the intervals in the table show."
        }
    };
    Some(Section { id: "elements", title: "Elements", words, figures, after })
}

fn is_comparable(group: &Group) -> bool {
    group.samples.before.crystals > 0 && group.samples.after.crystals > 0
}

/// Whose shares are counted: of the crystals of all samples, or of those that were kept.
fn crystals_of(group: &Group) -> &'static str {
    if group.is_in_part() { "crystals kept" } else { "crystals" }
}

fn figure(group: &Group, groups: &[Group]) -> Figure {
    let Window { before, after } = &group.samples;
    let cells: Vec<GridCell> =
        (1..=LAST_SHOWN).filter_map(Element::from_number).map(|element| cell(element, before, after)).collect();
    let crystals = crystals_of(group);
    Figure {
        name: file_name("elements", group, groups),
        svg: grid_map(&cells, ["a quarter", "as before", "four times"]),
        caption: html! {
            "Elements" (of_group(group, groups)) ": "
            (steps_named(after.steps.iter().copied())) " (" (after.crystals) " " (crystals) ") against "
            (steps_named(before.steps.iter().copied())) " (" (before.crystals) " " (crystals) "). "
            "Dashed borders are losses; grey letters occur in neither."
        },
    }
}

fn cell(element: Element, before: &Tally, after: &Tally) -> GridCell {
    let [first, last] = [before, after].map(|tally| tally.with_element(element));
    // Half a crystal more on each side, so that none becomes one by an infinite factor.
    let share = |count: usize, of: usize| (count as f64 + 0.5) / (of as f64 + 1.0);
    let ratio = share(last.count, last.of) / share(first.count, first.of);
    GridCell {
        place: place(element),
        label: element.symbol().to_owned(),
        change: (first.count + last.count > 0).then(|| ratio.log2() / 2.0),
        title: format!("{element}: {} of {} before, {} of {} after", first.count, first.of, last.count, last.of),
    }
}

/// Elements that occur, those that have changed the most first.
fn rows(group: &Group) -> Vec<Vec<String>> {
    let Window { before, after } = &group.samples;
    let mut rows: Vec<(f64, Vec<String>)> = (1..=118)
        .filter_map(Element::from_number)
        .filter_map(|element| {
            let [first, last] = [before, after].map(|tally| tally.with_element(element));
            let size = (last.value? - first.value?).abs();
            let row = vec![element.symbol().to_owned(), share(first), share(last), change(&last, &first)];
            (first.count + last.count > 0).then_some((size, row))
        })
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows.into_iter().map(|(_, row)| row).collect()
}
