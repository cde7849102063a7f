//! Sampling against the JAX reference's: the most likely crystal of every group, and the distribution of random ones.

use safetensors::SafeTensors;
use temper::crystal::{SpaceGroup, Tokens};
use temper::policy::{Draws, Hyperparameters, Resources, SampleSettings, Sampler, Temperatures};
use temper::runtime::Device;

use crate::evaluate::{log_probabilities, logp, runtime};
use crate::reference::Golden;

/// Of coordinates and lattice numbers that follow a float32 network.
const TOLERANCE: f64 = 2e-5;
/// Two-sample Kolmogorov-Smirnov distance that equal distributions exceed once in 10,000 (Smirnov 1948): c(alpha) sqrt(2 / n).
const SMIRNOV: f64 = 2.225;

#[test]
fn greedy_crystals_are_the_references() {
    let Some(golden) = Golden::find("tiny") else { return };
    let file = golden.bytes("greedy.safetensors");
    let file = SafeTensors::deserialize(&file).unwrap();
    let groups = groups(&file);
    let drawn = draw(&golden, &groups, 0.0);
    let (w, a) = (integers(&file, "W"), integers(&file, "A"));
    let (xyz, l) = (floats(&file, "XYZ"), floats(&file, "L_norm"));
    let slots = w.len() / groups.len();
    for (row, crystal) in drawn.iter().enumerate() {
        let group = crystal.group.number();
        for slot in 0..slots {
            let at = row * slots + slot;
            let site = crystal.sites.get(slot);
            let letter = site.map_or(0, |s| i64::from(s.wyckoff));
            let element = site.map_or(0, |s| i64::from(s.species.number()));
            assert_eq!((letter, element), (w[at], a[at]), "group {group}, slot {slot}");
            for (axis, x) in site.map_or([0.0; 3], |s| s.coord).into_iter().enumerate() {
                let off = x - xyz[3 * at + axis];
                assert!((off - off.round()).abs() < TOLERANCE, "group {group}, slot {slot}, axis {axis}: {off}");
            }
        }
        for (i, value) in crystal.lattice.iter().enumerate() {
            let off = value - l[6 * row + i];
            assert!(off.abs() < TOLERANCE, "group {group}, lattice {i}: {off}");
        }
    }
}

#[test]
fn random_crystals_are_distributed_as_the_references() {
    let Some(golden) = Golden::find("tiny") else { return };
    let file = golden.bytes("sampled.safetensors");
    let file = SafeTensors::deserialize(&file).unwrap();
    let groups = groups(&file);
    let drawn = draw(&golden, &groups, 1.0);
    let own = log_probabilities(&logp(&golden.hyper), &golden.parameters, &drawn);
    let n = groups.len();
    let mut compared: Vec<(&str, Vec<f64>, Vec<f64>)> = vec![
        ("logp_w", own.iter().map(|p| p.w).collect(), floats(&file, "logp_w")),
        ("logp_xyz", own.iter().map(|p| p.xyz).collect(), floats(&file, "logp_xyz")),
        ("logp_a", own.iter().map(|p| p.a).collect(), floats(&file, "logp_a")),
        ("logp_l", own.iter().map(|p| p.l).collect(), floats(&file, "logp_l")),
    ];
    let slots = integers(&file, "W").len() / n;
    let sites =
        |row: usize| integers(&file, "W")[row * slots..(row + 1) * slots].iter().filter(|w| **w > 0).count() as f64;
    let ours = drawn.iter().map(|c| c.sites.len() as f64).collect();
    compared.push(("sites", ours, (0..n).map(sites).collect()));
    let first = |values: Vec<i64>| (0..n).map(|row| values[row * slots] as f64).collect::<Vec<f64>>();
    let ours = drawn.iter().map(|c| f64::from(c.sites[0].wyckoff)).collect();
    compared.push(("first letter", ours, first(integers(&file, "W"))));
    let ours = drawn.iter().map(|c| f64::from(c.sites[0].species.number())).collect();
    compared.push(("first element", ours, first(integers(&file, "A"))));
    let (xyz, l) = (floats(&file, "XYZ"), floats(&file, "L_norm"));
    let names = ["x", "y", "z"];
    for (axis, name) in names.into_iter().enumerate() {
        let ours = drawn.iter().map(|c| c.sites[0].coord[axis]).collect();
        compared.push((name, ours, (0..n).map(|row| xyz[3 * row * slots + axis]).collect()));
    }
    for (i, name) in ["a", "b", "c", "alpha", "beta", "gamma"].into_iter().enumerate() {
        let ours = drawn.iter().map(|c| c.lattice[i]).collect();
        compared.push((name, ours, (0..n).map(|row| l[6 * row + i]).collect()));
    }
    let bound = SMIRNOV * (2.0 / n as f64).sqrt();
    for (name, ours, theirs) in compared {
        let distance = smirnov(ours, theirs);
        assert!(distance < bound, "{name}: distance {distance}, bound {bound}");
    }
}

fn draw(golden: &Golden, groups: &[SpaceGroup], temperature: f64) -> Vec<Tokens> {
    let hyper: &Hyperparameters = &golden.hyper;
    let resources = Resources { device: Device::Cpu, threads: 1, memory: 1 << 28, ranks: temper::ranks::Ranks::one() };
    let sampler = Sampler::load(runtime(), hyper, resources).unwrap();
    let temperature = Temperatures { w: temperature, a: temperature, xyz: temperature, l: temperature };
    let settings = SampleSettings { temperature, top_p: 1.0, restriction: None };
    let draws = Draws { seed: 11, step: 0, first: 0 };
    let drawn = sampler.sample(&golden.parameters, groups, draws, &settings).unwrap();
    drawn.into_iter().map(Result::unwrap).collect()
}

/// Largest distance between the empirical distribution functions. Values within 1e-6 count as equal: constants of a position
/// differ in the last bit between float32 and float64.
fn smirnov(a: Vec<f64>, b: Vec<f64>) -> f64 {
    let sorted = |values: Vec<f64>| {
        let mut rounded: Vec<i64> = values.into_iter().map(|x| (x * 1e5).round() as i64).collect();
        rounded.sort_unstable();
        rounded
    };
    let (a, b) = (sorted(a), sorted(b));
    let below = |v: &[i64], x: i64| v.partition_point(|y| *y <= x) as f64 / v.len() as f64;
    a.iter().chain(&b).map(|x| (below(&a, *x) - below(&b, *x)).abs()).fold(0.0, f64::max)
}

fn groups(file: &SafeTensors<'_>) -> Vec<SpaceGroup> {
    integers(file, "G").into_iter().map(|g| SpaceGroup::new(g).unwrap()).collect()
}

fn integers(file: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    let data = file.tensor(name).unwrap();
    data.data().as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
}

fn floats(file: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let data = file.tensor(name).unwrap();
    data.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
}
