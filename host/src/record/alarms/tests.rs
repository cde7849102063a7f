//! When alarms ring, and how often.

use super::*;
use crate::train::StageTimes;

const WARN: AlarmSettings = AlarmSettings {
    unique_formulas: Reaction::Warn,
    space_groups: Reaction::LowerLearningRate,
    entropy: Reaction::LowerLearningRate,
    elements: Reaction::Stop,
    distance: Reaction::Warn,
    density: Reaction::Warn,
    clip_fraction: Reaction::Warn,
    kl: Reaction::Warn,
    kl_bound: Some(5.0),
    composition: Reaction::Warn,
    composition_bound: Some(0.2),
    judge_gap: Reaction::Warn,
    judge_gap_bound: None,
    plateau: Reaction::Stop,
    plateau_steps: None,
    learning_rate_factor: 0.5,
};

const DEAF: AlarmSettings = AlarmSettings {
    unique_formulas: Reaction::Ignore,
    space_groups: Reaction::Ignore,
    entropy: Reaction::Ignore,
    elements: Reaction::Ignore,
    distance: Reaction::Ignore,
    density: Reaction::Ignore,
    clip_fraction: Reaction::Ignore,
    kl: Reaction::Ignore,
    composition: Reaction::Ignore,
    judge_gap: Reaction::Ignore,
    plateau: Reaction::Ignore,
    ..WARN
};

pub fn metrics() -> StepMetrics {
    StepMetrics {
        step: 1,
        objective_mean: Some(0.0),
        objective_std: Some(1.0),
        baseline: Some(0.0),
        kl_weight: None,
        composition_kl: Some(0.1),
        replayed: None,
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
        judge_gap: Some(0.2),
        judge_gap_spread: Some(0.1),
        distance: Some(Spread { low: 1.8, median: 2.2, high: 2.9 }),
        density: Some(Spread { low: 2.0, median: 4.0, high: 9.0 }),
        learning_rate: Some(1e-4),
        time: StageTimes::default(),
    }
}

#[test]
fn each_rings_once_and_as_it_is_told() {
    let first = metrics();
    let all = |median: f64| Some(Spread { low: median, median, high: median });
    type Case<'a> = (&'a str, Reaction, &'a dyn Fn(&mut StepMetrics));
    let cases: [Case<'_>; 13] = [
        ("unique formulas fell to 44.0 % from 90.0 %", Reaction::Warn, &|m| m.unique_formulas = 0.44),
        ("have 19 space groups, 40 at the first step", Reaction::LowerLearningRate, &|m| m.space_groups = Some(19)),
        ("fell to 1.90 nats from 10.00", Reaction::LowerLearningRate, &|m| m.entropy = Some(1.9)),
        ("46.0 % of all crystals contain Hg", Reaction::Stop, &|m| {
            (m.top_element, m.top_element_share) = (Some("Hg".to_owned()), Some(0.46));
        }),
        ("76.0 % of all crystals contain O", Reaction::Stop, &|m| m.top_element_share = Some(0.76)),
        ("have a smallest distance below 1.790 A; at the first step 5 % had one below 1.800", Reaction::Warn, &|m| {
            m.distance = all(1.79);
        }),
        ("have a smallest distance above 3.000 A", Reaction::Warn, &|m| m.distance = all(3.0)),
        ("have a density above 9.100 g/cm^3; at the first step 5 % had one above 9.000", Reaction::Warn, &|m| {
            m.density = all(9.1);
        }),
        ("91.0 % of the ratios are clipped", Reaction::Warn, &|m| m.clip_fraction = 0.91),
        ("KL to the base is 5.10 nats, above guards.kl_bound = 5", Reaction::Warn, &|m| m.kl = Some(5.1)),
        ("are 0.210 nats from those of the base, above guards.composition_bound = 0.2", Reaction::Warn, &|m| {
            m.composition_kl = Some(0.21);
        }),
        ("by 0.3100 on average, and by 0.2000 at its first verdict", Reaction::Warn, &|m| m.judge_gap = Some(0.31)),
        ("by -0.3100 on average", Reaction::Warn, &|m| m.judge_gap = Some(-0.31)),
    ];
    for (expected, reaction, change) in cases {
        let mut alarms = Alarms::new(WARN, Noticed::default());
        assert!(alarms.check(&first, &first).is_empty(), "oxygen is common from the start");
        let mut now = metrics();
        change(&mut now);
        let rung = alarms.check(&first, &now);
        assert!(rung.len() == 1 && rung[0].message.contains(expected), "{rung:?}");
        assert_eq!(rung[0].reaction, reaction);
        assert_eq!(alarms.lowering(&rung), if reaction == Reaction::LowerLearningRate { 0.5 } else { 1.0 });
        assert!(alarms.check(&first, &now).is_empty(), "once");
        let noticed = serde_json::to_vec(alarms.noticed()).unwrap();
        let mut resumed = Alarms::new(WARN, serde_json::from_slice(&noticed).unwrap());
        assert!(resumed.check(&first, &now).is_empty(), "once, also when the run is resumed");
        assert!(Alarms::new(DEAF, Noticed::default()).check(&first, &now).is_empty());
    }
}

