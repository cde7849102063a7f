//! Cells that repeat a smaller one are evaluated as that one: a centred cell costs half to a quarter.

use super::{EvaluationError, ForceModel, OnnxModel, Response};
use crate::crystal::{Repeats, Structure};

/// Distance, angstrom, within which a translation must take every atom onto another. Models read positions as float32, which are no
/// more exact in a large cell.
const IMAGES: f64 = 1e-5;

impl OnnxModel {
    /// As [`Self::evaluate`], but a potential is asked about the smallest cell: its energy, times how often that is repeated, is the
    /// crystal's up to rounding. Of other properties that is not known, so that a model which gives any sees whole cells.
    pub fn evaluate_smallest(
        &self,
        structures: &[&Structure],
        quantities: &[&str],
    ) -> Vec<Result<Vec<f64>, EvaluationError>> {
        let cells = SmallestCells::of(self, structures);
        cells.whole(self.evaluate(&cells.asked(), quantities), energies_of_whole)
    }
}

impl ForceModel {
    /// As [`OnnxModel::evaluate_smallest`], with forces and stress.
    pub fn evaluate_smallest(
        &self,
        structures: &[&Structure],
        quantities: &[&str],
    ) -> Vec<Result<(Vec<f64>, Response), EvaluationError>> {
        let cells = SmallestCells::of(self.model(), structures);
        cells.whole(self.evaluate(&cells.asked(), quantities), |(energies, response), repeats| {
            (energies_of_whole(energies, repeats), response.of_whole(repeats))
        })
    }
}

/// Some crystals, each with the smaller cell that it repeats, if it does, and how.
struct SmallestCells<'a>(Vec<(&'a Structure, Option<(Repeats, Structure)>)>);

impl<'a> SmallestCells<'a> {
    fn of(model: &OnnxModel, structures: &[&'a Structure]) -> Self {
        let is_potential = model.quantities().iter().all(|quantity| *quantity == "energy");
        let smaller = |structure: &Structure| {
            let repeats = Repeats::of(structure, IMAGES).filter(|_| is_potential)?;
            let smaller = repeats.smaller(structure);
            Some((repeats, smaller))
        };
        Self(structures.iter().map(|structure| (*structure, smaller(structure))).collect())
    }

    /// What the model is asked about, in the order of the crystals.
    fn asked(&self) -> Vec<&Structure> {
        self.0.iter().map(|(whole, smaller)| smaller.as_ref().map_or(*whole, |(_, smaller)| smaller)).collect()
    }

    /// What the model has said of that, for the whole crystals; `of_whole` makes it of what was said of a smaller cell.
    fn whole<T>(
        &self,
        rows: Vec<Result<T, EvaluationError>>,
        of_whole: impl Fn(T, &Repeats) -> T,
    ) -> Vec<Result<T, EvaluationError>> {
        let whole = |((_, smaller), row): (&(_, Option<(Repeats, _)>), Result<T, _>)| match smaller {
            None => row,
            Some((repeats, _)) => match row {
                Ok(found) => Ok(of_whole(found, repeats)),
                Err(error) => Err(EvaluationError::of_whole(error, repeats)),
            },
        };
        self.0.iter().zip(rows).map(whole).collect()
    }
}

fn energies_of_whole(energies: Vec<f64>, repeats: &Repeats) -> Vec<f64> {
    energies.into_iter().map(|energy| energy * repeats.copies() as f64).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::crystal::TEXTBOOK;
    use crate::model::testing::{runtime, volume_lot_and_root};
    use crate::model::{Executor, ModelOptions};

    fn open(path: &Path) -> OnnxModel {
        OnnxModel::open(&runtime(), &Executor::new(1).unwrap(), path, ModelOptions::default()).unwrap()
    }

    fn shipped() -> OnnxModel {
        open(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx").as_ref())
    }

    /// Sodium chloride in its conventional cell, which repeats a smaller one, and with an atom out of place.
    fn salts() -> [Structure; 2] {
        let salt = TEXTBOOK.iter().find(|entry| entry.name.contains("NaCl")).unwrap().as_published().unwrap();
        let displaced = salt.displaced(5, [0.0, 0.001, 0.0]);
        [salt, displaced]
    }

    fn atoms(model: &OnnxModel, structures: &[&Structure]) -> Vec<usize> {
        SmallestCells::of(model, structures).asked().iter().map(|cell| cell.len()).collect()
    }

    #[test]
    fn a_potential_is_asked_about_the_smallest_cell_and_says_the_same() {
        let (model, [salt, displaced]) = (shipped(), salts());
        let salts = [&salt, &displaced];
        assert_eq!(atoms(&model, &salts), [2, 8]);
        let found = model.evaluate_smallest(&salts, &["energy"]);
        for (found, whole) in found.into_iter().zip(model.evaluate(&salts, &["energy"])) {
            let (found, whole) = (found.unwrap()[0], whole.unwrap()[0]);
            assert!((found / whole - 1.0).abs() < 1e-6, "{found} {whole}");
        }
    }

    #[test]
    fn every_atom_has_the_force_on_its_image() {
        let model = ForceModel::new(&runtime(), shipped().into(), None).unwrap();
        // All chlorine moves against all sodium.
        let [mut salt, _] = salts();
        salt.frac[4..].iter_mut().for_each(|x| x[0] += 0.01);
        assert_eq!(atoms(model.model(), &[&salt]), [2]);
        let (energy, found) = model.evaluate_smallest(&[&salt], &["energy"]).remove(0).unwrap();
        let (expected, whole) = model.evaluate(&[&salt], &["energy"]).remove(0).unwrap();
        assert!((energy[0] / expected[0] - 1.0).abs() < 1e-6);
        assert!(whole.largest_force() > 0.01 && found.forces.len() == 8);
        let numbers = |response: &Response| [response.forces.as_flattened(), response.stress.as_flattened()].concat();
        for (found, whole) in numbers(&found).into_iter().zip(numbers(&whole)) {
            assert!((found - whole).abs() < 1e-5, "{found} {whole}");
        }
    }

    #[test]
    fn an_atom_that_fails_is_one_of_the_whole_cell() {
        let (model, [salt, _]) = (shipped(), salts());
        let isolated = |atom| EvaluationError::Isolated { atom, element: salt.species[4], cutoff: 6.0 };
        let found = SmallestCells::of(&model, &[&salt]).whole(vec![Err::<(), _>(isolated(2))], |(), _| ());
        assert_eq!(found[0].as_ref().unwrap_err().to_string(), isolated(5).to_string());
    }

    #[test]
    fn other_properties_are_those_of_the_whole_cell() {
        let folder = tempfile::tempdir().unwrap();
        let (model, [salt, _]) = (open(&volume_lot_and_root(folder.path())), salts());
        assert_eq!(atoms(&model, &[&salt]), [8]);
    }
}
