//! Bars in groups, with intervals.

use kuva::plot::BarPlot;
use kuva::prelude::{Layout, Plot};
use kuva::render_to_svg;

use super::{COLOURS, styled};

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
    /// Height, and the ends of its interval.
    pub values: Vec<(f64, [f64; 2])>,
}

/// Draws groups of bars from zero. `axes` are the labels of both axes.
pub fn bars(axes: [&str; 2], Bars { labels, series }: &Bars) -> String {
    let mut plot = BarPlot::new();
    let mut errors: Vec<(f64, f64)> = Vec::new();
    for (place, label) in labels.iter().enumerate() {
        let group = series.iter().zip(COLOURS).map(|(series, colour)| (series.values[place].0, colour));
        plot = plot.with_group(label.as_str(), group);
        errors.extend(series.iter().map(|series| {
            let (value, [low, high]) = series.values[place];
            ((value - low).max(0.0), (high - value).max(0.0))
        }));
    }
    let names = series.iter().map(|series| series.name.as_str()).collect();
    let plot = plot.with_legend(names).with_asymmetric_error(errors).with_error_color("#444444");
    let plots = vec![Plot::Bar(plot)];
    let layout = styled(Layout::auto_from_plots(&plots), axes);
    render_to_svg(plots, layout)
}
