//! Bars in groups, with intervals.

use kuva::plot::BarPlot;
use kuva::prelude::{Layout, Plot};

use super::{Colour, DARK, draw_above_legend, drawable, in_legend, shown, styled};

/// Groups of bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// Names of the groups.
    pub labels: Vec<String>,
    /// One bar of each group.
    pub series: Vec<Series>,
}

/// A bar of each group.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// For the legend.
    pub name: String,
    /// Its colour.
    pub colour: Colour,
    /// Height, and the ends of its interval.
    pub values: Vec<(f64, [f64; 2])>,
}

/// Draws groups of bars from zero, the legend below where there are several series. `axes` are the labels of both axes.
pub fn bars(axes: [&str; 2], bars: &Bars) -> String {
    let plots = vec![Plot::Bar(plot(bars))];
    let layout = styled(Layout::auto_from_plots(&plots), axes).with_y_axis_min(0.0);
    draw_above_legend(plots, layout, bars.series.len())
}

/// The same from left to right and from the top down, for groups with long names. `axis` is the label of the numbers.
pub fn rows_of_bars(axis: &str, Bars { labels, series }: &Bars) -> String {
    let upwards = |series: &Series| Series { values: series.values.iter().rev().copied().collect(), ..series.clone() };
    let bars = Bars { labels: labels.iter().rev().cloned().collect(), series: series.iter().map(upwards).collect() };
    let plots = vec![Plot::Bar(plot(&bars).with_horizontal(true))];
    let layout = styled(Layout::auto_from_plots(&plots), [axis, ""]).with_x_axis_min(0.0);
    draw_above_legend(plots, layout, series.len())
}

fn plot(Bars { labels, series }: &Bars) -> BarPlot {
    let mut plot = BarPlot::new();
    let mut errors: Vec<(f64, f64)> = Vec::new();
    for (place, label) in labels.iter().enumerate() {
        let group: Vec<(&Series, (f64, [f64; 2]))> =
            series.iter().filter_map(|series| Some((series, drawn(*series.values.get(place)?)))).collect();
        plot = plot.with_group(shown(label), group.iter().map(|(series, (value, _))| (*value, series.colour.code())));
        errors.extend(group.iter().map(|(_, (value, [low, high]))| ((value - low).max(0.0), (high - value).max(0.0))));
    }
    let names: Vec<String> = series.iter().map(|series| in_legend(&series.name)).collect();
    let plot = plot.with_asymmetric_error(errors).with_error_color(DARK);
    if names.len() > 1 { plot.with_legend(names.iter().map(String::as_str).collect()) } else { plot }
}

/// A bar that has no place in the figure has no height.
fn drawn((value, interval): (f64, [f64; 2])) -> (f64, [f64; 2]) {
    let is_drawable = drawable(value) && interval.iter().all(|end| drawable(*end));
    if is_drawable { (value, interval) } else { (0.0, [0.0; 2]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_its_bars() {
        let series = |name: &str, colour| Series {
            name: name.into(),
            colour,
            values: vec![(30.0, [20.0, 45.0]), (50.0, [40.0, 60.0])],
        };
        let series = vec![series("stable", Colour::Blue), series("new", Colour::Orange)];
        let svg = bars(["group", "%"], &Bars { labels: vec!["62".into(), "225".into()], series });
        for text in ["<svg", "62", "225", "stable", "new"] {
            assert!(svg.contains(text), "{text}");
        }
        for colour in [Colour::Blue, Colour::Orange] {
            // Two bars and the legend; once more in the style.
            let filled = format!("fill=\"{}\"", colour.code());
            assert_eq!(svg.matches(&filled).count(), 3 + 1, "{colour:?}");
        }
        let series = vec![Series { name: "x".into(), colour: Colour::Blue, values: vec![(f64::INFINITY, [0.0, 1.0])] }];
        let one = bars(["a", "b"], &Bars { labels: vec!["y".into()], series });
        assert!(one.contains("<svg") && !one.contains(">x<"), "one series needs no legend");
    }

    #[test]
    fn rows_come_from_the_top_down() {
        let values = vec![(3.0, [3.0; 2]), (1.0, [1.0; 2])];
        let series = vec![Series { name: "x".into(), colour: Colour::Orange, values }];
        let svg = rows_of_bars("%", &Bars { labels: vec!["first".into(), "second".into()], series });
        let height = |label: &str| {
            let before = svg.split(&format!(">{label}<")).next().unwrap();
            let y = before.rsplit_once(" y=\"").unwrap().1;
            y.split('"').next().unwrap().parse::<f64>().unwrap()
        };
        assert!(height("first") < height("second"));
    }
}
