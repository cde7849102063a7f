//! The batch of a step: crystals, what they are worth, and which of them are learned from.

use super::super::Sample;
use super::super::statistics::first_reasons;
use crate::crystal::{Structure, Tokens};
use crate::reward::{ReductionError, RewardTable};

/// Crystals and what they are worth.
pub(super) struct Batch {
    pub samples: Vec<Sample>,
    /// Rows with tokens and an objective.
    pub trainable: Vec<usize>,
    pub table: RewardTable,
    pub monitor: Option<RewardTable>,
    /// Rows that failed.
    pub failed: usize,
    /// Rows without a finite log p.
    pub not_finite: usize,
    /// Why it must not be learned from, if so.
    pub refused: Option<ReductionError>,
}

impl Batch {
    /// The crystals to train on.
    pub fn crystals(&self) -> Vec<&Tokens> {
        self.trainable.iter().filter_map(|row| self.samples[*row].tokens.as_ref()).collect()
    }

    /// Where all rows were lost, and the first reasons.
    pub fn nothing_left(&self) -> String {
        if let Some(refused) = &self.refused {
            return refused.to_string();
        }
        let reasons = first_reasons(&self.samples, &self.table);
        let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
        format!("no crystal of the batch has an objective: {}{reasons}", self.table.funnel_text())
    }

    /// The crystals on which every term succeeded.
    pub fn whole(&self) -> Vec<&Structure> {
        let rows = self.samples.iter().enumerate().filter(|(row, _)| self.table.complete(*row));
        rows.filter_map(|(_, sample)| sample.structure.as_ref().ok()).collect()
    }

    /// The objectives of the crystals to train on.
    pub fn rewards(&self) -> Vec<f64> {
        self.trainable.iter().filter_map(|row| self.samples[*row].objective).collect()
    }
}

/// Why nothing was learned where no optimiser step was taken.
pub(super) fn all_skipped(steps: usize, mean: f64) -> String {
    format!(
        "none of the {steps} optimiser steps was taken, because the gradient is not finite; the mean objective is {mean:e}"
    )
}
