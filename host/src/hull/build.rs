//! Builds a hull: removes duplicates, then whatever is unstable in its own chemical system.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::index::{Mask, Phase, PhaseIndex, System, mask_of};
use super::{Entry, Formulas, Hull, HullError, HullHeader};
use crate::crystal::Element;

/// Called from several threads with the number of entries examined and the number to examine.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// An entry this far above its own system's hull is still kept, eV/atom: ties stay, and so does what rounding put above.
/// Keeping too much costs time, never exactness.
const TIE: f64 = 1e-9;

/// What building made of the entries: they are all counted here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BuildReport {
    /// Entries given.
    pub given: usize,
    /// Not the lowest entry of their composition.
    pub duplicates: usize,
    /// Above the hull of their own chemical system.
    pub unstable: usize,
    /// With an element that has no elemental entry: no query can reach them.
    pub unreachable: usize,
    /// The elements that made them so.
    pub without_reference: Vec<Element>,
    /// Kept in the hull.
    pub kept: usize,
}

impl Hull {
    /// Builds a hull, in parallel over chemical systems. `progress` is called as entries are examined.
    ///
    /// Systems of fewer elements come first, so that every entry is measured against phases that are already pruned: one
    /// small linear program per entry. Entries whose elements lack an elemental entry are left out and reported.
    ///
    /// # Errors
    /// [`HullError::NoSolution`] if an entry's linear program fails numerically.
    pub fn build(
        entries: Vec<Entry>,
        header: HullHeader,
        progress: Progress<'_>,
    ) -> Result<(Self, BuildReport), HullError> {
        let mut gathered = Gathered::default();
        gathered.extend(entries, usize::MAX)?;
        gathered.build(header, progress)
    }
}

/// Entries on their way into a hull. Whenever many have come together they are pruned, so that memory is held by what may be
/// stable and not by all that was read. That is exact: what is unstable among some entries is unstable among more.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    entries: Vec<Entry>,
    given: usize,
    /// Of everything given.
    formulas: Formulas,
    /// Whether something was given whose formulas are not all known.
    incomplete: bool,
    /// Left out by earlier pruning.
    duplicates: usize,
    unstable: usize,
    /// How many entries are left when nothing can be pruned; more than twice as many are worth another try.
    floor: usize,
}

impl Gathered {
    /// Adds entries, and prunes when more than `most` have come together.
    ///
    /// # Errors
    /// As [`Hull::build`].
    pub fn extend(&mut self, entries: Vec<Entry>, most: usize) -> Result<(), HullError> {
        self.given += entries.len();
        entries.iter().for_each(|entry| self.formulas.add(entry.composition()));
        self.entries.extend(entries);
        if self.entries.len() <= most.max(2 * self.floor) {
            return Ok(());
        }
        let pruned = prune(std::mem::take(&mut self.entries), &|_, _| ())?;
        self.duplicates += pruned.duplicates;
        self.unstable += pruned.unstable;
        // An element may have its entry later.
        self.entries = pruned.index.into_entries().chain(pruned.unreachable).collect();
        self.floor = self.entries.len();
        Ok(())
    }

    /// Adds the formulas of a hull that is among the sources.
    pub fn know(&mut self, hull: &Hull) {
        self.incomplete |= hull.formulas().is_none();
        self.formulas.extend(hull.formulas().cloned());
    }

    /// Entries given so far.
    pub fn given(&self) -> usize {
        self.given
    }

    /// The hull of all entries.
    ///
    /// # Errors
    /// As [`Hull::build`].
    pub fn build(self, header: HullHeader, progress: Progress<'_>) -> Result<(Hull, BuildReport), HullError> {
        let pruned = prune(self.entries, progress)?;
        let missing = pruned.unreachable.iter().flat_map(|entry| pruned.index.without_reference(entry.composition()));
        let report = BuildReport {
            given: self.given,
            duplicates: self.duplicates + pruned.duplicates,
            unstable: self.unstable + pruned.unstable,
            unreachable: pruned.unreachable.len(),
            without_reference: missing.collect::<BTreeSet<_>>().into_iter().collect(),
            kept: pruned.index.systems().map(|(_, phases)| phases.len()).sum(),
        };
        let formulas = Some(self.formulas).filter(|_| !self.incomplete);
        Ok((Hull::from_index(pruned.index, header, report.given, formulas), report))
    }
}

/// What pruning leaves.
struct Pruned {
    /// The stable phases.
    index: PhaseIndex,
    duplicates: usize,
    unstable: usize,
    /// Entries with an element that has no elemental entry.
    unreachable: Vec<Entry>,
}

fn prune(entries: Vec<Entry>, progress: Progress<'_>) -> Result<Pruned, HullError> {
    let mut pruned =
        Pruned { index: PhaseIndex::of_elements(&entries), duplicates: 0, unstable: 0, unreachable: Vec::new() };
    let mut levels = by_number_of_elements(group(entries, &mut pruned), &mut pruned.duplicates);
    let total = levels.iter().flatten().map(|(_, phases)| phases.len()).sum();
    let done = AtomicUsize::new(0);
    for level in &mut levels {
        let stable: Vec<_> = std::mem::take(level)
            .into_par_iter()
            .map(|(system, phases)| {
                let examined = phases.len();
                let stable = stable_in(system, phases, &pruned.index)?;
                progress(done.fetch_add(examined, Ordering::Relaxed) + examined, total);
                Ok((system, examined - stable.len(), stable))
            })
            .collect::<Result<_, HullError>>()?;
        for (system, unstable, stable) in stable {
            pruned.unstable += unstable;
            if !stable.is_empty() {
                pruned.index.insert(system, stable);
            }
        }
    }
    Ok(pruned)
}

