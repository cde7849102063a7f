//! From a raw row of the network's output to the distribution of the next token (arXiv 2504.02367; masks as in its reference code).
//!
//! A row has `output_size` columns, whatever it is for; the token it was computed at decides how it is read. Log-probabilities
//! are normalised in float64 over the allowed classes; a forbidden class has minus infinity.

use serde::{Deserialize, Serialize};

use super::hyper::Hyperparameters;
use super::letters::letter_may_follow;
use crate::crystal::{SpaceGroup, wyckoff_positions};

/// Added to the widths of the lattice Gaussians, so that none is narrower at temperature 1.
pub(super) const SIGMA_MIN: f64 = 1e-3;

/// A mixture of von Mises distributions of a coordinate as an angle, 2 pi (x - 1/2).
#[derive(Clone, Debug, PartialEq)]
pub struct CoordinateMixture {
    /// Log-weight per component, normalised; (Kx).
    pub log_weights: Vec<f64>,
    /// Location per component, radians, any real; (Kx).
    pub loc: Vec<f64>,
    /// Concentration per component, not negative; (Kx).
    pub kappa: Vec<f64>,
}

/// A mixture of Gaussians of the six lattice numbers: lengths over the cube root of the number of atoms (angstrom), angles (radians).
#[derive(Clone, Debug, PartialEq)]
pub struct LatticeMixture {
    /// Log-weight per component, normalised; (Kl).
    pub log_weights: Vec<f64>,
    /// Means; (Kl, 6).
    pub mu: Vec<[f64; 6]>,
    /// Standard deviations, at least 1e-3 times the root of the temperature; (Kl, 6).
    pub sigma: Vec<[f64; 6]>,
}

/// Why a row is no distribution.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum HeadError {
    /// A row of the wrong length.
    #[error("a row of the network's output has {found} columns, but needs {expected}")]
    Width {
        /// Columns found.
        found: usize,
        /// Columns needed.
        expected: usize,
    },
    /// A NaN or infinite output.
    #[error("column {column} of the network's output is {value}")]
    NotFinite {
        /// Column, from 0.
        column: usize,
        /// Its value.
        value: f32,
    },
    /// A letter that the group does not have.
    #[error("space group {group} has {positions} Wyckoff positions, but the letter drawn is number {letter}")]
    Letter {
        /// The letter as a number.
        letter: u8,
        /// Number of the space group.
        group: u8,
        /// Wyckoff positions of the group.
        positions: usize,
    },
    /// A mask of elements of the wrong length.
    #[error("the mask of allowed elements has {found} entries, but the model has {expected} atom classes")]
    Mask {
        /// Entries found.
        found: usize,
        /// Atom classes of the model.
        expected: usize,
    },
    /// A restriction that leaves no letter.
    #[error("no Wyckoff position of space group {group} is allowed")]
    NoLetter {
        /// Number of the space group.
        group: u8,
    },
    /// A mask that leaves no element.
    #[error("no element is allowed")]
    NoElement,
}

/// Log-probabilities of the letter after `previous` ([`letter_may_follow`]): from the logits of the first letter where that is `None`,
/// else from the row of the previous site's Z token. `allowed` restricts the letters further, one flag per class.
///
/// # Errors
/// [`HeadError::Width`], [`HeadError::NotFinite`], [`HeadError::Letter`], [`HeadError::NoLetter`].
pub fn letters(
    row: &[f32],
    group: SpaceGroup,
    previous: Option<u8>,
    allowed: Option<&[bool]>,
    hyper: &Hyperparameters,
) -> Result<Vec<f64>, HeadError> {
    let logits = columns(row, 0, hyper.wyck_types)?;
    let positions = wyckoff_positions(group).len();
    if let Some(letter) = previous.filter(|letter| usize::from(*letter) > positions) {
        return Err(HeadError::Letter { letter, group: group.number(), positions });
    }
    let may = |letter: usize| {
        letter_may_follow(group, previous, letter) && allowed.is_none_or(|mask| mask.get(letter) == Some(&true))
    };
    if !(0..logits.len()).any(may) {
        return Err(HeadError::NoLetter { group: group.number() });
    }
    Ok(log_softmax(&logits, hyper.temperature.w, may))
}

