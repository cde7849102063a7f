//! The first and the last steps of a run, which say together what it has changed: a single step is a matter of chance.

use std::collections::VecDeque;
use std::path::Path;

use super::json::read_json;
use super::{RunError, StepMetrics};

/// How many steps at either end.
const STEPS: usize = 10;

/// The first and the last steps of a run.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    first: Vec<StepMetrics>,
    last: VecDeque<StepMetrics>,
    steps: usize,
}

impl Ends {
    /// Of the lines of a file of metrics.
    pub(super) fn of_lines(file: &Path, text: &[u8]) -> Result<Self, RunError> {
        let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
        let step = |index: usize| read_json(file, &format!("line {}: ", index + 1), lines[index]);
        let first = (0..lines.len().min(STEPS)).map(step).collect::<Result<_, _>>()?;
        let last = (lines.len().saturating_sub(STEPS)..lines.len()).map(step).collect::<Result<_, _>>()?;
        Ok(Self { first, last, steps: lines.len() })
    }

    pub(super) fn add(&mut self, step: &StepMetrics) {
        if self.first.len() < STEPS {
            self.first.push(step.clone());
        }
        if self.last.len() == STEPS {
            self.last.pop_front();
        }
        self.last.push_back(step.clone());
        self.steps += 1;
    }

    pub(super) fn first_step(&self) -> Option<&StepMetrics> {
        self.first.first()
    }

    /// Ten steps, or half of those of a short run; none of a run without steps.
    pub fn first(&self) -> &[StepMetrics] {
        &self.first[..self.shown()]
    }

    /// As many steps as [`Ends::first`].
    pub fn last(&self) -> impl Iterator<Item = &StepMetrics> + Clone {
        self.last.iter().skip(self.last.len() - self.shown())
    }

    fn shown(&self) -> usize {
        match self.steps {
            0 => 0,
            steps => (steps / 2).clamp(1, STEPS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::alarms::tests::metrics;
    use super::*;

    fn steps<'a>(steps: impl IntoIterator<Item = &'a StepMetrics>) -> Vec<usize> {
        steps.into_iter().map(|step| step.step).collect()
    }

    /// As it goes, and as a resumed run reads it.
    fn both(count: usize) -> [Ends; 2] {
        let mut ends = Ends::default();
        let mut text = String::new();
        for step in 1..=count {
            let step = StepMetrics { step, ..metrics() };
            ends.add(&step);
            text += &format!("{}\n", serde_json::to_string(&step).unwrap());
        }
        [ends, Ends::of_lines(Path::new("metrics.jsonl"), text.as_bytes()).unwrap()]
    }

    #[test]
    fn the_ends_of_a_run_do_not_overlap() {
        for ends in both(25) {
            assert_eq!(steps(ends.first()), (1..=10).collect::<Vec<_>>());
            assert_eq!(steps(ends.last()), (16..=25).collect::<Vec<_>>());
        }
        for ends in both(5) {
            assert_eq!((steps(ends.first()), steps(ends.last())), (vec![1, 2], vec![4, 5]));
        }
        for ends in both(1) {
            assert_eq!((steps(ends.first()), steps(ends.last())), (vec![1], vec![1]));
        }
        for ends in both(0) {
            assert!(ends.first().is_empty() && ends.last().next().is_none());
        }
    }

    #[test]
    fn a_line_that_is_no_step_is_named() {
        let text = "{\"step\":1}\n";
        let error = Ends::of_lines(Path::new("metrics.jsonl"), text.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("metrics.jsonl: line 1: "), "{error}");
    }
}
