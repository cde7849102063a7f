//! Points in a plane, with lines on which the product of both numbers is constant.

use kuva::plot::scatter::{MarkerShape, ScatterPlot};
use kuva::plot::{LinePlot, LineStyle};
use kuva::prelude::{Layout, Plot};

use super::{Colour, FAINT, draw_above_legend, drawable, in_legend, styled};

/// Points of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// For the legend.
    pub name: String,
    /// Their colour.
    pub colour: Colour,
    /// Whether they are what matters: larger, and diamonds.
    pub stressed: bool,
    /// Where they are.
    pub at: Vec<[f64; 2]>,
}

/// Draws points, later kinds over earlier ones, and a line for each product.
pub fn scatter(axes: [&str; 2], kinds: &[Points], products: &[f64]) -> String {
    let drawn = |points: &Points| -> Vec<[f64; 2]> {
        points.at.iter().copied().filter(|point| point.iter().all(|x| drawable(*x))).collect()
    };
    let all: Vec<[f64; 2]> = kinds.iter().flat_map(drawn).collect();
    let [x, y] = [0, 1].map(|axis| ends(all.iter().map(|point| point[axis])));
    let lines = products.iter().filter_map(|product| Some((product.to_string(), hyperbola(*product, x, y)?)));
    let (names, lines): (Vec<String>, Vec<LinePlot>) = lines.unzip();
    let mut plots: Vec<Plot> = lines.into_iter().map(Plot::Line).collect();
    if let Some(Plot::Line(line)) = plots.first_mut() {
        line.legend_label = Some(in_legend(&format!("product {}", names.join(", "))));
    }
    plots.extend(kinds.iter().map(|points| {
        let (shape, size) = if points.stressed { (MarkerShape::Diamond, 4.5) } else { (MarkerShape::Circle, 2.2) };
        let plot = ScatterPlot::new().with_data(drawn(points).into_iter().map(|[x, y]| (x, y)));
        let plot = plot.with_color(points.colour.code()).with_marker(shape).with_size(size).with_marker_opacity(0.75);
        Plot::Scatter(plot.with_legend(in_legend(&points.name)))
    }));
    let layout = styled(Layout::auto_from_plots(&plots), axes)
        .with_x_axis_min(x[0])
        .with_x_axis_max(x[1])
        .with_y_axis_min(y[0])
        .with_y_axis_max(y[1]);
    draw_above_legend(plots, layout, kinds.len() + 1)
}

/// An axis from zero, or from the least number if that is below, with room at its end.
fn ends(numbers: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = numbers.fold((0.0f64, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
    let room = if high > low { 0.05 * (high - low) } else { 1.0 };
    [if low < 0.0 { low - room } else { 0.0 }, high + room]
}

/// The part of x y = `product` that lies in the figure.
fn hyperbola(product: f64, [_, right]: [f64; 2], [_, top]: [f64; 2]) -> Option<LinePlot> {
    const PIECES: usize = 60;
    let left = product / top;
    if !(product > 0.0 && left > 0.0 && left < right) {
        return None;
    }
    let ratio = right / left;
    let x = (0..=PIECES).map(|i| left * ratio.powf(i as f64 / PIECES as f64));
    let line = LinePlot::new().with_data(x.map(|x| (x, product / x))).with_color(FAINT).with_stroke_width(1.2);
    Some(line.with_line_style(LineStyle::Dashed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_and_the_lines_through_the_figure_are_drawn() {
        let points = |name: &str, at: &[[f64; 2]]| Points {
            name: name.into(),
            colour: Colour::Blue,
            stressed: false,
            at: at.to_vec(),
        };
        let kinds = [points("first", &[[1.0, 2.0], [3.0, 4.0], [f64::NAN, 1.0]]), points("last", &[[2.0, 2.0]])];
        let svg = scatter(["gap", "eps"], &kinds, &[2.0, 4.0, 1e6]);
        // Points, and one of each kind in the legend.
        assert_eq!(svg.matches("<circle").count(), 3 + 2);
        assert!(svg.contains(">product 2, 4<"), "the third is outside of the figure");
        assert!(svg.contains("gap") && svg.contains("first") && !svg.contains("NaN"));
        assert!(scatter(["x", "y"], &[points("none", &[])], &[1.0]).contains("<svg"));
        assert_eq!(ends([2.0, -1.0].into_iter()), [-1.15, 2.15]);
    }
}
