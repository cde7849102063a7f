//! Phases found by chemical system.

use std::collections::HashMap;

use super::Entry;
use super::simplex::{Mixture, Part, Program};
use crate::crystal::{Composition, Element};

/// A set of elements: bit Z is element Z.
pub(super) type Mask = u128;

/// A phase with its formation energy against the index's elements, eV/atom.
#[derive(Clone, Debug)]
pub(super) struct Phase {
    pub entry: Entry,
    pub formation: f64,
}

/// Phases by chemical system, with the elements' own energies.
#[derive(Clone, Debug, Default)]
pub(super) struct PhaseIndex {
    systems: HashMap<Mask, Vec<Phase>>,
}

pub(super) fn mask_of(composition: &Composition) -> Mask {
    composition.elements().fold(0, |mask, element| mask | bit(element))
}

fn bit(element: Element) -> Mask {
    1 << element.number()
}

impl PhaseIndex {
    /// An index of elemental phases only, the lowest of each element.
    pub fn of_elements<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut index = Self::default();
        for entry in entries.into_iter().filter(|e| e.composition().amounts().len() == 1) {
            let phases = index.systems.entry(mask_of(entry.composition())).or_default();
            if phases.first().is_none_or(|lowest| entry.energy_per_atom() < lowest.entry.energy_per_atom()) {
                *phases = vec![Phase { entry: entry.clone(), formation: 0.0 }];
            }
        }
        index
    }

    /// Sets the phases of a system.
    pub fn insert(&mut self, system: Mask, phases: Vec<Phase>) {
        self.systems.insert(system, phases);
    }

    /// The systems and their phases, in no order.
    pub fn systems(&self) -> impl Iterator<Item = (&Mask, &Vec<Phase>)> {
        self.systems.iter()
    }

    /// All entries, in no order.
    pub fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.systems.into_values().flatten().map(|phase| phase.entry)
    }

    /// The elemental phase of an element.
    pub fn reference(&self, element: Element) -> Option<&Phase> {
        self.systems.get(&bit(element))?.first()
    }

    /// Elements of a composition that have no elemental phase.
    pub fn without_reference(&self, composition: &Composition) -> Vec<Element> {
        composition.elements().filter(|element| self.reference(*element).is_none()).collect()
    }

    /// Formation energy, eV/atom, of a composition at an energy per atom. `None` where an element has no reference.
    pub fn formation(&self, composition: &Composition, energy_per_atom: f64) -> Option<f64> {
        let mut elements = 0.0;
        for (element, fraction) in composition.fractions() {
            elements += fraction * self.reference(element)?.entry.energy_per_atom();
        }
        Some(energy_per_atom - elements)
    }

    /// The phases of more than one element that lie inside a system.
    pub fn inside(&self, system: Mask) -> Vec<&Phase> {
        let mut phases = Vec::new();
        let elements = system.count_ones();
        // Whichever is fewer: the subsets of the system, or all systems.
        if elements < 30 && (1usize << elements) <= self.systems.len() {
            let mut subset = system;
            while subset != 0 {
                if subset.count_ones() > 1 {
                    phases.extend(self.systems.get(&subset).into_iter().flatten());
                }
                subset = (subset - 1) & system;
            }
        } else {
            let mut within: Vec<_> =
                self.systems.iter().filter(|(mask, _)| *mask & !system == 0 && mask.count_ones() > 1).collect();
            within.sort_unstable_by_key(|(mask, _)| std::cmp::Reverse(**mask));
            phases.extend(within.into_iter().flat_map(|(_, phases)| phases));
        }
        phases
    }
}

/// The linear program of a system, with the phases of its columns.
pub(super) struct System<'a> {
    phases: Vec<&'a Phase>,
    program: Program,
}

impl<'a> System<'a> {
    /// Takes phases that contain no element outside the system.
    pub fn new(system: Mask, phases: Vec<&'a Phase>) -> Self {
        let rows = system.count_ones() as usize;
        let mut program = Program { rows, columns: vec![0.0; rows * phases.len()], costs: Vec::new() };
        for (phase, column) in phases.iter().zip(program.columns.chunks_mut(rows.max(1))) {
            program.costs.push(phase.formation);
            for (element, fraction) in phase.entry.composition().fractions() {
                // The row of an element is the number of the system's elements before it.
                let row = (system & (bit(element) - 1)).count_ones() as usize;
                column[row] = fraction;
            }
        }
        Self { phases, program }
    }

    /// The cheapest mixture at a composition with exactly the system's elements.
    pub fn solve(&self, composition: &Composition) -> Option<Mixture> {
        let fractions: Vec<f64> = composition.fractions().map(|(_, fraction)| fraction).collect();
        self.program.solve(&fractions)
    }

    /// What a part of a solution is made of.
    pub fn formula(&self, part: Part, composition: &Composition) -> String {
        match part {
            Part::Phase(phase) => self.phases[phase].entry.composition().reduced_formula(),
            Part::Element(row) => {
                let element = composition.amounts().get(row..=row).unwrap_or_default();
                Composition::new(element.iter().copied()).map_or_else(|_| String::new(), |c| c.reduced_formula())
            }
        }
    }
}
