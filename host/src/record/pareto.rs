//! The Pareto front of a run: the crystals that no other crystal of the run matches or beats in all chosen terms.
//!
//! The config limits its size. Beyond that, the most crowded crystal is removed, repeatedly: the one whose neighbours
//! on the front are nearest, by the crowding distance of NSGA-II (Deb et al., IEEE Trans. Evol. Comput. 6, 182 (2002)).
//! The best crystal of each term always stays. Of equally crowded crystals, the later one is removed.

use std::path::Path;

use super::RunError;
use super::candidate::{Candidate, write_candidates};

/// A term that the front is drawn over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParetoAxis {
    /// The term's name.
    pub term: String,
    /// Whether more is better; else less is.
    pub maximise: bool,
}

/// The front so far.
#[derive(Debug)]
pub struct ParetoFront {
    axes: Vec<ParetoAxis>,
    size: usize,
    /// In the order in which they came.
    members: Vec<Candidate>,
}

impl ParetoFront {
    /// An empty front over `axes` of at most `size` crystals.
    pub fn new(axes: Vec<ParetoAxis>, size: usize) -> Self {
        Self { axes, size, members: Vec::new() }
    }

    /// Crystals on the front.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no crystal is on it yet.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn add(&mut self, scored: &[Candidate]) {
        for candidate in scored {
            let Some(new) = self.position(candidate) else { continue };
            let positions: Vec<Vec<f64>> = self.members.iter().filter_map(|m| self.position(m)).collect();
            if positions.iter().any(|old| no_worse(old, &new)) {
                continue;
            }
            let mut beaten = positions.iter().map(|old| no_worse(&new, old));
            self.members.retain(|_| beaten.next() != Some(true));
            self.members.push(candidate.clone());
        }
        while self.members.len() > self.size {
            self.members.remove(self.most_crowded());
        }
    }

    /// Values on the axes, turned so that more is better.
    fn position(&self, candidate: &Candidate) -> Option<Vec<f64>> {
        let value = |axis: &ParetoAxis| candidate.term(&axis.term).map(|x| if axis.maximise { x } else { -x });
        self.axes.iter().map(value).collect()
    }

    fn most_crowded(&self) -> usize {
        let positions: Vec<Vec<f64>> = self.members.iter().filter_map(|m| self.position(m)).collect();
        let distances = crowding_distances(&positions);
        let later_of_nearer = |a: &usize, b: &usize| distances[*a].total_cmp(&distances[*b]).then(b.cmp(a));
        (0..distances.len()).min_by(later_of_nearer).unwrap_or(0)
    }

    /// Writes `pareto.csv` and `pareto.extxyz`, best in the first term first.
    pub(super) fn write(&self, folder: &Path) -> Result<(), RunError> {
        let mut sorted = self.members.clone();
        sorted.sort_by(|a, b| match (self.position(a), self.position(b)) {
            (Some(a), Some(b)) => b[0].total_cmp(&a[0]),
            _ => std::cmp::Ordering::Equal,
        });
        write_candidates(folder, "pareto", sorted.iter())
    }

    pub(super) fn members(&self) -> &[Candidate] {
        &self.members
    }

    /// Goes on from the members of a front over the same terms; otherwise says which member lacks one.
    pub(super) fn restore(&mut self, members: Vec<Candidate>) -> Result<(), String> {
        match members.iter().position(|member| self.position(member).is_none()) {
            Some(index) => Err(format!("`state.pareto[{index}]` lacks a term that the front is drawn over")),
            None => {
                self.members = members;
                Ok(())
            }
        }
    }
}

/// Whether `a` is at least as good as `b` on every axis.
fn no_worse(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a >= b)
}

