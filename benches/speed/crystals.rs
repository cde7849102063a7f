//! What the stages are measured on.

use std::path::PathBuf;
use std::sync::Arc;

use temper::crystal::{Element, Site, SpaceGroup, Tokens, smallest_distance, wyckoff_positions};
use temper::policy::{
    Draws, PolicyDirectory, Resources, SampleSettings, SampleStream, Sampler, SpaceGroupDistribution,
};
use temper::runtime::{Device, Locator, Runtime};

/// Crystals of MP-20's training set by number of sites, from none upwards: `temper tokenize` of the 3,420 of its structures that
/// are public in CDVAE's history and MatterGPT's repository (Materials Project, CC BY 4.0). Mean 4.80.
const CRYSTALS_BY_SITES: [u32; 22] =
    [0, 20, 349, 1143, 662, 360, 280, 165, 106, 93, 56, 28, 57, 9, 14, 8, 9, 7, 17, 7, 30, 0];

pub fn runtime() -> Arc<Runtime> {
    Runtime::open(&Locator::from_env(&|line| println!("{line}")), device()).expect("ONNX Runtime")
}

/// Where the models run: what TEMPER_BENCH_DEVICE says, or the CPU.
pub fn device() -> Device {
    std::env::var("TEMPER_BENCH_DEVICE").map_or(Device::Cpu, |name| name.parse().expect("a device"))
}

/// The folder of the crate `host`: where cargo says it is, or where it was when this was built.
pub fn host() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The folder of reference material beside the repository (or TEMPER_SHARED), where it is there.
pub fn shared() -> Option<PathBuf> {
    let beside = || host().join("../../shared");
    Some(std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from)).filter(|folder| folder.is_dir())
}

/// A model that ships.
pub fn shipped(path: &str) -> PathBuf {
    host().join("../models").join(path)
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// All cores, with this much memory for activations and caches; on a CUDA device ten times as much.
pub fn resources(memory: u64) -> Resources {
    let device = device();
    let memory = if device == Device::Cpu { memory } else { 10 * memory };
    Resources { device, threads: cores(), memory, ranks: temper::ranks::Ranks::one() }
}

/// The space groups that `crystalformer-small` was trained on, as often as there.
pub fn groups(count: usize) -> Vec<SpaceGroup> {
    let policy = PolicyDirectory::open(&shipped("crystalformer-small")).expect("the policy that ships");
    let weights = SpaceGroupDistribution::new(&policy.model.spacegroups.expect("frequencies"));
    weights.expect("weights").draw(draws(), count)
}

/// Sites of a crystal, on average.
pub fn mean_sites() -> f64 {
    let weighted: f64 = CRYSTALS_BY_SITES.iter().enumerate().map(|(sites, n)| sites as f64 * f64::from(*n)).sum();
    weighted / f64::from(CRYSTALS_BY_SITES.iter().sum::<u32>())
}

pub fn draws() -> Draws {
    Draws { seed: 1, step: 0, first: 0 }
}

/// Numbers of sites, distributed as in the training data.
pub fn numbers_of_sites(count: usize) -> Vec<usize> {
    let total: u32 = CRYSTALS_BY_SITES.iter().sum();
    let one = |row: usize| {
        let mut left = SampleStream::new(2, 0, row as u32).uniform() * f64::from(total);
        let sites = CRYSTALS_BY_SITES.iter().position(|crystals| {
            left -= f64::from(*crystals);
            left < 0.0
        });
        sites.unwrap_or(1)
    };
    (0..count).map(one).collect()
}

/// Crystals that a policy can score: any letters and elements, as many sites as the training data have.
pub fn arbitrary(count: usize) -> Vec<Tokens> {
    let rows = groups(count).into_iter().zip(numbers_of_sites(count)).enumerate();
    rows.map(|(row, (group, sites))| any_crystal(group, sites, row as u32)).collect()
}

fn any_crystal(group: SpaceGroup, sites: usize, row: u32) -> Tokens {
    let positions = wyckoff_positions(group);
    let mut stream = SampleStream::new(3, 0, row);
    let mut letters: Vec<usize> = (0..sites).map(|_| (stream.uniform() * positions.len() as f64) as usize).collect();
    letters.sort_unstable();
    // A position without free coordinates holds one site; the last one, the general position, holds any number.
    for i in (1..letters.len()).rev() {
        if positions[letters[i]].dof0 && letters[i] == letters[i - 1] {
            letters[i] = positions.len() - 1;
        }
    }
    letters.sort_unstable();
    let site = |letter: usize, stream: &mut SampleStream| {
        let species = Element::from_number(1 + (stream.uniform() * 94.0) as u8).expect("an element");
        let coord = positions[letter].project(std::array::from_fn(|_| stream.uniform()));
        Site { wyckoff: positions[letter].index, species, coord }
    };
    let sites = letters.into_iter().map(|letter| site(letter, &mut stream)).collect();
    let (lengths, angles) = group.symmetrize_lattice([2.5, 3.0, 3.5], [80.0, 95.0, 100.0]);
    let [alpha, beta, gamma] = angles.map(f64::to_radians);
    Tokens { group, lattice: [lengths[0], lengths[1], lengths[2], alpha, beta, gamma], sites }
}

/// Crystals drawn from `crystalformer-small`, without those whose atoms touch.
pub fn drawn(count: usize) -> Vec<Tokens> {
    let policy = PolicyDirectory::open(&shipped("crystalformer-small")).expect("the policy that ships");
    let hyper = &policy.model.hyper;
    let sampler = Sampler::load(&runtime(), hyper, resources(1 << 30)).expect("its graphs");
    let settings = SampleSettings::of_policy(None);
    let rows = sampler.sample(&policy.parameters, &groups(2 * count), draws(), &settings).expect("samples");
    let sound = |tokens: &Tokens| tokens.to_structure().is_ok_and(|s| smallest_distance(&s) > 1.0 && s.len() <= 60);
    rows.into_iter().filter_map(Result::ok).filter(sound).take(count).collect()
}