#[test]
fn the_gap_is_compared_with_that_of_the_first_verdict() {
    let gap = |gap: f64| StepMetrics { judge_gap: Some(gap), ..metrics() };
    let silent = StepMetrics { judge_gap: None, judge_gap_spread: None, ..metrics() };
    let rings = |bound, first: &StepMetrics, now: &StepMetrics| {
        let mut alarms = Alarms::new(AlarmSettings { judge_gap_bound: bound, ..WARN }, Noticed::default());
        alarms.check(&silent, &silent);
        alarms.check(&silent, first);
        !alarms.check(&silent, now).is_empty()
    };
    assert!(rings(None, &gap(0.2), &gap(0.31)) && !rings(None, &gap(0.2), &gap(0.29)));
    assert!(rings(Some(0.05), &gap(0.2), &gap(0.26)) && !rings(Some(0.5), &gap(0.2), &gap(0.6)));
    assert!(!rings(None, &gap(0.2), &gap(0.0)), "the two agree");
    let one = StepMetrics { judge_gap_spread: Some(0.0), ..gap(0.0) };
    assert!(!rings(None, &one, &gap(9.0)), "the verdict on one crystal has no spread");
}

#[test]
fn an_entropy_counts_by_how_far_it_fell() {
    let entropy = |nats: f64| StepMetrics { entropy: Some(nats), ..metrics() };
    let rings = |first, now| !Alarms::new(WARN, Noticed::default()).check(&entropy(first), &entropy(now)).is_empty();
    assert!(rings(-4.0, -12.1) && !rings(-4.0, -11.9) && rings(9.0, 0.9) && !rings(1.0, -6.0));
}

/// The objective of every step is 0: the first ten steps are the best, and five steps later that is said, also when the run was
/// resumed in between.
#[test]
fn an_objective_that_does_not_grow_rings() {
    let settings = AlarmSettings { plateau_steps: Some(5), ..WARN };
    let mut alarms = Alarms::new(settings, Noticed::default());
    for step in 1..=15 {
        let rung = alarms.check(&metrics(), &StepMetrics { step, ..metrics() });
        assert_eq!(!rung.is_empty(), step == 15, "step {step}");
        assert!(
            rung.iter().all(|alarm| alarm.message.ends_with("of 10 steps has not been above 0.0000e0 for 5 steps"))
        );
        let noticed = serde_json::to_vec(alarms.noticed()).unwrap();
        alarms = Alarms::new(settings, serde_json::from_slice(&noticed).unwrap());
    }
    assert_eq!(alarms.noticed().stopped, Some(15));
    let mut unwatched = Alarms::new(WARN, Noticed::default());
    assert!((1..=99).all(|step| unwatched.check(&metrics(), &StepMetrics { step, ..metrics() }).is_empty()));
}
