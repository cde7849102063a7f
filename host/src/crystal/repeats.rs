//! Cells that repeat a smaller one, as the conventional cells of centred lattices do.

use nalgebra::{Matrix3, Vector3};

use super::{Lattice, Structure};

/// Larger cells are taken as they are, since the search compares all atoms.
const MOST_ATOMS: usize = 500;

/// How a cell repeats a smaller one.
#[derive(Clone, Debug)]
pub struct Repeats {
    /// Vectors of the smaller cell as combinations (rows) of the cell's.
    vectors: Matrix3<f64>,
    /// The inverse.
    coordinates: Matrix3<f64>,
    /// One atom of the cell for each atom of the smaller one.
    kept: Vec<usize>,
    /// The atom of the smaller cell that each atom is an image of.
    image_of: Vec<usize>,
}

impl Repeats {
    /// By translations that take every atom within `tolerance` (angstrom) of another of its element. `None` where the cell is the
    /// smallest one, as far as can be seen.
    pub fn of(structure: &Structure, tolerance: f64) -> Option<Self> {
        if structure.len() > MOST_ATOMS {
            return None;
        }
        let translations = translations(structure, tolerance);
        let size = translations.len() + 1;
        if size == 1 {
            return None;
        }
        let (mut kept, mut image_of) = (Vec::new(), vec![usize::MAX; structure.len()]);
        for atom in 0..structure.len() {
            if image_of[atom] == usize::MAX {
                translations.iter().for_each(|(_, onto)| image_of[onto[atom]] = kept.len());
                image_of[atom] = kept.len();
                kept.push(atom);
            }
        }
        let vectors = basis(&translations.iter().map(|(t, _)| *t).collect::<Vec<_>>(), size)?;
        let whole = kept.len() * size == structure.len();
        whole.then_some(Self { vectors, coordinates: vectors.try_inverse()?, kept, image_of })
    }

    /// The smaller cell of a crystal that repeats it in this way.
    pub fn smaller(&self, structure: &Structure) -> Structure {
        let frac = |atom: &usize| self.coordinates.tr_mul(&Vector3::from(structure.frac[*atom])).into();
        let vectors = self.vectors * Matrix3::from_fn(|i, j| structure.lattice.0[i][j]);
        Structure {
            lattice: Lattice(std::array::from_fn(|i| std::array::from_fn(|j| vectors[(i, j)]))),
            species: self.kept.iter().map(|atom| structure.species[*atom]).collect(),
            frac: self.kept.iter().map(frac).collect(),
        }
    }

    /// How many of the smaller cell the whole one is.
    pub fn copies(&self) -> usize {
        self.image_of.len() / self.kept.len()
    }

    /// The atom of the whole cell for an atom of the smaller one.
    pub fn whole_atom(&self, atom: usize) -> usize {
        self.kept[atom]
    }

    /// What the atoms of the smaller cell have, for all atoms of the whole one.
    pub fn of_all_atoms<T: Copy>(&self, smaller: &[T]) -> Vec<T> {
        self.image_of.iter().map(|atom| smaller[*atom]).collect()
    }
}

/// The translations within the cell that take every atom onto another of its element, and onto which.
fn translations(structure: &Structure, tolerance: f64) -> Vec<([f64; 3], Vec<usize>)> {
    let Structure { lattice, species, frac } = structure;
    let count = |atom: usize| species.iter().filter(|element| **element == species[atom]).count();
    let Some(first) = (0..frac.len()).min_by_key(|atom| count(*atom)) else { return Vec::new() };
    let is_at = |x: [f64; 3], y: [f64; 3]| {
        let step = std::array::from_fn(|k| x[k] - y[k] - (x[k] - y[k]).round());
        lattice.cartesian(step).iter().map(|d| d * d).sum::<f64>() < tolerance * tolerance
    };
    let onto = |atom: usize, by: [f64; 3]| {
        let moved = std::array::from_fn(|k| frac[atom][k] + by[k]);
        (0..frac.len()).find(|other| species[*other] == species[atom] && is_at(frac[*other], moved))
    };
    let alike = (0..frac.len()).filter(|atom| *atom != first && species[*atom] == species[first]);
    let translation = |atom: usize| {
        let by = std::array::from_fn(|k| frac[atom][k] - frac[first][k]);
        Some((by, (0..frac.len()).map(|atom| onto(atom, by)).collect::<Option<Vec<_>>>()?))
    };
    alike.filter_map(translation).collect()
}

