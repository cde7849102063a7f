//! Bars in groups, with intervals.

use kuva::plot::BarPlot;
use kuva::prelude::{Layout, LegendPosition, Plot};
use kuva::render_to_svg;

use super::{Colour, DARK, styled};

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

/// Draws groups of bars from zero, the legend below. `axes` are the labels of both axes.
pub fn bars(axes: [&str; 2], Bars { labels, series }: &Bars) -> String {
    let mut plot = BarPlot::new();
    let mut errors: Vec<(f64, f64)> = Vec::new();
    for (place, label) in labels.iter().enumerate() {
        let group: Vec<(&Series, (f64, [f64; 2]))> =
            series.iter().filter_map(|series| Some((series, *series.values.get(place)?))).collect();
        plot = plot.with_group(label.as_str(), group.iter().map(|(series, (value, _))| (*value, series.colour.code())));
        errors.extend(group.iter().map(|(_, (value, [low, high]))| ((value - low).max(0.0), (high - value).max(0.0))));
    }
    let names = series.iter().map(|series| series.name.as_str()).collect();
    let plots = vec![Plot::Bar(plot.with_legend(names).with_asymmetric_error(errors).with_error_color(DARK))];
    let layout = styled(Layout::auto_from_plots(&plots), axes)
        .with_legend_position(LegendPosition::OutsideBottomColumns)
        .with_y_axis_min(0.0);
    render_to_svg(plots, layout)
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
            // Two bars and the legend.
            assert_eq!(svg.matches(colour.code()).count(), 3, "{colour:?}");
        }
    }
}
