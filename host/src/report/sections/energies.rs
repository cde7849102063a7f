//! Energies above hull before and after (the paper's figure 3), and stability by the freedom of the crystals.

use maud::html;

use super::{file_name, folded, of_group, samples_of, steps_named, table};
use crate::figures::{Bars, Colour, Distribution, Series, bars, distributions};
use crate::metrics::{Histogram, Proportion};
use crate::report::group::Group;
use crate::report::samples::{STABLE, Stable, Tally};
use crate::report::text::{change, number, share};
use crate::report::window::Window;
use crate::report::{Figure, Section, percent_bar};

/// Ends of the axis of energies above hull, eV/atom.
const SHOWN: [f64; 2] = [-0.5, 1.0];
/// Ends of the classes of free coordinates.
const CLASSES: [(usize, usize); 9] =
    [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (9, 12), (13, usize::MAX)];

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let with_energies: Vec<&Group> = groups.iter().filter(|group| has_energies(group)).collect();
    let has_metrics = groups.iter().any(|group| !group.series(&["stable_fraction"]).is_empty());
    if with_energies.is_empty() && !has_metrics {
        return None;
    }
    let mut figures = Vec::new();
    for group in &with_energies {
        figures.push(histogram_figure(group, groups));
        figures.extend(freedom_figure(group, groups));
    }
    let words = match with_energies.is_empty() {
        true => {
            html! { p { "The runs keep no samples with energies above hull, so there is no distribution of them." } }
        }
        false => html! { p { "Crystals are not relaxed. The first step is drawn before the policy learns anything." } },
    };
    let after = html! {
        @for group in with_energies {
            (folded(&format!("Energies above hull in numbers{}", of_group(group, groups)), &numbers(group)))
            (folded(&format!("Stable share of the {} by free coordinates{}", samples_of(group), of_group(group, groups)),
                &table(&["free coordinates", "first step", "last steps", "change (points)"], &freedom_rows(group))))
        }
    };
    Some(Section { id: "stability", title: "Stability", words, figures, after })
}

fn has_energies(group: &Group) -> bool {
    let Window { before, after } = &group.samples;
    before.energies.iter().chain(&after.energies).any(Option::is_some)
}

/// Draws the distribution of energies above hull over all samples, the outline of an earlier one over it, and a line at `limit`.
pub fn share_of_energies((name, now): (&str, &Histogram), before: Option<(&str, &Histogram)>, limit: f64) -> String {
    let distribution = |name: &str, histogram: &Histogram| {
        let all = histogram.counts.iter().sum::<usize>() + histogram.below + histogram.above + histogram.without;
        let edges = (0..=histogram.counts.len()).map(|edge| histogram.from + histogram.width * edge as f64).collect();
        let values = histogram.counts.iter().map(|count| 100.0 * *count as f64 / all.max(1) as f64).collect();
        Distribution { name: name.into(), edges, values }
    };
    let outlined = before.map(|(name, before)| distribution(name, before));
    let axes = ["energy above hull (eV/atom)", "share of all samples (%)"];
    distributions(axes, &distribution(name, now), outlined.as_ref(), SHOWN, (limit, &format!("{limit} eV/atom")))
}

fn histogram_figure(group: &Group, groups: &[Group]) -> Figure {
    let Window { before, after } = &group.samples;
    let (first, last) = (before.histogram(), after.histogram());
    let [first_name, last_name] = [before, after].map(|tally| steps_named(tally.steps.iter().copied()));
    let svg = match after.rows {
        0 => share_of_energies((&first_name, &first), None, STABLE),
        _ => share_of_energies((&last_name, &last), Some((&first_name, &first)), STABLE),
    };
    Figure {
        name: file_name("e-hull", group, groups),
        svg,
        caption: html! {
            "Energy above hull" (of_group(group, groups)) ": below 0.1 eV/atom are "
            (share(before.stable().share())) " samples of " (first_name)
            @if after.rows > 0 { ", and " (share(after.stable().share())) " of " (last_name) } "."
        },
    }
}

fn numbers(group: &Group) -> maud::Markup {
    const NAMES: [&str; 6] = [
        "samples",
        "with an energy above hull",
        "below 0.1 eV/atom",
        "median (eV/atom)",
        "mean (eV/atom)",
        "above 1 eV/atom, not in the figure",
    ];
    let Window { before, after } = &group.samples;
    let rows = NAMES.into_iter().zip(column(before)).zip(column(after));
    let rows: Vec<Vec<String>> = rows.map(|((name, first), last)| vec![name.to_owned(), first, last]).collect();
    table(&["", "first step", "last steps"], &rows)
}

fn column(tally: &Tally) -> [String; 6] {
    let histogram = tally.histogram();
    let of_all = |count| share(Proportion::new(count, tally.rows));
    let energy = |energy: Option<f64>| energy.map_or_else(|| "-".to_owned(), number);
    [
        tally.rows.to_string(),
        of_all(tally.rows - histogram.without),
        share(tally.stable().share()),
        energy(histogram.median),
        energy(histogram.mean),
        of_all(histogram.above),
    ]
}

/// Stable crystals by class, before and after; classes without samples are left out.
fn by_freedom(group: &Group) -> Vec<(String, Window<Proportion>)> {
    let class = |tally: &Tally, (from, to): (usize, usize)| {
        let inside = tally.freedom.range(from..=to);
        let sum = inside
            .fold(Stable::default(), |sum, (_, more)| Stable { count: sum.count + more.count, of: sum.of + more.of });
        sum.share()
    };
    let classes = CLASSES.into_iter().map(|(from, to)| {
        let name = match (from, to) {
            (from, usize::MAX) => format!("{from}+"),
            (from, to) if from == to => from.to_string(),
            (from, to) => format!("{from}\u{2013}{to}"),
        };
        let [before, after] = [&group.samples.before, &group.samples.after].map(|tally| class(tally, (from, to)));
        (name, Window { before, after })
    });
    classes.filter(|(_, window)| window.before.of + window.after.of > 0).collect()
}

fn freedom_figure(group: &Group, groups: &[Group]) -> Option<Figure> {
    let classes = by_freedom(group);
    let series = |name: &str, colour, of: fn(&Window<Proportion>) -> Proportion| Series {
        name: name.into(),
        colour,
        values: classes.iter().map(|(_, window)| percent_bar(Some(of(window)))).collect(),
    };
    let series =
        vec![series("first step", Colour::LightBlue, |w| w.before), series("last steps", Colour::Blue, |w| w.after)];
    let labels: Vec<String> = classes.iter().map(|(name, _)| name.clone()).collect();
    let is_any = !labels.is_empty();
    is_any.then(|| Figure {
        name: file_name("free-coordinates", group, groups),
        svg: bars(["free coordinates of the atoms", "stable (%)"], &Bars { labels, series }),
        caption: html! {
            "Stable share of the " (samples_of(group)) " by the number of coordinates that symmetry leaves free"
            (of_group(group, groups)) ", with 95 % intervals: 0 are crystals whose atoms all sit on special points."
        },
    })
}

fn freedom_rows(group: &Group) -> Vec<Vec<String>> {
    let row = |(name, Window { before, after }): (String, Window<Proportion>)| {
        vec![name, share(before), share(after), change(&after, &before)]
    };
    by_freedom(group).into_iter().map(row).collect()
}
