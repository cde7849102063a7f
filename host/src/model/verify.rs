//! A derivative that was made is compared with differences of the energy, once, before it is used.
//!
//! Rules are tested one by one, but a file can meet what no test had: a rewrite of ONNX Runtime's that errs, an operator used in
//! a way that its rule does not know. Forces that are wrong without a word would be the worst that a potential can give.

use super::{ForceModel, ModelError, Response};
use crate::crystal::{Element, Lattice, Structure};
use crate::ranks::Ranks;

/// Displacement of the atoms together, angstrom, and strain, of the widest difference; each further one is half as wide.
const STEP: f64 = 0.02;

/// The most widths that are tried.
const WIDTHS: i32 = 7;

/// Share of the size of all forces (or stresses) by which derivative and difference may differ.
const SHARE: f64 = 0.02;

/// Forces below this, eV/A, are as good as none; so are stresses below it in eV/A^3.
const SMALL: f64 = 0.05;

/// What float32 leaves of a total energy, with some hundreds of terms added up.
const RESOLUTION: f64 = 1e-6;

/// By how much the energy of the graph with derivatives may differ from the file's, relative: half-precision blocks are computed
/// in single precision there.
const HALF_PRECISION: f64 = 1e-2;

/// Compares forces and stress of a few small crystals with differences of their energies.
///
/// # Errors
/// [`ModelError::NoForces`] with the numbers when they disagree, or when the graph with derivatives fails where the file does not.
pub(super) fn against_differences(model: &ForceModel) -> Result<(), ModelError> {
    let mut compared = 0;
    for crystal in crystals(model) {
        let name = model.model().contract().path.display().to_string();
        let refuse = |reason: String| ModelError::NoForces { model: name.clone(), reason };
        let Some((energy, response)) = at_rest(model, &crystal).map_err(refuse)? else { continue };
        for direction in 0..2 {
            let along = unit_vectors(crystal.len(), direction);
            let found = -response.forces.iter().zip(&along).map(|(f, u)| dot(f, u)).sum::<f64>();
            let size = response.forces.iter().map(|f| dot(f, f)).sum::<f64>().sqrt();
            let moved = |h: f64| displaced(&crystal, &along, h);
            let what = format!("along a displacement of {} atoms, eV/A", crystal.len());
            compared += compare(model, &moved, found, size, energy, &what).map_err(refuse)?;
        }
        for [i, j] in [[0, 0], [1, 2]] {
            let volume = crystal.lattice.volume();
            let found = response.stress[i][j] * volume;
            let size = response.stress.as_flattened().iter().map(|s| s * s).sum::<f64>().sqrt() * volume;
            let strained = |h: f64| crystal.strained([i, j], h);
            let what = format!("by a strain of {} atoms, eV", crystal.len());
            compared += compare(model, &strained, found, size, energy, &what).map_err(refuse)?;
        }
    }
    if compared == 0 {
        tracing::debug!("no test crystal suits {}", model.model().contract().path.display());
    }
    Ok(())
}

/// Energy and response of a crystal, if the file has any for it.
fn at_rest(model: &ForceModel, crystal: &Structure) -> Result<Option<(f64, Response)>, String> {
    let rows = model.model().evaluate_among(Ranks::one(), &[crystal], &["energy"]);
    let [Ok(energy)] = &rows[..] else { return Ok(None) };
    let Some(&energy) = energy.first() else { return Ok(None) };
    match model.evaluate(&[crystal], &["energy"]).pop() {
        Some(Ok((derived, response))) => {
            let derived = derived.first().copied().unwrap_or(f64::NAN);
            if (derived - energy).abs() <= HALF_PRECISION * (1.0 + energy.abs()) {
                return Ok(Some((energy, response)));
            }
            Err(format!("with derivatives, its graph gives an energy of {derived} eV for a crystal of {energy} eV"))
        }
        Some(Err(failure)) if failure.is_of_the_model() => {
            Err(format!("the graph that was derived fails on a crystal of {} atoms: {failure}", crystal.len()))
        }
        _ => Ok(None),
    }
}

