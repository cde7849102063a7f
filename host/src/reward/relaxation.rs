//! Terms of relaxed crystals: they share a relaxation if the potential and the settings are the same.

use std::sync::Arc;

use super::{Failure, Sanity};
use crate::crystal::Structure;
use crate::model::ForceModel;
use crate::relax::{RelaxSettings, Relaxed, relax};

/// A potential, and how it relaxes crystals before a term sees them.
#[derive(Clone, Debug)]
pub struct Relaxation {
    /// The potential.
    pub potential: Arc<ForceModel>,
    /// How far.
    pub settings: RelaxSettings,
}

impl Relaxation {
    /// Whether another gives the same.
    fn is(&self, other: &Self) -> bool {
        self.potential.model().id() == other.potential.model().id() && self.settings == other.settings
    }

    /// The crystals after the steps, converged or not; those that are no longer sane have failed.
    pub(super) fn relaxed(&self, structures: &[&Structure], sanity: &Sanity) -> Vec<Result<Relaxed, Failure>> {
        let rows = relax(&*self.potential, structures, &self.settings, &|_| ()).into_iter();
        let sane = |relaxed: Relaxed| sanity.check(&relaxed.structure).map(|()| relaxed);
        rows.map(|row| row.map_err(Failure::Relaxation).and_then(sane)).collect()
    }
}

/// Place of a relaxation in the list of all different ones.
pub(super) type RelaxationId = usize;

/// The different relaxations of some terms.
#[derive(Clone, Debug, Default)]
pub(super) struct Relaxations(pub Vec<Relaxation>);

impl Relaxations {
    /// The number of a relaxation, the same for all that are equal.
    pub fn id(&mut self, relaxation: &Relaxation) -> RelaxationId {
        let known = self.0.iter().position(|known| known.is(relaxation));
        known.unwrap_or_else(|| {
            self.0.push(relaxation.clone());
            self.0.len() - 1
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::TEXTBOOK;
    use crate::model::testing::runtime;
    use crate::model::{Executor, ModelOptions, OnnxModel};
    use crate::relax::Cell;
    use crate::reward::{DisplacementTerm, OnFailure, OnnxTerm, Outcome, Rewards, Term, TermKind};

    #[test]
    fn terms_are_of_the_relaxed_crystal_and_share_its_relaxation() {
        let executor = Executor::new(2).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx");
        let open = || OnnxModel::open(&runtime(), &executor, path.as_ref(), ModelOptions::default()).unwrap();
        let model = Arc::new(open());
        let potential = Arc::new(ForceModel::new(&runtime(), Arc::clone(&model), None).unwrap());
        let settings = RelaxSettings { fmax: 0.1, steps: 8, cell: Cell::Relaxed, symmetry: None };
        let relaxation = Relaxation { potential, settings };
        let shorter = Relaxation {
            settings: RelaxSettings { steps: 1, ..settings },
            potential: Arc::clone(&relaxation.potential),
        };
        let energy = || OnnxTerm::new(Arc::clone(&model), Some("energy")).unwrap();
        let terms: [(&str, Arc<dyn TermKind>); 4] = [
            ("as_it_is", Arc::new(energy())),
            ("relaxed", Arc::new(energy().of_relaxed(Some(relaxation.clone())))),
            ("moved", Arc::new(DisplacementTerm::new(relaxation))),
            ("a_step", Arc::new(energy().of_relaxed(Some(shorter)))),
        ];
        let term = |(name, kind): (&str, Arc<dyn TermKind>)| Term {
            name: name.into(),
            kind,
            on_failure: OnFailure::Worst,
            bound: None,
        };
        let rewards = Rewards::new(terms.into_iter().map(term).collect(), Sanity::default(), executor);
        let salt = TEXTBOOK.iter().find(|entry| entry.name.contains("caesium")).unwrap().as_published().unwrap();
        let moved = salt.displaced(1, [0.2, 0.1, 0.0]);
        // Without neighbours there is nothing to relax; too close is no crystal.
        let mut lonely = salt.clone();
        lonely.lattice.0 = lonely.lattice.0.map(|v| v.map(|x| 3.0 * x));
        let touching = salt.displaced(1, [-2.0, -2.0, -2.0]);
        let rows = [Ok(moved.clone()), Ok(lonely), Ok(touching), Ok(moved.clone()), Err("no tokens".to_owned())];
        let table = rewards.score(&rows);
        let values = |row: usize| -> Vec<Option<f64>> { table.row(row).iter().map(Outcome::value).collect() };
        let [as_it_is, relaxed, displacement, a_step] = values(0)[..] else { panic!() };
        assert!(relaxed < a_step && a_step < as_it_is, "{:?}", values(0));
        assert!(displacement.unwrap() > 0.01 && values(3) == values(0));
        let end = table.relaxed(0).unwrap();
        assert!(end.lattice != moved.lattice && end.species == moved.species && table.relaxed(3) == Some(end));
        for (row, kind) in [(1, "isolated atom"), (2, "atoms too close"), (4, "no structure")] {
            assert!(table.relaxed(row).is_none());
            let is_of = |outcome: &Outcome| matches!(outcome, Outcome::Failed(failure) if failure.kind() == kind);
            assert!(table.row(row).iter().all(is_of), "{:?}", table.row(row));
        }
    }
}
