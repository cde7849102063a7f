//! `metrics.jsonl`: one line per step. Everything that depends on the clock is under the key `time`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reward::RewardTable;
use crate::train::{Epoch, Measured, Spread, StageTimes, StepRecord};

/// A step of a fine-tuning: see [`StepRecord`] for definitions and units.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepMetrics {
    /// From 1.
    pub step: usize,
    /// Mean objective.
    #[serde(deserialize_with = "Option::deserialize")]
    pub objective_mean: Option<f64>,
    /// Its standard deviation.
    #[serde(deserialize_with = "Option::deserialize")]
    pub objective_std: Option<f64>,
    /// Baseline that was subtracted.
    #[serde(deserialize_with = "Option::deserialize")]
    pub baseline: Option<f64>,
    /// KL to the base, nats.
    #[serde(deserialize_with = "Option::deserialize")]
    pub kl: Option<f64>,
    /// Weight of the KL term, where it is led towards a KL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kl_weight: Option<f64>,
    /// Entropy, nats.
    #[serde(deserialize_with = "Option::deserialize")]
    pub entropy: Option<f64>,
    /// KL of the elements' frequencies to the base's, nats, if they are watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composition_kl: Option<f64>,
    /// Crystals that were learned from again, if such are remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<usize>,
    /// Share of stable crystals; `None` without a hull term.
    #[serde(deserialize_with = "Option::deserialize")]
    pub stable_fraction: Option<f64>,
    /// Share of distinct formulas.
    pub unique_formulas: f64,
    /// Distinct space groups of the rows on which everything succeeded; runs of earlier versions lack this and the next two.
    #[serde(default)]
    pub space_groups: Option<usize>,
    /// The element that is in the most crystals.
    #[serde(default)]
    pub top_element: Option<String>,
    /// Its share of them.
    #[serde(default)]
    pub top_element_share: Option<f64>,
    /// Share of failed rows.
    pub failed_fraction: f64,
    /// Rows that came through each stage of the scoring. A list, because a filter may be called what a stage is called.
    pub funnel: Vec<FunnelStage>,
    /// Share of clipped ratios.
    pub clip_fraction: f64,
    /// Gradient norms before clipping.
    pub grad_norms: Vec<f64>,
    /// Optimiser steps that were skipped.
    pub skipped: usize,
    /// Rows that left the batch without a finite log p.
    #[serde(default)]
    pub not_finite: usize,
    /// Steps in a row from which nothing was learned.
    #[serde(default)]
    pub idle_steps: usize,
    /// Statistics of every reward term, in the config's order.
    pub terms: Map<String, Value>,
    /// The same of the monitor, at its steps.
    pub judge: Option<Map<String, Value>>,
    /// Mean of the judge's value less that of the term that it judges, in the term's unit.
    #[serde(default)]
    pub judge_gap: Option<f64>,
    /// Standard deviation of that over the crystals.
    #[serde(default)]
    pub judge_gap_spread: Option<f64>,
    /// Smallest distances of the crystals on which everything succeeded, angstrom.
    #[serde(default)]
    pub distance: Option<Spread>,
    /// Their densities, g/cm^3.
    #[serde(default)]
    pub density: Option<Spread>,
    /// Learning rate.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Seconds per stage.
    pub time: StageTimes,
}

/// Rows that came through a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunnelStage {
    /// `sampled`, `decoded`, a filter's name, `sane` or `scored`.
    pub stage: String,
    /// Rows that are left.
    pub rows: usize,
}

/// A term over a batch.
#[derive(Serialize)]
struct TermMetrics<'a> {
    mean: Option<f64>,
    spread: Option<f64>,
    values: usize,
    abstained: usize,
    failures: &'a BTreeMap<&'static str, usize>,
}

/// An epoch of a training on examples: see [`Epoch`] for definitions and units.
#[derive(Serialize)]
pub(super) struct EpochMetrics {
    epoch: usize,
    #[serde(flatten)]
    measured: MeasuredMetrics,
    learning_rate: f64,
    grad_norm: f64,
    skipped: usize,
    best: bool,
    time: EpochTime,
}

