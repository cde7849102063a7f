//! Figures as SVG. It is given numbers and words, computes nothing of its own and knows nothing of crystals: every figure of Temper
//! is drawn here, in one style, to be read on light and on dark pages.

mod bars;
mod box_of_spheres;
mod curves;
mod distributions;
mod grid_map;
mod scatter;
mod style;

pub use bars::{Bars, Series, bars, rows_of_bars};
pub use box_of_spheres::{Sphere, box_of_spheres};
pub use curves::{Curve, curves};
pub use distributions::{Distribution, distributions};
pub use grid_map::{GridCell, grid_map};
pub use scatter::{Points, scatter};
pub use style::Colour;
use style::{
    BACKGROUND, DARK, FAINT, INK, LIMIT, draw, draw_above_legend, drawable, finished, in_legend, shown, styled,
};
