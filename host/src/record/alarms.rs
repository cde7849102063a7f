//! What rings when a policy collapses, leaves its base or exploits a model: each alarm once, compared with the first step where it
//! must be.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::StepMetrics;
use super::plateau::{Plateau, STEPS};
use crate::train::Spread;

/// Share of the first step's unique formulas, or space groups, below which the policy is said to collapse.
const COLLAPSE: f64 = 0.5;
/// Nats by which the entropy must have fallen: to a three-thousandth of what was within reach. It is an absolute number because the entropy
/// is that of a density: where its zero is depends on units, and on how sharp coordinates are.
const FALL: f64 = 8.0;
/// Share of all crystals above which one element is too common.
const COMMON: f64 = 1.0 / 3.0;
/// How much more common it must have become, if it was the most common one from the start.
const GROWTH: f64 = 1.5;
/// Share of clipped ratios that is too close to all of them.
const CLIPPED: f64 = 0.9;

/// What happens when an alarm rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// It is said.
    Warn,
    /// It is said, and the run ends.
    Stop,
    /// It is said, and the learning rate of the steps to come is lowered.
    LowerLearningRate,
}

/// What to do about each alarm.
#[derive(Clone, Copy, Debug)]
pub struct AlarmSettings {
    /// Different formulas fell below half of the first step's.
    pub unique_formulas: Reaction,
    /// Different space groups did.
    pub space_groups: Reaction,
    /// The entropy fell by more than 8 nats since the first step.
    pub entropy: Reaction,
    /// One element is in more than a third of the crystals.
    pub elements: Reaction,
    /// Half of the crystals have smaller or larger smallest distances than nine tenths of the first step's.
    pub distance: Reaction,
    /// The same of their density.
    pub density: Reaction,
    /// Nearly all ratios are clipped.
    pub clip_fraction: Reaction,
    /// KL to the base is above its bound.
    pub kl: Reaction,
    /// The bound, nats.
    pub kl_bound: Option<f64>,
    /// KL of the elements' frequencies to the base's is above its bound.
    pub composition: Reaction,
    /// The bound, nats.
    pub composition_bound: Option<f64>,
    /// The judge's gap is larger than at its first verdict by more than the bound.
    pub judge_gap: Reaction,
    /// The bound, in the unit of the term; `None`: how the gaps of single crystals scattered at the first verdict.
    pub judge_gap_bound: Option<f64>,
    /// The objective does not grow any more.
    pub plateau: Reaction,
    /// Steps for which it has not.
    pub plateau_steps: Option<usize>,
    /// What each alarm that lowers the learning rate multiplies it with.
    pub learning_rate_factor: f64,
}

/// An alarm that rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What is wrong.
    pub message: String,
    /// What may help.
    pub hint: &'static str,
    /// What happens.
    pub reaction: Reaction,
}

/// What has been noticed so far; part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Noticed {
    /// The alarms that have rung.
    rung: BTreeSet<String>,
    /// The judge's first gap, and its spread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_gap: Option<[f64; 2]>,
    /// Of the objective, where it is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plateau: Option<Plateau>,
    /// The step at which an alarm ended the run, last of all if it went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<usize>,
}

impl Noticed {
    /// Whether there is nothing to remember.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// The alarms of a run.
#[derive(Debug)]
pub(super) struct Alarms {
    settings: AlarmSettings,
    noticed: Noticed,
}

impl Alarms {
    pub fn new(settings: AlarmSettings, mut noticed: Noticed) -> Self {
        // Where it was not watched for a while, it begins anew.
        noticed.plateau = noticed.plateau.filter(|_| settings.plateau_steps.is_some());
        Self { settings, noticed }
    }

    /// What has been noticed so far.
    pub fn noticed(&self) -> &Noticed {
        &self.noticed
    }

    /// What rings for the first time.
    pub fn check(&mut self, first: &StepMetrics, now: &StepMetrics) -> Vec<Alarm> {
        let verdict = now.judge_gap.zip(now.judge_gap_spread).map(|(gap, spread)| [gap, spread]);
        self.noticed.first_gap = self.noticed.first_gap.or(verdict);
        let plateau = self.plateau(now);
        let set = &self.settings;
        let found = [
            ("unique_formulas", set.unique_formulas, formulas(first, now)),
            ("space_groups", set.space_groups, groups(first, now)),
            ("entropy", set.entropy, entropy(first, now)),
            ("elements", set.elements, element(first, now)),
            ("distance", set.distance, beyond("smallest distance", "A", first.distance, now.distance)),
            ("density", set.density, beyond("density", "g/cm^3", first.density, now.density)),
            ("clip_fraction", set.clip_fraction, clipped(now)),
            ("kl", set.kl, kl(set.kl_bound, now)),
            ("composition", set.composition, composition(set.composition_bound, now)),
            ("plateau", set.plateau, plateau),
            ("judge_gap", set.judge_gap, gap(set.judge_gap_bound, self.noticed.first_gap, now.judge_gap)),
        ];
        let mut alarms = Vec::new();
        for (name, reaction, ringing) in found {
            let Some((message, hint)) = ringing.filter(|_| reaction != Reaction::Ignore) else { continue };
            if self.noticed.rung.insert(name.to_owned()) {
                alarms.push(Alarm { message, hint, reaction });
            }
        }
        if alarms.iter().any(|alarm| alarm.reaction == Reaction::Stop) {
            self.noticed.stopped = Some(now.step);
        }
        alarms
    }

