//! Curves over a common axis, each with its spread.

use kuva::plot::annotations::ReferenceLine;
use kuva::plot::scatter::ScatterPlot;
use kuva::plot::{BandPlot, LinePlot, LineStyle};
use kuva::prelude::{Layout, Plot};

use super::{Colour, FAINT, draw_above_legend, drawable, in_legend, styled};

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// For the legend.
    pub name: String,
    /// Which kind it is, from 0: kinds differ in colour and in dashes.
    pub kind: usize,
    /// Points from left to right.
    pub points: Vec<[f64; 2]>,
    /// Half of the width of the band at each point: it is interrupted where nothing is known of the spread.
    pub spread: Vec<Option<f64>>,
}

/// Curves of fewer points show these too.
const FEW: usize = 40;

/// Draws curves, the legend below where there are several. `level` is a horizontal line that helps the eye.
pub fn curves(axes: [&str; 2], curves: &[Curve], level: Option<f64>) -> String {
    let mut plots = Vec::new();
    for curve in curves {
        plots.extend(bands(curve));
        plots.extend(line(curve, curves.len() > 1));
        plots.extend(markers(curve));
    }
    let layout = styled(Layout::auto_from_plots(&plots), axes).with_clamp_axis();
    let layout = match level {
        Some(level) => layout.with_reference_line(ReferenceLine::horizontal(level).with_color(FAINT)),
        None => layout,
    };
    draw_above_legend(plots, layout, curves.len())
}

/// Around each stretch of a curve whose spread is known.
fn bands(curve: &Curve) -> Vec<Plot> {
    let drawn = curve.drawn();
    let stretches = drawn.chunk_by(|(_, half), (_, next)| half.is_some() == next.is_some());
    let known = stretches.filter(|stretch| stretch[0].1.is_some());
    let band = |stretch: &[([f64; 2], Option<f64>)]| {
        let end = |side: f64| stretch.iter().map(move |([_, y], half)| y + side * half.unwrap_or(0.0));
        let band = BandPlot::new(stretch.iter().map(|([x, _], _)| *x), end(-1.0), end(1.0));
        Plot::Band(band.with_color(Colour::of_kind(curve.kind).code()))
    };
    known.map(band).collect()
}

fn line(curve: &Curve, has_legend: bool) -> Option<Plot> {
    let drawn = curve.drawn();
    if drawn.is_empty() {
        return None;
    }
    let line = LinePlot::new()
        .with_data(drawn.iter().map(|([x, y], _)| (*x, *y)))
        .with_color(Colour::of_kind(curve.kind).code())
        .with_stroke_width(2.0)
        .with_line_style(dashes(curve.kind));
    Some(Plot::Line(if has_legend { line.with_legend(in_legend(&curve.name)) } else { line }))
}

/// Kinds are told apart without their colours too; where colours repeat, dashes are others.
fn dashes(kind: usize) -> LineStyle {
    match (kind + kind / 4) % 4 {
        0 => LineStyle::Solid,
        1 => LineStyle::Dashed,
        2 => LineStyle::Dotted,
        _ => LineStyle::DashDot,
    }
}

fn markers(curve: &Curve) -> Option<Plot> {
    let drawn = curve.drawn();
    let few = (1..=FEW).contains(&drawn.len());
    let markers = ScatterPlot::new()
        .with_data(drawn.iter().map(|([x, y], _)| (*x, *y)))
        .with_color(Colour::of_kind(curve.kind).code())
        .with_size(2.5);
    few.then_some(Plot::Scatter(markers))
}

impl Curve {
    /// What of it has a place in a figure: points, each with half of the width of its band.
    fn drawn(&self) -> Vec<([f64; 2], Option<f64>)> {
        let half = |at: usize| self.spread.get(at).copied().flatten();
        let points = self.points.iter().enumerate().map(|(at, point)| (*point, half(at)));
        points.filter(|(point, half)| point.iter().chain(half).all(|x| drawable(*x))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(kind: usize, points: &[[f64; 2]], spread: &[Option<f64>]) -> Curve {
        Curve { name: format!("runs {kind}"), kind, points: points.to_vec(), spread: spread.to_vec() }
    }

    #[test]
    fn curves_have_their_kind_their_band_and_a_legend_where_there_are_several() {
        let points = [[1.0, 0.2], [2.0, 0.4], [3.0, 0.3]];
        let one = curves(["step", "share"], &[curve(0, &points, &[])], None);
        assert!(one.contains("step") && one.contains("share") && !one.contains("runs 0"));
        assert_eq!(one.matches("<circle").count(), 3);
        let both = [curve(0, &points, &[Some(0.1); 3]), curve(1, &points, &[])];
        let two = curves(["step", "share"], &both, Some(0.25));
        assert!(two.contains("runs 0") && two.contains("runs 1") && two.contains("stroke-dasharray"));
        assert!(two.contains("fill-opacity") || two.contains("opacity"), "the band");
    }

    #[test]
    fn a_band_is_interrupted_where_no_spread_is_known() {
        let points: Vec<[f64; 2]> = (0..6).map(|x| [f64::from(x), 0.5]).collect();
        let with_bands = |spread: &[Option<f64>]| {
            let curve = curve(0, &points, spread);
            (bands(&curve).len(), curves(["step", "y"], &[curve], None).matches("<path").count())
        };
        let (half, none) = (Some(0.1), None);
        let [(_, without), whole, torn] =
            [with_bands(&[none; 6]), with_bands(&[half; 6]), with_bands(&[half, half, none, none, half, half])];
        assert_eq!([whole, torn], [(1, without + 1), (2, without + 2)]);
    }

    #[test]
    fn every_entry_of_the_legend_is_inside_the_figure() {
        for count in [2, 5, 9, 16] {
            let of = |kind| curve(kind, &[[1.0, 0.0], [2.0, kind as f64]], &[]);
            let svg = curves(["step", "y"], &(0..count).map(of).collect::<Vec<_>>(), None);
            let height: f64 = svg.split('"').nth(1).unwrap().rsplit(' ').next().unwrap().parse().unwrap();
            let last = svg.split(&format!(">runs {}<", count - 1)).next().unwrap();
            let y: f64 = last.rsplit_once(" y=\"").unwrap().1.split('"').next().unwrap().parse().unwrap();
            assert!(y + 4.0 < height && y + 100.0 > height, "{count} curves: {y} of {height}");
        }
    }

    #[test]
    fn numbers_without_a_place_are_left_out() {
        let points = [[1.0, f64::NAN], [2.0, f64::INFINITY], [3.0, 1e300], [4.0, 0.5]];
        let svg = curves(["step", "y"], &[curve(0, &points, &[Some(f64::NAN); 4])], None);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(curves(["step", "y"], &[curve(0, &[], &[])], None).contains("<svg"));
        // Steps between ticks that are smaller than what a float can tell apart.
        for near in [1.0 - f64::EPSILON, 1e14 + 0.02] {
            let points = [[1.0, near.round()], [2.0, near], [3.0, near.round()]];
            assert!(curves(["step", "y"], &[curve(0, &points, &[])], None).contains("<path"));
        }
        let even = curves(["step", "y"], &[curve(0, &[[1.0, 2.0], [2.0, 2.0]], &[])], None);
        assert!(even.contains("<path") && !even.contains("NaN"));
    }
}