#[derive(Serialize)]
#[serde(untagged)]
enum MeasuredMetrics {
    Likelihood {
        train_nll: f64,
        valid_nll: f64,
        valid_nll_w: f64,
        valid_nll_xyz: f64,
        valid_nll_a: f64,
        valid_nll_l: f64,
    },
    Preferences {
        train_loss: f64,
        train_accuracy: f64,
        train_margin: f64,
        train_chosen: f64,
        train_rejected: f64,
        valid_loss: f64,
        valid_accuracy: f64,
        valid_margin: f64,
        valid_chosen: f64,
        valid_rejected: f64,
        kl: f64,
        kl_error: f64,
    },
}

#[derive(Serialize)]
struct EpochTime {
    seconds: f64,
}

impl StepMetrics {
    pub(super) fn new(record: &StepRecord) -> Self {
        let stage = |stage: &crate::reward::Stage| FunnelStage { stage: stage.name.clone(), rows: stage.rows };
        Self {
            step: record.step,
            objective_mean: record.objective_mean,
            objective_std: record.objective_std,
            baseline: record.baseline,
            kl: record.kl,
            kl_weight: record.kl_weight,
            entropy: record.entropy,
            composition_kl: record.composition_kl,
            replayed: record.replayed,
            stable_fraction: record.stable_fraction,
            unique_formulas: record.unique_formulas,
            failed_fraction: record.failed_fraction,
            funnel: record.table.funnel().iter().map(stage).collect(),
            clip_fraction: record.update.clip_fraction,
            grad_norms: record.update.grad_norms.clone(),
            skipped: record.update.skipped,
            space_groups: Some(record.space_groups),
            top_element: record.top_element.map(|(element, _)| element.symbol().to_owned()),
            top_element_share: record.top_element.map(|(_, share)| share),
            not_finite: record.not_finite,
            idle_steps: record.idle_steps,
            judge_gap: record.judge_gap.map(|gap| gap.mean),
            judge_gap_spread: record.judge_gap.map(|gap| gap.spread),
            distance: record.distance,
            density: record.density,
            learning_rate: Some(record.learning_rate),
            terms: terms(&record.table),
            judge: record.monitor.as_ref().map(terms),
            time: record.times,
        }
    }
}

fn terms(table: &RewardTable) -> Map<String, Value> {
    let term = |s: &crate::reward::TermStatistics| {
        let term = TermMetrics {
            mean: s.mean,
            spread: s.spread,
            values: s.values,
            abstained: s.abstained,
            failures: &s.failures,
        };
        (s.name.clone(), serde_json::json!(term))
    };
    table.statistics().iter().map(term).collect()
}

impl EpochMetrics {
    pub fn new(epoch: &Epoch) -> Self {
        Self {
            epoch: epoch.epoch,
            measured: MeasuredMetrics::new(&epoch.measured),
            learning_rate: epoch.learning_rate,
            grad_norm: epoch.grad_norm,
            skipped: epoch.skipped,
            best: epoch.best,
            time: EpochTime { seconds: epoch.seconds },
        }
    }
}

impl MeasuredMetrics {
    fn new(measured: &Measured) -> Self {
        match *measured {
            Measured::Likelihood { train_nll, valid } => Self::Likelihood {
                train_nll,
                valid_nll: -valid.total(),
                valid_nll_w: -valid.w,
                valid_nll_xyz: -valid.xyz,
                valid_nll_a: -valid.a,
                valid_nll_l: -valid.l,
            },
            Measured::Preferences { train, valid, kl, kl_error } => Self::Preferences {
                train_loss: train.loss,
                train_accuracy: train.accuracy,
                train_margin: train.margin,
                train_chosen: train.chosen,
                train_rejected: train.rejected,
                valid_loss: valid.loss,
                valid_accuracy: valid.accuracy,
                valid_margin: valid.margin,
                valid_chosen: valid.chosen,
                valid_rejected: valid.rejected,
                kl,
                kl_error,
            },
        }
    }
}
