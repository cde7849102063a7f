//! What several ranks take to agree and to add up gradients: `mpirun -n N` of this program, built by
//! `cargo bench --features mpi --bench ranks --no-run`.

#![allow(clippy::print_stdout, reason = "a bench prints its result")]

use std::time::Instant;

use temper::ranks::{Ranks, World};

/// Numbers of the gradient of a policy of the paper's size: 19.3 MB.
const NUMBERS: usize = 4_830_000;
const ROUNDS: usize = 20;

fn main() {
    let world = match World::open(|code| std::process::exit(code.into())) {
        Ok(world) => world,
        Err(error) => {
            println!("{error}");
            std::process::exit(2);
        }
    };
    let ranks = world.ranks();
    let mut numbers = vec![1.0_f32; NUMBERS];
    let sum = median(ranks, || ranks.sum(&mut numbers));
    assert_eq!(numbers[0], (ranks.size() as f32).powi(ROUNDS as i32), "every sum multiplies by the number of ranks");
    let agreement = median(ranks, || assert!(!ranks.any(false)));
    if ranks.is_first() {
        let size = ranks.size();
        println!("{size} ranks: sum of 19.3 MB {:.2} ms, an agreement {:.3} ms", 1e3 * sum, 1e3 * agreement);
    }
    world.part(None);
}

/// Seconds of the middle one of some rounds, which all ranks begin together.
fn median(ranks: Ranks, mut work: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            ranks.any(false);
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[ROUNDS / 2]
}