/// For each point the sum over the axes of the distance between its two neighbours there, as a share of the axis; infinite
/// for the ends of an axis.
fn crowding_distances(positions: &[Vec<f64>]) -> Vec<f64> {
    let mut distances = vec![0.0; positions.len()];
    for axis in 0..positions.first().map_or(0, Vec::len) {
        let mut order: Vec<usize> = (0..positions.len()).collect();
        order.sort_by(|a, b| positions[*a][axis].total_cmp(&positions[*b][axis]));
        let (first, last) = (order[0], order[order.len() - 1]);
        let width = (positions[last][axis] - positions[first][axis]).max(f64::MIN_POSITIVE);
        for three in order.windows(3) {
            distances[three[1]] += (positions[three[2]][axis] - positions[three[0]][axis]) / width;
        }
        distances[first] = f64::INFINITY;
        distances[last] = f64::INFINITY;
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::super::candidate::tests::{candidate, id};
    use super::*;
    use proptest::prelude::*;

    fn front(size: usize) -> ParetoFront {
        let axis = |term: &str, maximise| ParetoAxis { term: term.into(), maximise };
        ParetoFront::new(vec![axis("gap", true), axis("e_hull", false)], size)
    }

    fn of(points: &[(f64, f64)]) -> Vec<Candidate> {
        let one = |(i, (gap, e_hull)): (usize, &(f64, f64))| {
            candidate(&i.to_string(), &[("e_hull", *e_hull), ("gap", *gap), ("density", 1.0)])
        };
        points.iter().enumerate().map(one).collect()
    }

    fn ids(front: &ParetoFront) -> Vec<&str> {
        front.members.iter().map(id).collect()
    }

    #[test]
    fn beaten_crystals_leave_and_equal_ones_do_not_enter() {
        let mut front = front(10);
        front.add(&of(&[(1.0, 0.1), (2.0, 0.3), (0.5, 0.1), (2.0, 0.3), (0.0, 0.0)]));
        assert_eq!(ids(&front), ["0", "1", "4"]);
        front.add(&of(&[(1.5, 0.1)]));
        assert_eq!(front.len(), 3, "it beats the first");
        assert_eq!(ids(&front), ["1", "4", "0"]);
        let mut again = self::front(10);
        let stored = serde_json::to_string(front.members()).unwrap();
        again.restore(serde_json::from_str(&stored).unwrap()).unwrap();
        assert_eq!(serde_json::to_string(again.members()).unwrap(), stored);
        let refused = again.restore(vec![candidate("x", &[("gap", 1.0)])]).unwrap_err();
        assert_eq!(refused, "`state.pareto[0]` lacks a term that the front is drawn over");
    }

    #[test]
    fn beyond_its_size_the_most_crowded_leaves() {
        let mut front = front(4);
        front.add(&of(&[(0.0, 0.0), (1.0, 0.1), (1.1, 0.11), (2.0, 0.2), (4.0, 0.4)]));
        assert_eq!(ids(&front), ["0", "1", "3", "4"]);
    }

    proptest! {
        /// Against the definition: on the front is whatever no point dominates, and the best of each axis stay.
        #[test]
        fn the_front_is_what_nothing_dominates(
            points in proptest::collection::vec((0..8u8, 0..8u8), 1..40),
            size in 4..12usize,
            cut in 0..40usize,
        ) {
            let points: Vec<(f64, f64)> = points.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).collect();
            let all = of(&points);
            let (early, late) = all.split_at(cut.min(all.len()));
            let dominated = |(gap, e): (f64, f64)| points.iter().any(|(g, h)| *g >= gap && *h <= e && (*g > gap || *h < e));
            let mut expected: Vec<(f64, f64)> = points.iter().copied().filter(|p| !dominated(*p)).collect();
            expected.sort_by(|a, b| a.0.total_cmp(&b.0));
            expected.dedup();
            let at = |front: &ParetoFront| {
                let mut at: Vec<_> =
                    front.members.iter().map(|m| (m.term("gap").unwrap(), m.term("e_hull").unwrap())).collect();
                at.sort_by(|a, b| a.0.total_cmp(&b.0));
                at
            };
            let mut whole = front(100);
            whole.add(early);
            whole.add(late);
            prop_assert_eq!(at(&whole), expected.clone());
            let mut small = front(size);
            small.add(early);
            small.add(late);
            let kept = at(&small);
            prop_assert!(kept.len() <= size && (expected.len() > size || kept.len() <= expected.len()));
            prop_assert_eq!(kept.first(), expected.first());
            prop_assert_eq!(kept.last(), expected.last());
            prop_assert!(kept.iter().all(|p| expected.contains(p)));
        }
    }
}
