//! Distributions in bins, one over the other.

use kuva::plot::{Histogram, annotations::ReferenceLine};
use kuva::prelude::{Layout, Plot};
use kuva::render_to_svg;

use super::{COLOURS, LIMIT, styled};

/// A distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// For the legend.
    pub name: String,
    /// Ends of the bins, ascending, one more than there are values.
    pub edges: Vec<f64>,
    /// Heights of the bins.
    pub values: Vec<f64>,
}

/// Draws distributions between two ends of the first axis, with a line at a limit. `axes` are the labels of both axes.
pub fn distributions(
    axes: [&str; 2],
    drawn: &[Distribution],
    [from, to]: [f64; 2],
    limit: Option<(f64, &str)>,
) -> String {
    let plots: Vec<Plot> = drawn
        .iter()
        .rev()
        .zip(COLOURS)
        .map(|(one, colour)| {
            Plot::Histogram(
                Histogram::from_bins(one.edges.clone(), one.values.clone())
                    .with_color(colour)
                    .with_step(drawn.len() > 1)
                    .with_legend(one.name.as_str()),
            )
        })
        .collect();
    let mut layout = styled(Layout::auto_from_plots(&plots), axes).with_x_axis_min(from).with_x_axis_max(to);
    if let Some((at, label)) = limit {
        layout = layout.with_reference_line(ReferenceLine::vertical(at).with_color(LIMIT).with_label(label));
    }
    render_to_svg(plots, layout)
}
