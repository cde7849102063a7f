//! Cells in a grid, coloured by how much more or less of something there is than there was: a periodic table, say.

use maud::{Markup, html};

use super::{BACKGROUND, Colour, FAINT, INK, finished, shown};

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct GridCell {
    /// Column and row, from 0; rows may lie between others.
    pub place: [f64; 2],
    /// What stands in it.
    pub label: String,
    /// From -1 (much less) over 0 (as before) to 1 (much more); none if there is nothing to compare.
    pub change: Option<f64>,
    /// What a pointer on it shows.
    pub title: String,
}

/// Side of a cell, pixels.
const SIDE: f64 = 28.0;
const MARGIN: f64 = 8.0;
/// Height of the legend below.
const LEGEND: f64 = 44.0;

/// Draws the cells, and a legend with words for the ends of the scale and its middle.
pub fn grid_map(cells: &[GridCell], legend: [&str; 3]) -> String {
    let end = |axis: usize| cells.iter().map(|cell| cell.place[axis] + 1.0).fold(1.0, f64::max);
    let [width, cells_height] = [0, 1].map(|axis| end(axis) * SIDE + 2.0 * MARGIN);
    let height = cells_height + LEGEND;
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height)
            font-family="Helvetica, Arial, sans-serif" text-anchor="middle" {
            rect width="100%" height="100%" fill=(BACKGROUND) {}
            @for cell in cells { (drawn(cell)) }
            (scale(width, cells_height, legend))
        }
    };
    finished(&svg.into_string(), [width, height])
}

fn drawn(cell: &GridCell) -> Markup {
    let [x, y] = cell.place.map(|place| MARGIN + place * SIDE);
    let ink = if cell.change.is_some() { INK } else { FAINT };
    html! {
        g {
            title { (clean(&cell.title)) }
            (square([x, y], cell.change))
            text x=(x + SIDE / 2.0) y=(y + SIDE / 2.0 + 4.5) font-size="13" fill=(ink) { (shown(&cell.label)) }
        }
    }
}

/// A square, its colour the stronger the more has changed; what is less has a dashed border too.
fn square([x, y]: [f64; 2], change: Option<f64>) -> Markup {
    let strength = change.filter(|change| change.is_finite()).unwrap_or(0.0).clamp(-1.0, 1.0);
    let colour = if strength < 0.0 { Colour::LightOrange } else { Colour::LightBlue };
    let dashes = (strength <= -0.25).then_some("3 2");
    html! {
        rect x=(x + 1.0) y=(y + 1.0) width=(SIDE - 2.0) height=(SIDE - 2.0) rx="2" fill=(colour.code())
            fill-opacity=(format!("{:.2}", strength.abs())) stroke=(FAINT) stroke-width="0.8" stroke-dasharray=[dashes] {}
    }
}

fn scale(width: f64, top: f64, [less, same, more]: [&str; 3]) -> Markup {
    let left = width / 2.0 - 2.5 * SIDE;
    html! {
        @for (i, change) in [-1.0, -0.5, 0.0, 0.5, 1.0].into_iter().enumerate() {
            (square([left + i as f64 * SIDE, top], Some(change)))
        }
        g font-size="12" fill=(INK) {
            text x=(left - 6.0) y=(top + SIDE / 2.0 + 4.0) text-anchor="end" { (shown(less)) }
            text x=(width / 2.0) y=(top + SIDE + 12.0) { (shown(same)) }
            text x=(left + 5.0 * SIDE + 6.0) y=(top + SIDE / 2.0 + 4.0) text-anchor="start" { (shown(more)) }
        }
    }
}

/// Words without the characters that SVG does not have.
fn clean(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_in_their_places_and_escape_what_is_in_them() {
        let cell = |place, change| GridCell { place, label: "<Li>".into(), change, title: "3 of 10 & \"x\"".into() };
        let cells = [cell([0.0, 0.0], Some(-2.0)), cell([17.0, 8.5], Some(0.5)), cell([1.0, 0.0], None)];
        let svg = grid_map(&cells, ["less", "same", "more"]);
        assert!(svg.starts_with("<svg viewBox=\"0 0 520 326\""), "{}", &svg[..60]);
        assert!(svg.contains("&lt;Li&gt;") && svg.contains("3 of 10 &amp; ") && !svg.contains("<Li>"));
        assert!(svg.contains("fill-opacity=\"1.00\"") && svg.contains("fill-opacity=\"0.50\""));
        // Three cells and the five of the legend, and the ground.
        assert_eq!(svg.matches("<rect").count(), 9);
    }
}
