//! Whether crystals drawn on the device have the distribution of those drawn on the CPU.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use temper::crystal::Tokens;
use temper::policy::{Draws, PolicyDirectory, Refusal, Resources, SampleSettings, Sampler, SpaceGroupDistribution};
use temper::runtime::Device;

use super::crystals::{cores, resources, runtime, shipped};
use super::measure::Effort;

/// Standard deviations of the normal distribution; one test in 1,300 is beyond by chance.
const LIMIT: f64 = 3.17;

/// Two-sample chi-square tests of what is independent from crystal to crystal. With equal seeds most crystals are equal.
pub fn distributions(effort: Effort) -> Value {
    let count = if effort == Effort::Full { 20_000 } else { 200 };
    let on_cpu =
        Resources { device: Device::Cpu, threads: cores(), memory: 8 << 30, ranks: temper::ranks::Ranks::one() };
    let device = draw(count, 1, resources(2 << 30));
    let same = draw(count, 1, on_cpu);
    let other = draw(count, 2, on_cpu);
    let equal = device.iter().zip(&same).filter(|(a, b)| same_letters(a, b)).count();
    let features: [(&str, Feature); 3] = [
        ("first Wyckoff letter", |c| c.sites.first().map_or(0, |s| usize::from(s.wyckoff))),
        ("first element", |c| c.sites.first().map_or(0, |s| usize::from(s.species.number()))),
        ("number of sites", |c| c.sites.len()),
    ];
    let rows: Vec<Value> = features.iter().map(|(name, feature)| test(name, &device, &other, *feature)).collect();
    json!({
        "ok": rows.iter().all(|row| row["ok"] == true), "crystals": count, "rows": rows,
        "same_letters_and_elements_as_on_the_cpu": equal as f64 / count as f64,
    })
}

/// A class of a crystal.
type Feature = fn(&Tokens) -> usize;
type Drawn = Result<Tokens, Refusal>;

fn draw(count: usize, seed: u64, resources: Resources) -> Vec<Drawn> {
    let policy = PolicyDirectory::open(&shipped("crystalformer-small")).expect("the policy that ships");
    let frequencies = policy.model.spacegroups.as_ref().expect("frequencies");
    let draws = Draws { seed, step: 0, first: 0 };
    let groups = SpaceGroupDistribution::new(frequencies).expect("weights").draw(draws, count);
    let sampler = Sampler::load(&runtime(), &policy.model.hyper, resources).expect("its graphs");
    let settings = SampleSettings::of_policy(None);
    sampler.sample(&policy.parameters, &groups, draws, &settings).expect("samples")
}

fn same_letters(a: &Drawn, b: &Drawn) -> bool {
    match (a, b) {
        (Ok(a), Ok(b)) => {
            let plain = |c: &Tokens| c.sites.iter().map(|s| (s.wyckoff, s.species.number())).collect::<Vec<_>>();
            plain(a) == plain(b)
        }
        (a, b) => a.is_err() && b.is_err(),
    }
}

/// Chi-square of two samples of equal size, as standard deviations of a normal variable (Wilson and Hilferty 1931). Classes with fewer than
/// ten crystals in both together are one class.
fn test(name: &str, one: &[Drawn], other: &[Drawn], feature: Feature) -> Value {
    let count = |rows: &[Drawn]| {
        let mut counts = BTreeMap::<usize, f64>::new();
        rows.iter().flatten().for_each(|c| *counts.entry(feature(c)).or_default() += 1.0);
        counts
    };
    let (one, other) = (count(one), count(other));
    let (mut statistic, mut classes, mut rare) = (0.0, 0_u32, [0.0, 0.0]);
    let term = |a: f64, b: f64| if a + b > 0.0 { (a - b) * (a - b) / (a + b) } else { 0.0 };
    for class in one.keys().chain(other.keys().filter(|class| !one.contains_key(class))) {
        let (a, b) = (one.get(class).unwrap_or(&0.0), other.get(class).unwrap_or(&0.0));
        if a + b < 10.0 {
            rare = [rare[0] + a, rare[1] + b];
        } else {
            statistic += term(*a, *b);
            classes += 1;
        }
    }
    statistic += term(rare[0], rare[1]);
    let freedom = f64::from(if rare == [0.0, 0.0] { classes.saturating_sub(1) } else { classes }.max(1));
    let spread = 2.0 / (9.0 * freedom);
    let deviations = ((statistic / freedom).cbrt() - (1.0 - spread)) / spread.sqrt();
    json!({ "name": name, "ok": deviations < LIMIT, "chi_square": statistic, "freedom": freedom, "worst": deviations, "tolerance": LIMIT })
}