/// A basis (rows) of the lattice that these translations and whole numbers generate, `size` times as dense as that of whole numbers:
/// Euclid's algorithm on columns of integers.
fn basis(translations: &[[f64; 3]], size: usize) -> Option<Matrix3<f64>> {
    let scale = size as i64;
    let unit = (0..3).map(|i| std::array::from_fn(|k| if i == k { scale } else { 0 }));
    let whole = translations.iter().map(|t| t.map(|x| (x * size as f64).round() as i64));
    let mut rows: Vec<[i64; 3]> = whole.chain(unit).collect();
    for column in 0..3 {
        while let Some(pivot) = smallest(&rows, column) {
            rows.swap(column, pivot);
            let by = rows[column];
            let others = rows.iter_mut().skip(column + 1).filter(|row| row[column] != 0);
            let mut reduced = false;
            for row in others {
                let times = row[column] / by[column];
                (0..3).for_each(|k| row[k] -= times * by[k]);
                reduced = true;
            }
            if !reduced {
                break;
            }
        }
    }
    let found = Matrix3::from_fn(|i, k| rows[i][k] as f64 / size as f64);
    ((found.determinant().abs() * size as f64 - 1.0).abs() < 1e-9).then_some(found)
}

/// The row, of those not settled yet, with the smallest entry but zero in a column.
fn smallest(rows: &[[i64; 3]], column: usize) -> Option<usize> {
    let open = (column..rows.len()).filter(|row| rows[*row][column] != 0);
    open.min_by_key(|row| rows[*row][column].abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::TEXTBOOK;

    const TOLERANCE: f64 = 1e-4;

    /// `n` copies of the cell along each vector of it.
    fn supercell(structure: &Structure, n: [usize; 3]) -> Structure {
        let mut cell = structure.clone();
        (cell.species, cell.frac) = (Vec::new(), Vec::new());
        for (i, row) in cell.lattice.0.iter_mut().enumerate() {
            row.iter_mut().for_each(|x| *x *= n[i] as f64);
        }
        for copy in 0..n.iter().product() {
            let at = [copy % n[0], copy / n[0] % n[1], copy / n[0] / n[1]];
            for (element, x) in structure.species.iter().zip(&structure.frac) {
                cell.species.push(*element);
                cell.frac.push(std::array::from_fn(|k| (x[k] + at[k] as f64) / n[k] as f64));
            }
        }
        cell
    }

    #[test]
    fn centred_cells_and_supercells_are_taken_apart_and_put_together() {
        let salt = TEXTBOOK.iter().find(|entry| entry.name.contains("NaCl")).unwrap().as_published().unwrap();
        let made_up = TEXTBOOK.last().unwrap().as_published().unwrap();
        let cases = [(salt.clone(), 4), (supercell(&salt, [1, 2, 1]), 8), (supercell(&made_up, [3, 2, 1]), 6)];
        for (structure, size) in cases {
            let repeats = Repeats::of(&structure, TOLERANCE).unwrap();
            let smaller = repeats.smaller(&structure);
            assert_eq!(smaller.len() * size, structure.len());
            assert!((smaller.lattice.volume() * size as f64 / structure.lattice.volume() - 1.0).abs() < 1e-9);
            assert!(Repeats::of(&smaller, TOLERANCE).is_none());
            // Every atom of the whole is an image of its own atom.
            for (atom, image) in repeats.image_of.iter().enumerate() {
                let step = smaller.lattice.fractional(structure.lattice.cartesian(structure.frac[atom]));
                let off = std::array::from_fn(|k| {
                    step[k] - smaller.frac[*image][k] - (step[k] - smaller.frac[*image][k]).round()
                });
                assert!(smaller.lattice.cartesian(off).iter().all(|d| d.abs() < 1e-6), "atom {atom}: {off:?}");
            }
        }
        assert!(Repeats::of(&made_up, TOLERANCE).is_none());
        let displaced = salt.displaced(3, [0.001, 0.0, 0.0]);
        assert!(Repeats::of(&displaced, TOLERANCE).is_none());
        assert!(Repeats::of(&displaced, 0.01).is_some());
    }
}
