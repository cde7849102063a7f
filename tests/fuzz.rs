//! The fuzz targets (`tests/fuzz`) over their seeds, and over inputs made from these: the same ones each time.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

#[path = "fuzz/src/lib.rs"]
#[allow(unused_imports, reason = "the targets are called by their table")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Inputs that are made for each target. Millions were run under libFuzzer: see `tests/fuzz/README.md`.
const INPUTS: usize = 400;
/// Of targets whose inputs are computed with.
const FEW: usize = 60;
const SLOW: [&str; 2] = ["crystal", "onnx"];
/// Hundreds of times what any input takes.
const LIMIT: Duration = Duration::from_secs(20);

/// What breaks readers, in text and in bytes.
const PIECES: [&[u8]; 16] = [
    b"-1",
    b"0",
    b"1e308",
    b"1e-320",
    b"nan",
    b"-inf",
    b"18446744073709551615",
    b"99999999999999999999999",
    b"\"",
    b"[[[[[[[[[[[[[[[[",
    b"\n\n",
    b"\xff\xfe",
    b"\0\0\0\0",
    &u64::MAX.to_le_bytes(),
    &i64::MIN.to_le_bytes(),
    &f64::NAN.to_le_bytes(),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder().join("seeds").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let targets: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder().join("fuzz_targets")), targets);
    assert_eq!(names(&folder().join("seeds")), targets);
    let manifest: toml::Table = fs::read_to_string(folder().join("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["bin"].as_array().unwrap();
    let programs = programs.iter().map(|program| program["name"].as_str().unwrap().to_owned());
    assert_eq!(programs.collect::<BTreeSet<_>>(), targets);
}

#[test]
fn no_input_breaks_a_reader() {
    std::thread::scope(|scope| {
        let halves = targets::TARGETS.chunks(targets::TARGETS.len() / 2);
        let threads: Vec<_> = halves.map(|targets| scope.spawn(|| targets.iter().for_each(fuzz))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn fuzz((name, target): &targets::Target) {
    let seeds = seeds(name);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let made = if SLOW.contains(name) { FEW } else { INPUTS };
    let made: Vec<Vec<u8>> = (0..made).map(|_| mutated(&seeds, &mut random)).collect();
    for input in seeds.iter().chain(&made) {
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
        assert!(outcome.is_ok() && start.elapsed() < LIMIT, "{name} broke on {:?}", String::from_utf8_lossy(input));
    }
}

/// A seed with some of its bytes changed, moved, left out or replaced by others.
fn mutated(seeds: &[Vec<u8>], random: &mut impl Rng) -> Vec<u8> {
    let mut input = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(1..5) {
        let (from, to) = (random.random_range(0..=input.len()), random.random_range(0..=input.len()));
        let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 64));
        match random.random_range(0..6) {
            0 if !input.is_empty() => {
                let at = random.random_range(0..input.len());
                input[at] ^= 1 << random.random_range(0..8);
            }
            1 => input.truncate(to),
            2 => drop(input.drain(from..to)),
            3 => {
                let copy = input[from..to].to_vec();
                input.splice(to..to, copy);
            }
            4 => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let cut = random.random_range(0..=other.len());
                input.truncate(from);
                input.extend_from_slice(&other[cut..]);
            }
            _ => {
                drop(input.splice(from..to.min(from + 8), PIECES[random.random_range(0..PIECES.len())].iter().copied()))
            }
        }
    }
    input
}