/// Entries of more than one element, by chemical system; those of one are in the index already.
fn group(entries: Vec<Entry>, pruned: &mut Pruned) -> HashMap<Mask, Vec<Phase>> {
    let mut systems: HashMap<Mask, Vec<Phase>> = HashMap::new();
    for entry in entries {
        if entry.composition().amounts().len() == 1 {
            pruned.duplicates += 1;
            continue;
        }
        match pruned.index.formation(entry.composition(), entry.energy_per_atom()) {
            Some(formation) => {
                systems.entry(mask_of(entry.composition())).or_default().push(Phase { entry, formation });
            }
            None => pruned.unreachable.push(entry),
        }
    }
    // Of each element one entry is the reference; only the others were duplicates.
    pruned.duplicates -= pruned.index.systems().count();
    systems
}

/// Systems in order of their number of elements, with duplicates removed; element i is the systems of i elements.
fn by_number_of_elements(systems: HashMap<Mask, Vec<Phase>>, duplicates: &mut usize) -> Vec<Vec<(Mask, Vec<Phase>)>> {
    let mut levels: Vec<Vec<(Mask, Vec<Phase>)>> = Vec::new();
    for (system, mut phases) in systems {
        let before = phases.len();
        keep_lowest(&mut phases);
        *duplicates += before - phases.len();
        let level = system.count_ones() as usize;
        if levels.len() <= level {
            levels.resize_with(level + 1, Vec::new);
        }
        levels[level].push((system, phases));
    }
    levels
}

/// Leaves the lowest phase of each composition; of equal ones the first. Sorts by composition.
fn keep_lowest(phases: &mut Vec<Phase>) {
    // Positive floats are ordered as their bits are.
    let fractions = |phase: &Phase| phase.entry.composition().fractions().map(|(_, x)| x.to_bits()).collect::<Vec<_>>();
    phases.sort_by(|a, b| a.formation.total_cmp(&b.formation));
    phases.sort_by_cached_key(fractions);
    phases.dedup_by(|later, earlier| fractions(later) == fractions(earlier));
}

/// The phases of a system that lie on its hull. `index` holds the stable phases of all smaller systems.
fn stable_in(system: Mask, phases: Vec<Phase>, index: &PhaseIndex) -> Result<Vec<Phase>, HullError> {
    // What lies above the elements is never stable and need not be a column.
    let candidates: Vec<Phase> = phases.into_iter().filter(|phase| phase.formation <= TIE).collect();
    if candidates.is_empty() {
        return Ok(candidates);
    }
    let columns = index.inside(system).into_iter().chain(&candidates).collect();
    let program = System::new(system, columns);
    let on_hull = candidates
        .iter()
        .map(|phase| {
            let composition = phase.entry.composition();
            let hull = program.solve(composition);
            let hull = hull.ok_or_else(|| HullError::NoSolution { formula: composition.reduced_formula() })?;
            Ok(phase.formation <= hull.cost + TIE)
        })
        .collect::<Result<Vec<bool>, HullError>>()?;
    Ok(candidates.into_iter().zip(on_hull).filter_map(|(phase, stable)| stable.then_some(phase)).collect())
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::entry;
    use super::*;

    /// All compounds of small amounts of a few elements, with energies that repeat and tie; an element comes last.
    fn many() -> Vec<Entry> {
        let mut entries = Vec::new();
        for n in 0..600usize {
            let amounts = [n % 5, n / 5 % 4, n / 20 % 3, n / 60 % 2];
            let symbols = ["Li", "Fe", "P", "O"].iter().zip(amounts).filter(|(_, amount)| *amount > 0);
            let formula: String = symbols.map(|(symbol, amount)| format!("{symbol}{amount}")).collect();
            if formula.is_empty() || formula.starts_with('O') {
                continue;
            }
            entries.push(entry(&formula, -((n * 7919 % 101) as f64) / 50.0));
        }
        entries.push(entry("NaCl", -3.0));
        entries.push(entry("O2", -0.25));
        entries
    }

    #[test]
    fn pruning_on_the_way_changes_no_hull() {
        let (whole, all) = Hull::build(many(), HullHeader::default(), &|_, _| ()).unwrap();
        assert_eq!(all.given, all.kept + all.unstable + all.duplicates + all.unreachable);
        assert!(all.kept > 4 && all.unstable > 0 && all.duplicates > 0);
        for (chunk, most) in [(1, 3), (7, 20), (50, 100), (1000, 1)] {
            let mut gathered = Gathered::default();
            for part in many().chunks(chunk) {
                gathered.extend(part.to_vec(), most).unwrap();
            }
            let (hull, report) = gathered.build(HullHeader::default(), &|_, _| ()).unwrap();
            assert_eq!(hull.entries(), whole.entries(), "{chunk} {most}");
            assert_eq!((report.given, report.kept, report.unreachable), (all.given, all.kept, 1));
            assert_eq!(report.without_reference, all.without_reference);
            assert_eq!(report.unstable + report.duplicates, all.unstable + all.duplicates);
        }
    }

    #[test]
    fn memory_is_held_by_what_may_be_stable() {
        let mut gathered = Gathered::default();
        gathered.extend(vec![entry("Li", 0.0), entry("O", 0.0), entry("Li2O", -1.0)], 10).unwrap();
        for n in 1..1000 {
            let formula = format!("Li{n}O");
            gathered.extend(vec![entry(&formula, 0.5), entry("Li2O", -0.5)], 10).unwrap();
            assert!(gathered.entries.len() <= 12, "{}", gathered.entries.len());
        }
        assert_eq!(gathered.given(), 2001);
    }
}
