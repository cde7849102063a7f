//! One crystal on its way.

use super::coordinates::Coordinates;
use super::fire::Fire;
use super::symmetry::HeldSymmetry;
use super::{Evaluation, RelaxError, displacement};
use crate::crystal::{Repeats, Structure, smallest_distance};
use crate::model::{EvaluationError, Response};

/// Atoms closer than this, angstrom, are not believed to be a crystal: potentials return energies far below any hull there.
const COLLAPSED: f64 = 0.5;
/// Distance, angstrom, within which a translation must take every atom onto another for the crystal to be relaxed as the smaller cell
/// that it repeats: nothing that forces would notice. The forces on images are the same, so that the path is that of the whole cell
/// but for rounding, which alone could take images apart: a crystal on a saddle stays there until it is disturbed.
const IMAGES: f64 = 1e-4;
/// A volume that has changed by more than this factor goes on without end.
const LARGEST_VOLUME_CHANGE: f64 = 10.0;

/// How crystals are relaxed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RelaxSettings {
    /// A crystal has converged when every force (eV/A) and, where the cell moves, every row of the stress times the volume per atom
    /// (eV) is shorter than this. ASE's optimisers test the generalised forces of the filter instead: these, deformed as the cell
    /// has been since the start.
    pub fmax: f64,
    /// Most steps of a crystal. It is evaluated once more.
    pub steps: usize,
    /// Whether the cell moves.
    pub cell: Cell,
    /// Holds the symmetry that a search with this tolerance (angstrom) finds at the start.
    pub symmetry: Option<f64>,
}

/// What the cell does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It relaxes with the atoms.
    Relaxed,
    /// It stays as it is.
    Fixed,
}

/// A crystal after its relaxation.
#[derive(Clone, Debug, PartialEq)]
pub struct Relaxed {
    /// The same atoms in the same order; coordinates are not wrapped.
    pub structure: Structure,
    /// Whether the forces, and the stress where the cell moves, became small enough within the steps.
    pub converged: bool,
    /// Steps done.
    pub steps: usize,
    /// eV per cell.
    pub energy: f64,
    /// eV per cell, at the start.
    pub start_energy: f64,
    /// Forces and stress at the end.
    pub response: Response,
    /// Volume over that at the start.
    pub volume_ratio: f64,
    /// How far the atoms have moved: see [`displacement`]. Angstrom.
    pub displacement: f64,
}

/// A crystal on its way.
pub(super) struct Walk {
    start: Structure,
    coordinates: Coordinates,
    /// The crystal at the coordinates.
    now: Structure,
    /// Of a crystal that repeats a smaller cell: how, and that cell as it is now.
    repeats: Option<(Repeats, Structure)>,
    fire: Fire,
    symmetry: Option<HeldSymmetry>,
    steps: usize,
    start_energy: f64,
}

impl Walk {
    pub fn new(structure: &Structure, settings: &RelaxSettings) -> Result<Self, RelaxError> {
        let (start, symmetry) = match settings.symmetry {
            None => (structure.clone(), None),
            Some(symprec) => HeldSymmetry::of(structure, symprec).map(|(start, held)| (start, Some(held)))?,
        };
        let repeats = Repeats::of(&start, IMAGES).map(|repeats| {
            let smaller = repeats.smaller(&start);
            (repeats, smaller)
        });
        let (coordinates, now) = (Coordinates::of(&start), start.clone());
        let walk =
            Self { start, coordinates, now, repeats, fire: Fire::new(), symmetry, steps: 0, start_energy: f64::NAN };
        walk.check().map(|()| walk)
    }

    /// What the potential is asked about: the crystal as it is now, or the smaller cell that it repeats.
    pub fn asked(&self) -> &Structure {
        self.repeats.as_ref().map_or(&self.now, |(_, smaller)| smaller)
    }

    /// Takes what the potential says of that, and moves on; or ends, and says how.
    pub fn advance(
        &mut self,
        evaluated: Result<Evaluation, EvaluationError>,
        settings: &RelaxSettings,
    ) -> Option<Result<Relaxed, RelaxError>> {
        let evaluated = match &self.repeats {
            Some((repeats, _)) => match evaluated {
                Ok(smaller) => Ok(smaller.of_whole(repeats)),
                Err(error) => Err(error.of_whole(repeats)),
            },
            None => evaluated,
        };
        let evaluation = match evaluated {
            Ok(evaluation) => evaluation,
            Err(source) => return Some(Err(RelaxError::Potential { step: self.steps, source })),
        };
        if self.steps == 0 {
            self.start_energy = evaluation.energy;
        }
        let converged = self.is_at_rest(&evaluation.response, settings);
        if converged || self.steps >= settings.steps {
            return Some(Ok(self.end(evaluation, converged)));
        }
        let step = self.fire.step(&self.forces(&evaluation.response, settings.cell).flat());
        self.coordinates.advance(&step);
        self.now = self.coordinates.structure(&self.start);
        if let Some((repeats, smaller)) = &mut self.repeats {
            *smaller = repeats.smaller(&self.now);
        }
        self.steps += 1;
        self.check().err().map(Err)
    }

    fn is_at_rest(&self, response: &Response, settings: &RelaxSettings) -> bool {
        let volume = self.now.lattice.volume() / self.now.len() as f64;
        let small = |row: &[f64; 3]| volume * row.iter().map(|x| x * x).sum::<f64>().sqrt() < settings.fmax;
        response.largest_force() < settings.fmax && (settings.cell == Cell::Fixed || response.stress.iter().all(small))
    }

    /// The forces that move the coordinates.
    fn forces(&self, response: &Response, cell: Cell) -> Coordinates {
        let mut forces = self.coordinates.forces(response, self.now.lattice.volume());
        if cell == Cell::Fixed {
            forces.cell.fill(0.0);
        }
        match &self.symmetry {
            Some(symmetry) => symmetry.project(&forces),
            None => forces,
        }
    }

    /// Whether the crystal still is one.
    fn check(&self) -> Result<(), RelaxError> {
        let (step, start, volume) = (self.steps, self.start.lattice.volume(), self.now.lattice.volume());
        if !(start / LARGEST_VOLUME_CHANGE..=start * LARGEST_VOLUME_CHANGE).contains(&volume) {
            return Err(RelaxError::Volume { step, start, volume });
        }
        if !self.now.frac.iter().flatten().all(|x| x.is_finite()) {
            return Err(RelaxError::NotFinite { step });
        }
        let distance = smallest_distance(self.asked());
        if distance < COLLAPSED {
            return Err(RelaxError::Collapsed { step, distance, bound: COLLAPSED });
        }
        Ok(())
    }

    fn end(&self, Evaluation { energy, response }: Evaluation, converged: bool) -> Relaxed {
        Relaxed {
            structure: self.now.clone(),
            converged,
            steps: self.steps,
            energy,
            start_energy: self.start_energy,
            response,
            volume_ratio: self.now.lattice.volume() / self.start.lattice.volume(),
            displacement: displacement(&self.start, &self.now),
        }
    }
}
