//! What a fine-tuning says while it goes on.

use crate::cli::Plan;
use crate::cli::duration::{rounded, short};
use crate::record::StepMetrics;
use crate::runtime::Device;
use crate::train::StepRecord;

/// What will be done, after `done` steps.
pub(super) fn announcement(plan: &Plan, done: usize) -> String {
    let (config, settings) = (&plan.config, &plan.settings);
    let device = match settings.resources.device {
        Device::Cuda(_) => settings.resources.device.to_string(),
        _ => format!("{} threads", settings.resources.threads),
    };
    format!(
        "fine-tuning {} towards {}: {} steps of {} crystals on {device}, seed {}, files in {}",
        config.policy.model.display(),
        config.objective,
        settings.steps.saturating_sub(done),
        settings.batch,
        settings.seed,
        config.run.dir.display(),
    )
}

/// How long the rest takes if its steps take as long as this one.
pub(super) fn outlook(metrics: &StepMetrics, steps: usize) -> Option<String> {
    let left = steps.saturating_sub(metrics.step);
    let seconds = metrics.time.step * left as f64;
    (left > 0).then(|| format!("at this rate, the other {left} steps take {}", rounded(seconds)))
}

/// A step: a line of the batch, and one of the terms.
pub(super) fn step(m: &StepMetrics) -> String {
    let stable = m.stable_fraction.map_or_else(String::new, |x| format!("  stable {:5.1} %", 100.0 * x));
    let scored = m.funnel.last().map_or_else(String::new, |stage| format!("  {} {}", stage.stage, stage.rows));
    format!(
        "step {:4}  objective {:>8}{stable}  KL {:>7}  unique {:5.1} %  failed {:4.1} %{scored}  {:.1} s (sample {:.1}, reward {:.1}, gradient {:.1})\n{}",
        m.step,
        number(m.objective_mean, 4),
        number(m.kl, 3),
        100.0 * m.unique_formulas,
        100.0 * m.failed_fraction,
        m.time.step,
        m.time.sample,
        m.time.reward,
        m.time.update(),
        terms(m),
    )
}

/// Of each term its mean, its spread over the crystals, and how many have a value.
fn terms(m: &StepMetrics) -> String {
    let term = |(name, statistics): (&String, &serde_json::Value)| {
        let of = |key: &str| number(statistics[key].as_f64(), 4);
        format!("  {name} {} +- {} of {}", of("mean"), of("spread"), statistics["values"])
    };
    format!("         {}", m.terms.iter().map(term).collect::<String>())
}

/// What stands beside the bar.
pub(super) fn beside_the_bar(m: &StepMetrics) -> String {
    let stable = m.stable_fraction.map_or_else(String::new, |x| format!("  stable {:.0} %", 100.0 * x));
    let (objective, kl) = (number(m.objective_mean, 4), number(m.kl, 3));
    format!("{} per step  objective {objective}{stable}  KL {kl}", short(m.time.step))
}

/// What is wrong with a step as far as learning from it goes.
pub(super) fn warning(record: &StepRecord) -> Option<String> {
    let (step, update) = (record.step, &record.update);
    let hint = match update.grad_norms.is_empty() && update.skipped > 0 {
        true => "\nhint: an objective of ordinary size helps, such as one divided by its largest value",
        false => "",
    };
    match &record.idle {
        Some(reason) => Some(format!("warning: step {step}: {reason}{hint}")),
        None if update.skipped > 0 => {
            Some(format!("warning: step {step}: {} optimiser steps skipped: gradient not finite", update.skipped))
        }
        None => None,
    }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}
