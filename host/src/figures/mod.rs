//! Figures as SVG. It is given numbers and words, computes nothing of its own and knows nothing of crystals: every figure of Temper
//! is drawn here, in one style.

mod bars;
mod distributions;

use kuva::prelude::{Layout, Theme};

pub use bars::{Bars, Series, bars};
pub use distributions::{Distribution, distributions};

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), and a light one of the same hue for what was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// The first kind.
    Blue,
    /// The first kind, before.
    LightBlue,
    /// The second kind.
    Orange,
    /// The second kind, before.
    LightOrange,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Blue => "#0072b2",
            Self::LightBlue => "#a3cbe4",
            Self::Orange => "#e69f00",
            Self::LightOrange => "#f7dca5",
        }
    }
}

/// Of lines that mark a limit: vermilion.
const LIMIT: &str = "#d55e00";
/// Of intervals and outlines.
const DARK: &str = "#333333";

/// Width and height of a figure, pixels.
const SIZE: [f64; 2] = [720.0, 420.0];

/// The style of all figures.
fn styled(layout: Layout, [x, y]: [&str; 2]) -> Layout {
    let theme = Theme { grid_color: "#e5e5e5".into(), legend_border: "none".into(), ..Theme::light() };
    layout
        .with_theme(theme)
        .with_font_family("Helvetica, Arial, sans-serif")
        .with_width(SIZE[0])
        .with_height(SIZE[1])
        .with_x_label(x)
        .with_y_label(y)
}
