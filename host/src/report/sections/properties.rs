//! Two properties of the crystals against each other (the paper's figure 6).

use maud::html;

use super::{file_name, of_group, steps_named};
use crate::figures::{Colour, Points, scatter};
use crate::report::group::Group;
use crate::report::run::two_properties;
use crate::report::window::Window;
use crate::report::{Figure, Section};

pub(super) fn section(groups: &[Group]) -> Option<Section> {
    let figures: Vec<Figure> = groups.iter().filter_map(|group| figure(group, groups)).collect();
    let words =
        html! { p { "Each point is a crystal. On a dashed line the product of the two properties is constant." } };
    let is_any = !figures.is_empty();
    is_any.then(|| Section { id: "properties", title: "Two properties", words, figures, after: html! {} })
}

fn figure(group: &Group, groups: &[Group]) -> Option<Figure> {
    let names = two_properties(&group.runs.first()?.history.config.table)?;
    let Window { before, after } = &group.samples;
    let all: Vec<[f64; 2]> = before.properties.iter().chain(&after.properties).copied().collect();
    if all.is_empty() {
        return None;
    }
    let points =
        |steps: String, colour, at: &[[f64; 2]]| Points { name: steps, colour, stressed: false, at: at.to_vec() };
    let [first, last] = [before, after].map(|tally| steps_named(tally.steps.iter().copied()));
    let mut kinds = vec![points(first.clone(), Colour::Orange, &before.properties)];
    if after.rows > 0 {
        kinds.push(points(last.clone(), Colour::Blue, &after.properties));
    }
    let best = best_candidates(group, &names);
    if !best.is_empty() {
        kinds.push(Points { name: "best candidates".into(), colour: Colour::Green, stressed: true, at: best });
    }
    let products = levels(&all);
    let caption = html! {
        (names[0]) " against " (names[1]) (of_group(group, groups)) ": " (before.properties.len()) " crystals of " (first)
        @if after.rows > 0 { " and " (after.properties.len()) " of " (last) } "."
    };
    let svg = scatter([&names[0], &names[1]], &kinds, &products);
    Some(Figure { name: file_name("properties", group, groups), svg, caption })
}

/// The best crystals of the runs.
fn best_candidates(group: &Group, names: &[String; 2]) -> Vec<[f64; 2]> {
    let candidates = super::candidates::best_of(group);
    let value = |others: &[(String, String)], name: &str| -> Option<f64> {
        others.iter().find(|(key, _)| key == name)?.1.parse().ok().filter(|x: &f64| x.is_finite())
    };
    let both = candidates.into_iter().filter_map(|(_, candidate)| {
        Some([value(&candidate.others, &names[0])?, value(&candidate.others, &names[1])?])
    });
    both.collect()
}

/// Round numbers: near the upper end of the products, half of it, and a fifth, where the properties are positive.
fn levels(points: &[[f64; 2]]) -> Vec<f64> {
    let products = points.iter().filter(|point| point.iter().all(|x| *x > 0.0)).map(|[x, y]| x * y);
    let mut products: Vec<f64> = products.filter(|product| product.is_normal()).collect();
    products.sort_by(f64::total_cmp);
    let Some(upper) = products.get(products.len() * 99 / 100) else { return Vec::new() };
    let mut levels: Vec<f64> = [0.2, 0.5, 1.0].into_iter().filter_map(|share| round(share * upper)).collect();
    levels.dedup();
    levels
}

/// The nearest of 1, 2 and 5 times a power of ten.
fn round(x: f64) -> Option<f64> {
    let power = 10f64.powi(x.log10().floor() as i32);
    let near = |a: &f64, b: &f64| (x / power - a).abs().total_cmp(&(x / power - b).abs());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().min_by(near)?;
    // As the decimal number that it is meant to be.
    format!("{:e}", (step * power) as f32).parse().ok().filter(|level: &f64| level.is_normal())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_round_and_where_the_points_are() {
        let points: Vec<[f64; 2]> = (1..=100).map(|i| [f64::from(i), 1.0]).collect();
        assert_eq!(levels(&points), [20.0, 50.0, 100.0]);
        assert_eq!(levels(&[[-1.0, 2.0], [0.0, 3.0]]), Vec::<f64>::new());
        assert_eq!([0.0014, 0.0017, 7.6, 36.0].map(|x| round(x).unwrap()), [0.001, 0.002, 10.0, 50.0]);
    }
}