    fn plateau(&mut self, now: &StepMetrics) -> Ringing {
        let steps = self.settings.plateau_steps?;
        let plateau = self.noticed.plateau.get_or_insert_default();
        plateau.add(now.step, now.objective_mean);
        let best = plateau.lasts(now.step, steps)?;
        let text = format!("the mean objective of {STEPS} steps has not been above {best:.4e} for {steps} steps");
        Some((text, "the checkpoint of the best step is kept; a smaller learning rate may lead further"))
    }

    /// What the learning rate is multiplied with when these ring.
    pub fn lowering(&self, alarms: &[Alarm]) -> f64 {
        let lowering = alarms.iter().filter(|alarm| alarm.reaction == Reaction::LowerLearningRate);
        lowering.map(|_| self.settings.learning_rate_factor).product()
    }
}

/// A message and a hint.
type Ringing = Option<(String, &'static str)>;

const HOLD: &str = "a larger ppo.kl_weight holds it back";
const LOOK: &str = "look at these crystals, and ask a judge: [judge.hull]";

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn formulas(first: &StepMetrics, now: &StepMetrics) -> Ringing {
    let (before, now) = (first.unique_formulas, now.unique_formulas);
    let text =
        || format!("unique formulas fell to {} from {}: the policy repeats itself", percent(now), percent(before));
    (now < COLLAPSE * before).then(|| (text(), HOLD))
}

fn groups(first: &StepMetrics, now: &StepMetrics) -> Ringing {
    let (before, now) = (first.space_groups?, now.space_groups?);
    let text = || format!("crystals that were scored have {now} space groups, {before} at the first step");
    ((now as f64) < COLLAPSE * before as f64).then(|| (text(), HOLD))
}

fn entropy(first: &StepMetrics, now: &StepMetrics) -> Ringing {
    let (before, now) = (first.entropy?, now.entropy?);
    let text =
        || format!("the entropy of the policy fell to {now:.2} nats from {before:.2}: the policy repeats itself");
    (now < before - FALL).then(|| (text(), HOLD))
}

/// Half of the crystals are where a twentieth of the first step's were.
fn beyond(property: &str, unit: &str, first: Option<Spread>, now: Option<Spread>) -> Ringing {
    let (first, now) = (first?, now?);
    let (side, end) = match now.median {
        median if median < first.low => ("below", first.low),
        median if median > first.high => ("above", first.high),
        _ => return None,
    };
    let text = format!(
        "half of the scored crystals have a {property} {side} {:.3} {unit}; at the first step 5 % had one {side} {end:.3}: \
         the policy may exploit an error of a model",
        now.median
    );
    Some((text, LOOK))
}

fn element(first: &StepMetrics, now: &StepMetrics) -> Ringing {
    let (symbol, share) = (now.top_element.as_ref()?, now.top_element_share?);
    let before = first.top_element_share.filter(|_| first.top_element.as_ref() == Some(symbol));
    let is_new = before.is_none_or(|before| share > GROWTH * before);
    let text =
        || format!("{} of all crystals contain {symbol}: the policy may exploit an error of a model", percent(share));
    (share > COMMON && is_new).then(|| (text(), LOOK))
}

fn clipped(now: &StepMetrics) -> Ringing {
    let text =
        || format!("{} of the ratios are clipped: a step changes the policy too much", percent(now.clip_fraction));
    (now.clip_fraction > CLIPPED).then(|| (text(), "a smaller ppo.learning_rate or ppo.epochs may help"))
}

fn kl(bound: Option<f64>, now: &StepMetrics) -> Ringing {
    let (bound, kl) = (bound?, now.kl?);
    (kl > bound).then(|| (format!("KL to the base is {kl:.2} nats, above guards.kl_bound = {bound}"), HOLD))
}

fn composition(bound: Option<f64>, now: &StepMetrics) -> Ringing {
    let (bound, kl) = (bound?, now.composition_kl?);
    let text = || {
        format!(
            "the frequencies of the elements are {kl:.3} nats from those of the base, above guards.composition_bound = {bound}: the \
             policy draws other elements"
        )
    };
    (kl > bound).then(|| (text(), "ppo.composition_prior holds them back"))
}

fn gap(bound: Option<f64>, first: Option<[f64; 2]>, now: Option<f64>) -> Ringing {
    let ([first, spread], now) = (first?, now?);
    // One crystal has no spread.
    let bound = bound.or(Some(spread).filter(|spread| *spread > 0.0))?;
    let text = format!(
        "the judge differs from its term by {now:.4} on average, and by {first:.4} at its first verdict: \
         the policy exploits errors of the term's model"
    );
    (now.abs() > first.abs() + bound).then_some((text, "stop here, or train against both models"))
}

#[cfg(test)]
pub mod tests;
