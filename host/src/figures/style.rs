//! What all figures share: size, colours by day and by night, and the words in them.

use std::fmt::Write as _;

use kuva::backend::svg::SvgBackend;
use kuva::prelude::{Layout, LegendPosition, Plot, Theme};
use kuva::render::render::render_multiple;

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), and light ones of the same hue for what was before.
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
    /// The third kind.
    Green,
    /// The fourth kind.
    Purple,
}

impl Colour {
    /// The colour of the kind with this number, from 0; they repeat.
    pub fn of_kind(kind: usize) -> Self {
        [Self::Blue, Self::Orange, Self::Green, Self::Purple][kind % 4]
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Blue => "#0072b2",
            Self::LightBlue => "#a3cbe4",
            Self::Orange => "#e69f00",
            Self::LightOrange => "#f7dca5",
            Self::Green => "#009e73",
            Self::Purple => "#cc79a7",
        }
    }
}

/// Of what lies behind a figure.
pub(super) const BACKGROUND: &str = "#ffffff";
/// Of words.
pub(super) const INK: &str = "#1a1a1a";
/// Of lines that mark a limit: vermilion.
pub(super) const LIMIT: &str = "#d55e00";
/// Of intervals and outlines.
pub(super) const DARK: &str = "#333333";
/// Of axes and lines that only help the eye.
pub(super) const FAINT: &str = "#767676";
const GRID: &str = "#e5e5e5";

/// The colours of figures, and what is in their place on a dark page.
const ON_DARK: [(&str, &str); 12] = [
    (BACKGROUND, "#1b1d21"),
    (INK, "#e8e8e8"),
    (DARK, "#d0d0d0"),
    (FAINT, "#9a9a9a"),
    (GRID, "#3a3d43"),
    (LIMIT, "#ff8a4c"),
    ("#0072b2", "#56b4e9"),
    ("#a3cbe4", "#2c5f80"),
    ("#e69f00", "#f0b429"),
    ("#f7dca5", "#7a5c1e"),
    ("#009e73", "#2cc79b"),
    ("#cc79a7", "#e39ac1"),
];

/// Width and height of a figure, pixels: words are still read when it is as narrow as a phone.
const SIZE: [f64; 2] = [520.0, 340.0];
/// Letters of words that are drawn, and of those in a legend, which stand in two columns.
const MOST_LETTERS: usize = 48;
const MOST_IN_LEGEND: usize = 26;
/// Height of a row of a legend, and for how much of such rows there is room below the axes, pixels.
const LEGEND_ROW: f64 = 21.0;
const LEGEND_ROOM: f64 = 27.0;
/// Larger numbers are not drawn: axes cannot show them.
const LARGEST: f64 = 1e15;

/// Whether a number has a place in a figure.
pub(super) fn drawable(number: f64) -> bool {
    number.abs() < LARGEST
}

/// Words as they are drawn: without control characters, which SVG does not have, and not without end.
pub(super) fn shown(words: &str) -> String {
    cut(words, MOST_LETTERS)
}

/// Words in a legend.
pub(super) fn in_legend(words: &str) -> String {
    cut(words, MOST_IN_LEGEND)
}

fn cut(words: &str, most: usize) -> String {
    let is_text = |c: char| !c.is_control() && !('\u{fffe}'..='\u{ffff}').contains(&c);
    let plain = words.chars().map(|c| if is_text(c) { c } else { '\u{fffd}' });
    match words.chars().count() <= most {
        true => plain.collect(),
        false => plain.take(most - 1).chain(['\u{2026}']).collect(),
    }
}

/// The style of all figures with axes.
pub(super) fn styled(layout: Layout, [x, y]: [&str; 2]) -> Layout {
    let theme = Theme {
        background: BACKGROUND.into(),
        axis_color: FAINT.into(),
        tick_color: FAINT.into(),
        text_color: INK.into(),
        grid_color: GRID.into(),
        legend_bg: BACKGROUND.into(),
        legend_border: "none".into(),
        ..Theme::light()
    };
    layout
        .with_theme(theme)
        .with_font_family("Helvetica, Arial, sans-serif")
        .with_width(SIZE[0])
        .with_height(SIZE[1])
        .with_label_size(15)
        .with_tick_size(14)
        .with_body_size(14)
        .with_x_label(shown(x))
        .with_y_label(shown(y))
}

pub(super) fn draw(plots: Vec<Plot>, layout: Layout) -> String {
    let scene = render_multiple(plots, layout);
    finished(&SvgBackend.render_scene(&scene), [scene.width, scene.height])
}

/// Draws plots with so many entries of a legend below them, in two columns.
pub(super) fn draw_above_legend(plots: Vec<Plot>, layout: Layout, entries: usize) -> String {
    let layout = layout
        .with_legend_position(LegendPosition::OutsideBottomColumns)
        .with_legend_box(false)
        .with_legend_col_limit(2);
    let mut scene = render_multiple(plots, layout);
    // The library draws further rows below the end of the figure.
    let more_rows = entries.div_ceil(2).saturating_sub(1) as f64;
    scene.height += (LEGEND_ROW * more_rows - LEGEND_ROOM).max(0.0);
    finished(&SvgBackend.render_scene(&scene), [scene.width, scene.height])
}

/// An SVG that grows and shrinks with its place, with the colours of a dark page for those who ask for one.
pub(super) fn finished(svg: &str, [width, height]: [f64; 2]) -> String {
    let mut style = "<style>@media screen and (prefers-color-scheme:dark){".to_owned();
    for (light, dark) in ON_DARK {
        let _ = write!(style, "[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}");
    }
    let style = style + "}</style>";
    let body = svg.trim_start_matches("<svg ").split_once('>').map_or(("", ""), |parts| parts);
    format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" {}>{style}{}", body.0, body.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast as WCAG 2.2 define them.
    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |code: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&code[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        };
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn words_and_lines_stand_out_by_day_and_by_night() {
        assert!((contrast("#ffffff", "#000000") - 21.0).abs() < 1e-9);
        let dark = |light: &str| ON_DARK.iter().find(|(code, _)| *code == light).unwrap().1;
        let night = dark(BACKGROUND);
        for words in [INK, DARK, FAINT] {
            assert!(contrast(words, BACKGROUND) >= 4.5 && contrast(dark(words), night) >= 4.5, "{words}");
        }
        for kind in 0..4 {
            let code = Colour::of_kind(kind).code();
            assert!(contrast(code, BACKGROUND) >= 2.2 && contrast(dark(code), night) >= 4.5, "{code}");
        }
        for colour in [Colour::LightBlue, Colour::LightOrange] {
            // Words are written over them.
            let code = colour.code();
            assert!(contrast(INK, code) >= 4.5 && contrast(dark(INK), dark(code)) >= 4.5, "{code}");
        }
    }

    #[test]
    fn words_of_others_are_cut_and_cleaned() {
        assert_eq!(shown("e_hull"), "e_hull");
        assert_eq!(shown("a\u{0}b\u{1b}"), "a\u{fffd}b\u{fffd}");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), MOST_LETTERS);
        assert_eq!(in_legend(&"x".repeat(27)), format!("{}\u{2026}", "x".repeat(25)));
    }
}
