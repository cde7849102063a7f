//! What rings when a policy collapses or leaves its base: each alarm once, compared with the first step where it must be.

use std::collections::BTreeSet;

use super::StepMetrics;

/// Share of the first step's unique formulas, or space groups, below which the policy is said to collapse.
const COLLAPSE: f64 = 0.5;
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
}

/// What to do about each alarm.
#[derive(Clone, Copy, Debug)]
pub struct AlarmSettings {
    /// Different formulas fell below half of the first step's.
    pub unique_formulas: Reaction,
    /// Different space groups did.
    pub space_groups: Reaction,
    /// One element is in more than a third of the crystals.
    pub elements: Reaction,
    /// Nearly all ratios are clipped.
    pub clip_fraction: Reaction,
    /// KL to the base is above its bound.
    pub kl: Reaction,
    /// The bound, nats.
    pub kl_bound: Option<f64>,
}

/// An alarm that rings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What is wrong.
    pub message: String,
    /// What may help.
    pub hint: &'static str,
    /// Whether the run ends.
    pub stops: bool,
}

/// The alarms of a run.
#[derive(Debug)]
pub(super) struct Alarms {
    settings: AlarmSettings,
    /// Those that have rung.
    rung: BTreeSet<&'static str>,
}

impl Alarms {
    pub fn new(settings: AlarmSettings) -> Self {
        Self { settings, rung: BTreeSet::new() }
    }

    /// What rings for the first time.
    pub fn check(&mut self, first: &StepMetrics, now: &StepMetrics) -> Vec<Alarm> {
        let set = &self.settings;
        let found = [
            ("unique_formulas", set.unique_formulas, formulas(first, now)),
            ("space_groups", set.space_groups, groups(first, now)),
            ("elements", set.elements, element(first, now)),
            ("clip_fraction", set.clip_fraction, clipped(now)),
            ("kl", set.kl, kl(set.kl_bound, now)),
        ];
        let mut alarms = Vec::new();
        for (name, reaction, ringing) in found {
            let Some((message, hint)) = ringing.filter(|_| reaction != Reaction::Ignore) else { continue };
            if self.rung.insert(name) {
                alarms.push(Alarm { message, hint, stops: reaction == Reaction::Stop });
            }
        }
        alarms
    }
}

/// A message and a hint.
type Ringing = Option<(String, &'static str)>;

const HOLD: &str = "a larger ppo.kl_weight holds it back";

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

fn element(first: &StepMetrics, now: &StepMetrics) -> Ringing {
    let (symbol, share) = (now.top_element.as_ref()?, now.top_element_share?);
    let before = first.top_element_share.filter(|_| first.top_element.as_ref() == Some(symbol));
    let is_new = before.is_none_or(|before| share > GROWTH * before);
    let text =
        || format!("{} of all crystals contain {symbol}: the policy may exploit an error of a model", percent(share));
    (share > COMMON && is_new).then(|| (text(), "look at crystals with this element, and ask a judge: [judge.hull]"))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::StageTimes;

    const WARN: AlarmSettings = AlarmSettings {
        unique_formulas: Reaction::Warn,
        space_groups: Reaction::Warn,
        elements: Reaction::Stop,
        clip_fraction: Reaction::Warn,
        kl: Reaction::Warn,
        kl_bound: Some(5.0),
    };

    fn metrics() -> StepMetrics {
        StepMetrics {
            step: 1,
            objective_mean: Some(0.0),
            objective_std: Some(1.0),
            baseline: Some(0.0),
            kl: Some(0.1),
            entropy: Some(10.0),
            stable_fraction: None,
            unique_formulas: 0.9,
            space_groups: Some(40),
            top_element: Some("O".to_owned()),
            top_element_share: Some(0.5),
            failed_fraction: 0.0,
            funnel: Vec::new(),
            clip_fraction: 0.1,
            grad_norms: vec![1.0],
            skipped: 0,
            not_finite: 0,
            idle_steps: 0,
            terms: serde_json::Map::new(),
            judge: None,
            judge_gap: None,
            time: StageTimes::default(),
        }
    }

    type Change = fn(&mut StepMetrics);

    #[test]
    fn each_rings_once_and_as_it_is_told() {
        let first = metrics();
        let cases: [(&str, Change); 6] = [
            ("unique formulas fell to 44.0 % from 90.0 %", |m| m.unique_formulas = 0.44),
            ("have 19 space groups, 40 at the first step", |m| m.space_groups = Some(19)),
            ("46.0 % of all crystals contain Hg", |m| {
                (m.top_element, m.top_element_share) = (Some("Hg".to_owned()), Some(0.46))
            }),
            ("76.0 % of all crystals contain O", |m| m.top_element_share = Some(0.76)),
            ("91.0 % of the ratios are clipped", |m| m.clip_fraction = 0.91),
            ("KL to the base is 5.10 nats, above guards.kl_bound = 5", |m| m.kl = Some(5.1)),
        ];
        for (expected, change) in cases {
            let mut alarms = Alarms::new(WARN);
            assert!(alarms.check(&first, &first).is_empty(), "oxygen is common from the start");
            let mut now = metrics();
            change(&mut now);
            let rung = alarms.check(&first, &now);
            assert!(rung.len() == 1 && rung[0].message.contains(expected), "{rung:?}");
            assert_eq!(rung[0].stops, expected.contains("contain"));
            assert!(alarms.check(&first, &now).is_empty(), "once");
            let ignored = AlarmSettings {
                unique_formulas: Reaction::Ignore,
                space_groups: Reaction::Ignore,
                elements: Reaction::Ignore,
                clip_fraction: Reaction::Ignore,
                kl: Reaction::Ignore,
                kl_bound: Some(5.0),
            };
            assert!(Alarms::new(ignored).check(&first, &now).is_empty());
        }
    }
}