/// Log-probabilities of the element at letter `wyckoff`, from the row of its W token: padding exactly if the letter is.
/// `allowed` restricts the elements by atomic number (entry 0 is not read).
///
/// # Errors
/// [`HeadError::Width`], [`HeadError::NotFinite`], [`HeadError::Mask`], [`HeadError::NoElement`].
pub fn atoms(
    row: &[f32],
    wyckoff: u8,
    allowed: Option<&[bool]>,
    hyper: &Hyperparameters,
) -> Result<Vec<f64>, HeadError> {
    let logits = columns(row, 0, hyper.atom_types)?;
    if let Some(mask) = allowed {
        if mask.len() != hyper.atom_types {
            return Err(HeadError::Mask { found: mask.len(), expected: hyper.atom_types });
        }
        if !mask[1..].contains(&true) {
            return Err(HeadError::NoElement);
        }
    }
    if wyckoff == 0 {
        return Ok(log_softmax(&logits, hyper.temperature.a, |a| a == 0));
    }
    Ok(log_softmax(&logits, hyper.temperature.a, |a| a > 0 && allowed.is_none_or(|mask| mask[a])))
}

/// The distribution of a coordinate, from the row of the A, X or Y token (for x, y or z).
///
/// # Errors
/// [`HeadError::Width`] and [`HeadError::NotFinite`].
pub fn coordinate(row: &[f32], hyper: &Hyperparameters) -> Result<CoordinateMixture, HeadError> {
    let (kx, temperature) = (hyper.Kx, hyper.temperature.xyz);
    Ok(CoordinateMixture {
        log_weights: log_softmax(&columns(row, 0, kx)?, temperature, |_| true),
        loc: columns(row, kx, kx)?,
        kappa: columns(row, 2 * kx, kx)?.into_iter().map(|raw| softplus(raw) / temperature).collect(),
    })
}

/// The distribution of the lattice, from the row of a W token: the first padding site's, or the last slot's when all are filled.
///
/// # Errors
/// [`HeadError::Width`] and [`HeadError::NotFinite`].
pub fn lattice(row: &[f32], hyper: &Hyperparameters) -> Result<LatticeMixture, HeadError> {
    let (first, kl, temperature) = (hyper.atom_types, hyper.Kl, hyper.temperature.l);
    let sixes = |values: Vec<f64>| values.as_chunks::<6>().0.to_vec();
    let width = |raw| (softplus(raw) + SIGMA_MIN) * temperature.sqrt();
    let widths = columns(row, first + 7 * kl, 6 * kl)?.into_iter().map(width).collect();
    Ok(LatticeMixture {
        log_weights: log_softmax(&columns(row, first, kl)?, temperature, |_| true),
        mu: sixes(columns(row, first + kl, 6 * kl)?),
        sigma: sixes(widths),
    })
}

/// Columns `first..first + count` as float64, all finite.
fn columns(row: &[f32], first: usize, count: usize) -> Result<Vec<f64>, HeadError> {
    let range = first..first + count;
    let Some(values) = row.get(range.clone()) else {
        return Err(HeadError::Width { found: row.len(), expected: range.end });
    };
    match values.iter().position(|value| !value.is_finite()) {
        Some(column) => Err(HeadError::NotFinite { column: first + column, value: values[column] }),
        None => Ok(values.iter().map(|value| f64::from(*value)).collect()),
    }
}

fn log_softmax(logits: &[f64], temperature: f64, allowed: impl Fn(usize) -> bool) -> Vec<f64> {
    let kept: Vec<f64> = logits
        .iter()
        .enumerate()
        .map(|(class, logit)| if allowed(class) { *logit / temperature } else { f64::NEG_INFINITY })
        .collect();
    let highest = kept.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = kept.iter().map(|logit| (logit - highest).exp()).sum();
    kept.into_iter().map(|logit| logit - highest - total.ln()).collect()
}

