//! How far a float32 program may be off after optimiser steps on PPO.
//!
//! Each crystal's part of the gradient is weighted with a ratio of probabilities, which carries the rounding of that crystal's
//! log p. Where the parts add up, that is little; Adam, though, makes steps of one size of all gradients, and so passes the
//! error of an entry in which the parts nearly cancel on as it is. How large the error of a weight is follows from how far the
//! reference's own float32 gradient is from its float64 one.

use ndarray::ArrayD;

use crate::exact::{Adam, norm, ppo, sum, tensors};
use crate::float64::Tensors;
use crate::reference::{Golden, LEARNING_RATE};

/// The gradients of one step.
struct Step {
    gradient: Vec<ArrayD<f64>>,
    /// Standard deviation of the gradient if the weight of every crystal has an error of 1, independent of the others'.
    spread: Vec<ArrayD<f64>>,
}

/// Standard deviation of each parameter after three steps, in learning rates.
pub fn of_three_ppo_steps(golden: &Golden) -> Vec<ArrayD<f64>> {
    let start = tensors(golden, "params.safetensors");
    let (mut gradient, mut end, mut adam) = (ppo(golden), start.clone(), Adam::new(&start));
    let mut steps = Vec::new();
    for _ in 0..3 {
        let step = Step::new(gradient.parts(&end));
        adam.descend(&mut end, &step.gradient);
        steps.push(step);
    }
    let error = golden.deviation("grad_ppo_rel_l2") * norm(&steps[0].gradient) / norm(&steps[0].spread);
    let mut variance: Vec<ArrayD<f64>> = start.iter().map(|(_, p)| ArrayD::zeros(p.raw_dim())).collect();
    for perturbed in 0..steps.len() {
        let off = with_error(&start, &steps, perturbed, error);
        for ((variance, (_, off)), (_, end)) in variance.iter_mut().zip(&off).zip(&end) {
            *variance += &((off - end) / LEARNING_RATE).mapv(|x| x * x);
        }
    }
    variance.into_iter().map(|variance| variance.mapv(f64::sqrt)).collect()
}

/// The parameters after all steps, one of which has an error in its gradient.
fn with_error(start: &Tensors, steps: &[Step], perturbed: usize, error: f64) -> Tensors {
    let (mut parameters, mut adam) = (start.clone(), Adam::new(start));
    for (i, step) in steps.iter().enumerate() {
        let error = if i == perturbed { error } else { 0.0 };
        let off: Vec<_> = step.gradient.iter().zip(&step.spread).map(|(g, spread)| g + spread * error).collect();
        adam.descend(&mut parameters, &off);
    }
    parameters
}

impl Step {
    fn new(mut parts: Vec<Vec<ArrayD<f64>>>) -> Self {
        let gradient = sum(&parts);
        parts.iter_mut().flatten().for_each(|part| part.mapv_inplace(|x| x * x));
        let spread = sum(&parts).into_iter().map(|variance| variance.mapv(f64::sqrt)).collect();
        Self { gradient, spread }
    }
}
