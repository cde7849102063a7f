//! Distributions in bins, one as bars and another as an outline over it.

use kuva::plot::annotations::ReferenceLine;
use kuva::plot::{Histogram, LinePlot};
use kuva::prelude::{Layout, LegendPosition, Plot};

use super::{Colour, DARK, LIMIT, draw, shown, styled};

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

impl Distribution {
    /// Corners of its outline.
    fn outline(&self) -> Vec<(f64, f64)> {
        let bins = self.edges.windows(2).zip(&self.values);
        bins.flat_map(|(ends, value)| [(ends[0], *value), (ends[1], *value)]).collect()
    }
}

/// Draws a distribution, and the outline of another, between two ends of the first axis, with a line at a limit. `axes` are the
/// labels of both axes.
pub fn distributions(
    axes: [&str; 2],
    now: &Distribution,
    outlined: Option<&Distribution>,
    [from, to]: [f64; 2],
    (limit, label): (f64, &str),
) -> String {
    let bars = Histogram::from_bins(now.edges.clone(), now.values.clone())
        .with_color(Colour::Blue.code())
        .with_legend(shown(&now.name));
    let mut plots = vec![Plot::Histogram(bars)];
    plots.extend(outlined.map(|outlined| {
        let line = LinePlot::new().with_data(outlined.outline()).with_color(DARK).with_stroke_width(1.5);
        Plot::Line(line.with_legend(shown(&outlined.name)))
    }));
    let layout = styled(Layout::auto_from_plots(&plots), axes)
        .with_legend_position(LegendPosition::InsideTopRight)
        .with_x_axis_min(from)
        .with_x_axis_max(to)
        .with_y_axis_min(0.0)
        .with_reference_line(ReferenceLine::vertical(limit).with_color(LIMIT).with_label(label));
    draw(plots, layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_distributions_and_the_limit_are_drawn() {
        let of = |name: &str, values: [f64; 2]| Distribution {
            name: name.into(),
            edges: vec![0.0, 0.5, 1.0],
            values: values.into(),
        };
        let (now, before) = (of("now", [3.0, 1.0]), of("before", [1.0, 2.0]));
        assert_eq!(before.outline(), [(0.0, 1.0), (0.5, 1.0), (0.5, 2.0), (1.0, 2.0)]);
        let svg = distributions(["x (eV)", "%"], &now, Some(&before), [0.0, 1.0], (0.1, "0.1 eV"));
        for text in ["<svg", "now", "before", "x (eV)", "0.1 eV", Colour::Blue.code(), DARK, LIMIT] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!distributions(["x", "y"], &now, None, [0.0, 1.0], (0.1, "")).contains("before"));
    }
}
