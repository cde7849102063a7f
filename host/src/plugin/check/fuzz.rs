//! Random crystals, one in four of them absurd: none may affect the others of its batch.

use std::time::Instant;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::{Outcome, PluginError};
use super::CheckSession;
use super::sample::{Sample, known_elements};
use crate::conformance::CheckResult;

pub(super) const NAMES: [&str; 1] = ["fuzz"];

const CRYSTALS: usize = 512;
const AT_ONCE: usize = 32;
const MOST_ATOMS: u64 = 30;
/// Heavier elements are in no data set.
const HEAVIEST: u8 = 103;
/// The crystals together may take so many deadlines.
const DEADLINES: u32 = 6;
/// What the stream of random numbers is for.
const PURPOSE: [u8; 24] = *b"temper plugin check v1  ";

pub(super) fn checks(session: &mut CheckSession<'_>) -> Vec<CheckResult> {
    let seed = session.asked.seed;
    let elements: Vec<u8> = known_elements(&session.plugin.properties).iter().map(|element| element.number()).collect();
    let light: Vec<u8> = elements.iter().copied().filter(|number| *number <= HEAVIEST).collect();
    let elements = if light.is_empty() { elements } else { light };
    let (began, allowed) = (Instant::now(), DEADLINES * session.plugin.deadline());
    let (mut wrong, mut done) = (Vec::new(), 0);
    while done < CRYSTALS && wrong.is_empty() && began.elapsed() < allowed {
        let batch: Vec<Sample> = (done..done + AT_ONCE).map(|index| random(seed, index, &elements)).collect();
        wrong = tried(session, &batch);
        done += AT_ONCE;
    }
    let check = CheckResult::count(NAMES[0], &wrong, "crystals");
    let found = if wrong.is_empty() { String::new() } else { format!("; {}", check.note) };
    vec![CheckResult { note: format!("{done} crystals, seed {seed}{found}"), ..check }]
}

/// What is wrong with the answer to a batch, by crystal.
fn tried(session: &mut CheckSession<'_>, batch: &[Sample]) -> Vec<String> {
    match session.plugin.ask(batch) {
        Ok(outcomes) => {
            batch.iter().zip(&outcomes).filter_map(|(sample, outcome)| beyond(session, sample, outcome)).collect()
        }
        Err(error) => culprits(session, batch, &error),
    }
}

/// The crystals that the plugin cannot be asked about alone, or the batch if there is none.
fn culprits(session: &mut CheckSession<'_>, batch: &[Sample], error: &PluginError) -> Vec<String> {
    let alone = batch.iter().filter_map(|sample| {
        let error = session.plugin.ask_alone(sample).err()?;
        Some(format!("{}: {error}", sample.name))
    });
    let found: Vec<String> = alone.take(3).collect();
    let names = [batch.first(), batch.last()].into_iter().flatten().map(|sample| sample.name.as_str());
    let batch = || vec![format!("{}, together: {error}", names.collect::<Vec<_>>().join(" to "))];
    if found.is_empty() { batch() } else { found }
}

/// A value outside of the range that is claimed.
fn beyond(session: &CheckSession<'_>, sample: &Sample, outcome: &Outcome) -> Option<String> {
    let ([least, greatest], Outcome::Value(value)) = (session.plugin.properties.range, outcome) else { return None };
    let outside = least.is_some_and(|x| *value < x) || greatest.is_some_and(|x| *value > x);
    outside.then(|| format!("{}: {value} is outside the range that the plugin declares", sample.name))
}

/// Random numbers of one crystal.
struct Stream(ChaCha8Rng);

impl Stream {
    fn new(seed: u64, index: usize) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..].copy_from_slice(&PURPOSE);
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(index as u64);
        Self(stream)
    }

    /// Below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0.next_u64() % n.max(1)
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn vectors(&mut self, low: f64, high: f64) -> [[f64; 3]; 3] {
        std::array::from_fn(|_| std::array::from_fn(|_| self.between(low, high)))
    }
}

/// The crystal of a seed and an index, whatever is drawn beside it.
fn random(seed: u64, index: usize, elements: &[u8]) -> Sample {
    let stream = &mut Stream::new(seed, index);
    let atoms = 1 + stream.below(MOST_ATOMS);
    let numbers: Vec<u8> =
        (0..atoms).filter_map(|_| elements.get(stream.below(elements.len() as u64) as usize).copied()).collect();
    let fractional = numbers.iter().map(|_| std::array::from_fn(|_| stream.between(-1.5, 1.5))).collect();
    let mut sample = Sample::new(format!("crystal {index}"), lattice(stream), numbers, fractional);
    if stream.below(4) == 0 {
        spoil(stream, &mut sample);
    }
    sample
}

fn lattice(stream: &mut Stream) -> [[f64; 3]; 3] {
    let mut lattice = stream.vectors(-2.0, 2.0);
    (0..3).for_each(|k| lattice[k][k] += 8.0);
    match stream.below(8) {
        0 => stream.vectors(-10.0, 10.0),
        1 => lattice.map(|v| v.map(|x| 0.1 * x)),
        2 => lattice.map(|v| v.map(|x| 1e3 * x)),
        3 => [lattice[0].map(|x| 20.0 * x), lattice[1], lattice[2]],
        4 => [lattice[1], lattice[0], lattice[2]],
        _ => lattice,
    }
}

/// Makes a crystal senseless.
fn spoil(stream: &mut Stream, sample: &mut Sample) {
    let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -0.0, 5e-324][stream.below(6) as usize];
    let (row, column) = (stream.below(3) as usize, stream.below(3) as usize);
    let atom = stream.below(sample.numbers.len() as u64) as usize;
    match stream.below(6) {
        0 => sample.lattice[row][column] = odd,
        1 => sample.lattice[row] = [0.0; 3],
        2 => sample.lattice = [[0.0; 3]; 3],
        3 => sample.fractional.iter_mut().for_each(|r| *r = [0.0; 3]),
        4 => sample.energy = odd,
        _ => sample.fractional[atom][column] = odd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crystals_belong_to_their_seed_and_index() {
        let elements: Vec<u8> = (1..=103).collect();
        let shown = |seed, index| format!("{:?}", random(seed, index, &elements));
        assert_eq!(shown(7, 30), shown(7, 30));
        assert_ne!(shown(7, 30), shown(7, 31));
        assert_ne!(shown(7, 30), shown(8, 30));
        let all: Vec<Sample> = (0..200).map(|index| random(1, index, &elements)).collect();
        let is_odd = |sample: &&Sample| sample.lattice.as_flattened().iter().any(|x| !x.is_finite());
        let odd = all.iter().filter(is_odd).count();
        assert!((1..40).contains(&odd), "{odd}");
        assert!(
            all.iter().any(|sample| sample.numbers.len() == 1) && all.iter().any(|sample| sample.numbers.len() == 30)
        );
    }

    #[test]
    fn only_known_elements_are_drawn() {
        assert!((0..50).all(|index| random(3, index, &[8, 26]).numbers.iter().all(|number| [8, 26].contains(number))));
    }
}
