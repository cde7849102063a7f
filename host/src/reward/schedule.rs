//! In which order terms are evaluated, and which models are run for them: planned once for all batches.

use super::Term;
use super::relaxation::{Relaxation, RelaxationId, Relaxations};
use super::requests::{RequestId, Requests, Run};

/// The order of some terms.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    /// Filters one by one, then all other terms.
    pub stages: Vec<Stage>,
    /// What each term requests of a model.
    pub request_of: Vec<Option<RequestId>>,
    /// What relaxes the crystals for each term.
    pub relaxation_of: Vec<Option<RelaxationId>>,
    /// All different relaxations.
    pub relaxations: Vec<Relaxation>,
    /// How many different requests there are.
    pub requests: usize,
}

/// Terms that are evaluated on the same crystals.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// The term, if it is a filter: the next stages see only the crystals that pass it.
    pub filter: Option<usize>,
    /// Whether the crystals must be checked for sanity first; an earlier stage may have done it.
    pub checks_sanity: bool,
    /// Relaxations that no earlier stage has needed, before the runs.
    pub relaxations: Vec<RelaxationId>,
    /// Runs that answer what no earlier stage has requested.
    pub runs: Vec<Run>,
    /// Terms that this process evaluates, or that need the runs first.
    pub in_process: Vec<usize>,
    /// Terms that other processes evaluate meanwhile.
    pub out_of_process: Vec<usize>,
}

impl Schedule {
    pub fn new(terms: &[Term]) -> Self {
        let mut requests = Requests::default();
        let mut relaxations = Relaxations::default();
        let relaxation_of: Vec<_> = terms.iter().map(|term| Some(relaxations.id(term.kind.relaxation()?))).collect();
        let request_of = terms.iter().zip(&relaxation_of);
        let request_of: Vec<_> =
            request_of.map(|(term, relaxation)| Some(requests.id(term.kind.request()?, *relaxation))).collect();
        let mut order: Vec<usize> = (0..terms.len()).collect();
        order.sort_by_key(|&term| terms[term].kind.cost());
        let (filters, others): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|&term| terms[term].bound.is_some());
        let filters = filters.into_iter().map(|filter| (Some(filter), vec![filter]));
        let (mut checked, mut requested, mut relaxed) = (false, Vec::new(), Vec::new());
        let stage = |(filter, members): (Option<usize>, Vec<usize>)| {
            let checks_sanity = !checked && members.iter().any(|&term| terms[term].kind.cost().needs_sane());
            checked |= checks_sanity;
            let new: Vec<RequestId> =
                members.iter().filter_map(|&term| request_of[term]).filter(|id| !requested.contains(id)).collect();
            let runs = requests.runs(new.iter().copied());
            requested.extend(new);
            let mut relaxations: Vec<RelaxationId> = members.iter().filter_map(|&term| relaxation_of[term]).collect();
            relaxations.sort_unstable();
            relaxations.dedup();
            relaxations.retain(|id| !relaxed.contains(id));
            relaxed.extend(&relaxations);
            let apart = |&term: &usize| terms[term].kind.is_out_of_process() && request_of[term].is_none();
            let (out_of_process, in_process) = members.into_iter().partition(apart);
            Stage { filter, checks_sanity, relaxations, runs, in_process, out_of_process }
        };
        let stages = filters.chain([(None, others)]).map(stage).collect();
        Self { stages, requests: requests.len(), request_of, relaxation_of, relaxations: relaxations.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::testing::{runtime, volume_lot_and_root};
    use crate::model::{Executor, ModelOptions, OnnxModel};
    use crate::reward::{Builtin, OnFailure, OnnxTerm, TermKind, Uniqueness};

    #[test]
    fn filters_come_first_cheap_terms_before_expensive_ones_and_no_request_comes_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = volume_lot_and_root(folder.path());
        let executor = Executor::new(1).unwrap();
        let model = Arc::new(OnnxModel::open(&runtime(), &executor, &path, ModelOptions::default()).unwrap());
        let onnx = |quantity| Arc::new(OnnxTerm::new(Arc::clone(&model), Some(quantity)).unwrap());
        let term =
            |kind: Arc<dyn TermKind>, bound| Term { name: String::new(), kind, on_failure: OnFailure::Worst, bound };
        let terms = [
            term(onnx("volume"), None),
            term(Arc::new(Uniqueness), None),
            term(onnx("lot"), Some([0.0, 1.0])),
            term(onnx("lot"), None),
            term(Arc::new(Builtin::Density), Some([0.0, 1.0])),
            term(onnx("root"), None),
        ];
        let schedule = Schedule::new(&terms);
        assert_eq!(schedule.request_of, [Some(0), None, Some(1), Some(1), None, Some(2)]);
        assert_eq!(schedule.requests, 3);
        let runs = |stage: &Stage| stage.runs.iter().map(Run::ids).collect::<Vec<_>>();
        let stages = schedule.stages.iter().map(|s| (s.filter, s.in_process.clone(), s.checks_sanity, runs(s)));
        let expected = [
            (Some(4), vec![4], false, vec![]),
            (Some(2), vec![2], true, vec![vec![1]]),
            (None, vec![1, 0, 3, 5], false, vec![vec![0, 2]]),
        ];
        assert_eq!(stages.collect::<Vec<_>>(), expected);
    }
}
