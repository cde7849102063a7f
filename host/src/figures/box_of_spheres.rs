//! Spheres in a box with three edges, seen from the side and a little from above: the cell of a crystal.

use maud::{Markup, html};

use super::{BACKGROUND, Colour, DARK, FAINT, INK, finished, shown};

/// A sphere.
#[derive(Clone, Debug, PartialEq)]
pub struct Sphere {
    /// Its centre, in the units and axes of the box.
    pub centre: [f64; 3],
    /// Its radius.
    pub radius: f64,
    /// Which kind it is, from 0.
    pub kind: usize,
}

/// Side of the picture, pixels.
const SIDE: f64 = 260.0;
const MARGIN: f64 = 14.0;
/// Height of the legend.
const LEGEND: f64 = 26.0;
/// How far the box is turned about its third axis, and tilted towards the eye, radians.
const TURN: f64 = 0.44;
const TILT: f64 = 0.26;

/// Draws a box from the origin along `edges`, with spheres, the nearer over the farther ones; `kinds` are the names of the kinds.
pub fn box_of_spheres(edges: [[f64; 3]; 3], spheres: &[Sphere], kinds: &[String]) -> String {
    let corners: Vec<[f64; 3]> = (0..8).map(|corner| seen(at(edges, corner))).collect();
    let frame = Frame::around(&corners, spheres);
    let mut order: Vec<(&Sphere, [f64; 3])> = spheres.iter().map(|sphere| (sphere, seen(sphere.centre))).collect();
    order.sort_by(|a, b| a.1[2].total_cmp(&b.1[2]));
    let height = SIDE + LEGEND;
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(SIDE) height=(height) font-family="Helvetica, Arial, sans-serif" {
            rect width="100%" height="100%" fill=(BACKGROUND) {}
            g stroke=(FAINT) stroke-width="1.2" { (lines(&frame, &corners)) }
            g stroke=(DARK) stroke-width="0.8" {
                @for (sphere, place) in order { (circle(frame.place(place), frame.scale * sphere.radius, sphere.kind)) }
            }
            (legend(kinds))
        }
    };
    finished(&svg.into_string(), [SIDE, height])
}

/// A corner of the box: bit i of its number says whether it lies at the end of edge i.
fn at(edges: [[f64; 3]; 3], corner: usize) -> [f64; 3] {
    std::array::from_fn(|k| (0..3).filter(|edge| corner >> edge & 1 == 1).map(|edge| edges[edge][k]).sum())
}

/// To the right, up, and towards the eye.
fn seen([x, y, z]: [f64; 3]) -> [f64; 3] {
    let (right, back) = (x * TURN.cos() + y * TURN.sin(), y * TURN.cos() - x * TURN.sin());
    [right, z * TILT.cos() + back * TILT.sin(), z * TILT.sin() - back * TILT.cos()]
}

/// Where what is seen lies in the picture.
struct Frame {
    middle: [f64; 2],
    scale: f64,
}

impl Frame {
    fn around(corners: &[[f64; 3]], spheres: &[Sphere]) -> Self {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        let spheres = spheres.iter().map(|sphere| (seen(sphere.centre), sphere.radius));
        for (point, radius) in corners.iter().map(|corner| (*corner, 0.0)).chain(spheres) {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis] - radius);
                high[axis] = high[axis].max(point[axis] + radius);
            }
        }
        let size = (high[0] - low[0]).max(high[1] - low[1]).max(f64::MIN_POSITIVE);
        Self { middle: [0, 1].map(|axis| 0.5 * (low[axis] + high[axis])), scale: (SIDE - 2.0 * MARGIN) / size }
    }

    fn place(&self, [x, y, _]: [f64; 3]) -> [f64; 2] {
        [SIDE / 2.0 + self.scale * (x - self.middle[0]), SIDE / 2.0 - self.scale * (y - self.middle[1])]
    }
}

/// The twelve edges.
fn lines(frame: &Frame, corners: &[[f64; 3]]) -> Markup {
    let pairs = (0..8usize).flat_map(|one| (0..3).map(move |edge| (one, one | 1 << edge)).filter(|(a, b)| a != b));
    html! {
        @for (from, to) in pairs {
            @let [[x1, y1], [x2, y2]] = [from, to].map(|corner| frame.place(corners[corner]));
            line x1=(round(x1)) y1=(round(y1)) x2=(round(x2)) y2=(round(y2)) {}
        }
    }
}

fn circle([x, y]: [f64; 2], radius: f64, kind: usize) -> Markup {
    html! { circle cx=(round(x)) cy=(round(y)) r=(round(radius.max(1.5))) fill=(colour(kind)) {} }
}

fn legend(kinds: &[String]) -> Markup {
    let width = SIDE / kinds.len().max(1) as f64;
    html! {
        @for (kind, name) in kinds.iter().enumerate() {
            @let x = (kind as f64 + 0.5) * width;
            circle cx=(round(x - 14.0)) cy=(SIDE + 8.0) r="6" fill=(colour(kind)) stroke=(DARK) stroke-width="0.8" {}
            text x=(round(x - 4.0)) y=(SIDE + 13.0) font-size="14" fill=(INK) { (shown(name)) }
        }
    }
}

fn colour(kind: usize) -> &'static str {
    const KINDS: [Colour; 6] =
        [Colour::Blue, Colour::Orange, Colour::Green, Colour::Purple, Colour::LightBlue, Colour::LightOrange];
    KINDS[kind % KINDS.len()].code()
}

fn round(x: f64) -> String {
    format!("{x:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUBE: [[f64; 3]; 3] = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]];

    #[test]
    fn a_box_has_twelve_edges_and_its_spheres() {
        let sphere = |centre, kind| Sphere { centre, radius: 0.6, kind };
        let spheres = [sphere([0.0; 3], 0), sphere([2.0; 3], 1)];
        let svg = box_of_spheres(CUBE, &spheres, &["Cs".into(), "Cl".into()]);
        assert_eq!(svg.matches("<line").count(), 12);
        // Spheres, and one of each kind in the legend.
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains(">Cs<") && svg.contains(">Cl<"));
    }

    #[test]
    fn what_is_nearer_is_drawn_later() {
        // The eye is at negative y, a little above.
        let (near, far) = (seen([0.0, -1.0, 0.0]), seen([0.0, 1.0, 0.0]));
        assert!(near[2] > far[2] && seen([0.0, 0.0, 1.0])[2] > seen([0.0; 3])[2]);
        let sphere = |y: f64, kind| Sphere { centre: [0.0, y, 0.0], radius: 1.0, kind };
        let svg = box_of_spheres(CUBE, &[sphere(-1.0, 0), sphere(1.0, 1)], &[]);
        let place = |kind| svg.rfind(&format!("fill=\"{}\"", colour(kind))).unwrap();
        assert!(place(0) > place(1));
    }

    #[test]
    fn any_box_fits_the_picture() {
        for edges in [CUBE, [[1e5, 0.0, 0.0], [0.0, 1e-2, 0.0], [3.0, 0.0, 1.0]]] {
            let corners: Vec<[f64; 3]> = (0..8).map(|corner| seen(at(edges, corner))).collect();
            let frame = Frame::around(&corners, &[]);
            for corner in &corners {
                let inside = frame.place(*corner).iter().all(|x| (MARGIN - 1e-6..=SIDE - MARGIN + 1e-6).contains(x));
                assert!(inside, "{edges:?}");
            }
        }
    }
}