/// log(1 + e^x) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::super::golden::{golden, numbers};
    use super::super::hyper::tests::tiny;
    use super::*;

    const NEVER: f64 = f64::NEG_INFINITY;

    /// Logits log(1), log(2), ... so that probabilities are k over the sum of the allowed k.
    fn counting_row(width: usize) -> Vec<f32> {
        (1..=width).map(|k| (k as f32).ln()).collect()
    }

    fn assert_probabilities(log_probabilities: &[f64], expected: &[(usize, f64)]) {
        for (class, log_p) in log_probabilities.iter().enumerate() {
            match expected.iter().find(|(allowed, _)| *allowed == class) {
                Some((_, p)) => assert!((log_p.exp() - p).abs() < 1e-6, "class {class}: {} {p}", log_p.exp()),
                None => assert_eq!(*log_p, NEVER, "class {class}"),
            }
        }
    }

    fn group(number: i64) -> SpaceGroup {
        SpaceGroup::new(number).unwrap()
    }

    /// Pnma has the fixed points a and b, the planes c and the general position d.
    #[test]
    fn letters_do_not_descend_and_fixed_points_do_not_repeat() {
        let (hyper, row) = (tiny(), counting_row(145));
        let after = |previous| letters(&row[..28], group(62), previous, None, &hyper).unwrap();
        assert_probabilities(&after(None), &[(1, 2.0 / 14.0), (2, 3.0 / 14.0), (3, 4.0 / 14.0), (4, 5.0 / 14.0)]);
        assert_probabilities(&after(Some(1)), &[(0, 1.0 / 13.0), (2, 3.0 / 13.0), (3, 4.0 / 13.0), (4, 5.0 / 13.0)]);
        for previous in [2, 3] {
            assert_probabilities(&after(Some(previous)), &[(0, 0.1), (3, 0.4), (4, 0.5)]);
        }
        assert_probabilities(&after(Some(4)), &[(0, 1.0 / 6.0), (4, 5.0 / 6.0)]);
        assert_probabilities(&after(Some(0)), &[(0, 1.0)]);
    }

    #[test]
    fn elements_obey_letter_and_mask() {
        let (hyper, row) = (tiny(), counting_row(145));
        assert_probabilities(&atoms(&row, 0, None, &hyper).unwrap(), &[(0, 1.0)]);
        let all: f64 = (2..=119).map(f64::from).sum();
        let free: Vec<_> = (1..119).map(|a| (a, (a + 1) as f64 / all)).collect();
        assert_probabilities(&atoms(&row, 3, None, &hyper).unwrap(), &free);
        let mut mask = vec![false; 119];
        assert_eq!(atoms(&row, 3, Some(&mask), &hyper), Err(HeadError::NoElement));
        mask[0] = true;
        assert_eq!(atoms(&row, 3, Some(&mask), &hyper), Err(HeadError::NoElement));
        (mask[3], mask[8]) = (true, true);
        assert_probabilities(&atoms(&row, 3, Some(&mask), &hyper).unwrap(), &[(3, 4.0 / 13.0), (8, 9.0 / 13.0)]);
        assert_probabilities(&atoms(&row, 0, Some(&mask), &hyper).unwrap(), &[(0, 1.0)]);
    }

    #[test]
    fn mixtures_read_their_columns() {
        let hyper = Hyperparameters { Kx: 2, Kl: 2, atom_types: 3, wyck_types: 4, ..tiny() };
        let row: Vec<f32> = (0..29).map(|c| c as f32 / 10.0).collect();
        let x = coordinate(&row, &hyper).unwrap();
        assert!((x.log_weights[0] - x.log_weights[1] + 0.1).abs() < 1e-6);
        assert!((x.log_weights.iter().map(|w| w.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((x.loc[1] - 0.3).abs() < 1e-6 && (x.kappa[1] - (1.0 + 0.5f64.exp()).ln()).abs() < 1e-6);
        let l = lattice(&row, &hyper).unwrap();
        assert!((l.log_weights[1] - l.log_weights[0] - 0.1).abs() < 1e-6);
        assert!((l.mu[0][0] - 0.5).abs() < 1e-6 && (l.mu[1][5] - 1.6).abs() < 1e-6);
        assert!((l.sigma[1][0] - (1.0 + 2.3f64.exp()).ln() - 1e-3).abs() < 1e-6);
        assert_eq!((l.mu.len(), l.sigma.len()), (2, 2));
    }

    #[test]
    fn broken_rows_and_letters_are_refused() {
        let (hyper, mut row) = (tiny(), counting_row(145));
        let refused = letters(&row, group(62), Some(5), None, &hyper);
        assert_eq!(refused, Err(HeadError::Letter { letter: 5, group: 62, positions: 4 }));
        assert_eq!(coordinate(&row[..11], &hyper), Err(HeadError::Width { found: 11, expected: 12 }));
        assert_eq!(atoms(&row, 1, Some(&[true; 5]), &hyper), Err(HeadError::Mask { found: 5, expected: 119 }));
        row[3] = f32::NAN;
        let refused = letters(&row, group(62), None, None, &hyper);
        assert!(matches!(refused, Err(HeadError::NotFinite { column: 3, .. })));
        assert!(matches!(atoms(&row, 1, None, &hyper), Err(HeadError::NotFinite { column: 3, .. })));
        assert!(lattice(&row, &hyper).is_ok());
        row[130] = f32::INFINITY;
        assert!(matches!(lattice(&row, &hyper), Err(HeadError::NotFinite { column: 130, .. })));
    }

    /// Raw rows of the last layer against the rows that the reference makes of them.
    #[test]
    fn rows_are_read_as_the_reference_reads_them() {
        let hyper = tiny();
        for (file, index) in [("tiny/trace_crystal0.safetensors", 0), ("tiny/trace_crystal20.safetensors", 20)] {
            let (Some(trace), Some(batch)) = (golden(file), golden("tiny/batch.safetensors")) else { return };
            let rows = |name: &str| {
                let tensor = numbers(&trace, name);
                let width = tensor.shape()[tensor.ndim() - 1];
                let flat: Vec<f64> = tensor.into_iter().collect();
                flat.chunks(width).map(<[f64]>::to_vec).collect::<Vec<_>>()
            };
            let (raw, cooked, first) = (rows("linear_11"), rows("h"), rows("linear_1"));
            let site_letters: Vec<u8> =
                numbers(&batch, "W").index_axis(ndarray::Axis(0), index).iter().map(|w| *w as u8).collect();
            let group = group(numbers(&batch, "G")[[index]] as i64);
            let single = |row: &[f64]| row.iter().map(|x| *x as f32).collect::<Vec<f32>>();
            assert_close(&letters(&single(&first[0]), group, None, None, &hyper).unwrap(), &cooked[0]);
            for (site, letter) in site_letters.into_iter().enumerate() {
                let row = |token: usize| single(&raw[5 * site + token]);
                let target = |token: usize| &cooked[5 * site + token + 1];
                assert_close(&atoms(&row(0), letter, None, &hyper).unwrap(), target(0));
                let l = lattice(&row(0), &hyper).unwrap();
                let flat = [l.log_weights, l.mu.concat(), l.sigma.concat()].concat();
                assert_close(&flat, &target(0)[119..]);
                for token in 1..4 {
                    let x = coordinate(&row(token), &hyper).unwrap();
                    assert_close(&[x.log_weights, x.loc, x.kappa].concat(), target(token));
                }
                assert_close(&letters(&row(4), group, Some(letter), None, &hyper).unwrap(), target(4));
            }
        }
    }

    /// Minus infinity here is about -1e10 there.
    fn assert_close(ours: &[f64], reference: &[f64]) {
        for (column, (x, y)) in ours.iter().zip(reference).enumerate() {
            let both_forbidden = *x == NEVER && *y < -1e9;
            assert!(both_forbidden || (x - y).abs() < 1e-5 * (1.0 + y.abs()), "column {column}: {x} {y}");
        }
    }
}