/// One comparison of `found` with differences along `moved`. Returns how many were made: where the energy is no smooth function
/// at any width that its digits allow, it says nothing.
fn compare(
    model: &ForceModel,
    moved: &dyn Fn(f64) -> Structure,
    found: f64,
    size: f64,
    energy: f64,
    what: &str,
) -> Result<usize, String> {
    let rounding = |width: f64| 4.0 * RESOLUTION * energy.abs() / width;
    let tolerance = SHARE * (size + SMALL) + rounding(STEP);
    let widths: Vec<f64> = (0..WIDTHS).map(|k| STEP / 2f64.powi(k)).collect();
    let widths: Vec<f64> = widths.into_iter().filter(|width| rounding(*width) <= tolerance).collect();
    let offsets = widths.iter().flat_map(|width| [*width, -width]).chain([0.0]);
    let structures: Vec<Structure> = offsets.map(moved).collect();
    let rows = model.evaluate(&structures.iter().collect::<Vec<_>>(), &["energy"]);
    let energies: Option<Vec<f64>> = rows.into_iter().map(|row| row.ok()?.0.first().copied()).collect();
    let Some(energies) = energies else { return Ok(0) };
    let Some((rest, pairs)) = energies.split_last() else { return Ok(0) };
    let sides = pairs.as_chunks::<2>().0.iter().zip(&widths);
    let sides: Vec<[f64; 2]> =
        sides.map(|([plus, minus], width)| [(plus - rest) / width, (rest - minus) / width]).collect();
    let slopes: Vec<f64> = sides.iter().map(|[right, left]| 0.5 * (right + left)).collect();
    // At a corner, such as that of a maximum, any slope between those of both sides will do.
    let beside_corner = sides
        .last()
        .is_some_and(|[right, left]| (right.min(*left) - tolerance..=right.max(*left) + tolerance).contains(&found));
    if beside_corner || slopes.iter().any(|slope| (found - slope).abs() <= tolerance) {
        return Ok(1);
    }
    match slopes.as_slice() {
        [.., wide, near] if (wide - near).abs() <= tolerance => Err(format!(
            "its derivative is not that of its energy: {found:.5} {what}, where differences give {near:.5}"
        )),
        _ => Ok(0),
    }
}

fn dot(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A displacement of length 1 over all atoms, none along an axis.
fn unit_vectors(atoms: usize, direction: usize) -> Vec<[f64; 3]> {
    let number = |i: usize| (1.0 + 1.7 * i as f64 + 2.3 * direction as f64).sin();
    let mut vectors: Vec<[f64; 3]> = (0..atoms).map(|atom| std::array::from_fn(|k| number(3 * atom + k))).collect();
    let length = vectors.iter().map(|v| dot(v, v)).sum::<f64>().sqrt();
    vectors.as_flattened_mut().iter_mut().for_each(|x| *x /= length);
    vectors
}

fn displaced(crystal: &Structure, along: &[[f64; 3]], h: f64) -> Structure {
    along.iter().enumerate().fold(crystal.clone(), |moved, (atom, u)| moved.displaced(atom, u.map(|x| x * h)))
}

/// Crystals of low symmetry, of elements that the model knows, with neighbours within its cutoff: one of two atoms, one of five,
/// and one so wide that it has pairs but no triplets.
fn crystals(model: &ForceModel) -> Vec<Structure> {
    let contract = model.model().contract();
    let known = |symbol: &&str| Element::from_symbol(symbol).is_some_and(|element| contract.knows(element));
    let preferred = ["Si", "O", "C", "Cu", "Fe", "H", "N"].into_iter().filter(known);
    let mut elements: Vec<Element> = preferred.filter_map(Element::from_symbol).collect();
    elements.extend((1..=118).filter_map(Element::from_number).filter(|e| contract.knows(*e)));
    let cutoff = contract.cutoff.unwrap_or(4.0);
    let near = (0.7 * cutoff).min(2.6);
    let small = |edge: f64| Lattice([[edge, 0.0, 0.1 * edge], [0.2 * edge, edge, 0.0], [0.0, 0.1 * edge, 0.9 * edge]]);
    let places = [[0.02, 0.0, 0.05], [0.47, 0.55, 0.51], [0.5, 0.05, 0.02], [0.03, 0.52, 0.0], [0.05, 0.04, 0.48]];
    let wide = Lattice([[0.94 * cutoff, 0.0, 0.0], [0.0, 0.95 * cutoff, 0.0], [0.0, 0.0, 0.96 * cutoff]]);
    let rows = [(small(1.4 * near), 2), (small(1.7 * near), 5), (wide, 1)];
    let crystal = |(lattice, atoms): (Lattice, usize)| {
        let species =
            (0..atoms).map(|i| elements.get(i % 2).or(elements.first()).copied()).collect::<Option<Vec<_>>>()?;
        Structure::new(lattice, species, places[..atoms].to_vec()).ok()
    };
    rows.into_iter().filter_map(crystal).collect()
}
