//! Adam with clipping by the global norm, as optax chains them (spec section 9; Kingma and Ba 2015, algorithm 1).

use ndarray::{ArrayD, Zip};

use crate::policy::Parameters;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// Moments and step count.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Mean of gradients, one tensor per parameter in the parameters' order.
    pub first: Vec<ArrayD<f32>>,
    /// Mean of squared gradients.
    pub second: Vec<ArrayD<f32>>,
    /// Steps taken.
    pub count: u64,
}

impl Adam {
    /// No steps taken yet.
    pub fn new(parameters: &Parameters) -> Self {
        let zeros: Vec<_> = parameters.iter().map(|(_, p)| ArrayD::zeros(p.raw_dim())).collect();
        Self { first: zeros.clone(), second: zeros, count: 0 }
    }

    /// One step down the gradient, scaled to norm `clip` if it is longer. Returns the norm before clipping.
    ///
    /// A gradient that is not finite, or one that would make anything else so, changes nothing: the caller sees the norm, then
    /// infinite, and decides.
    pub fn descend(&mut self, parameters: &mut Parameters, gradient: &[ArrayD<f32>], rate: f64, clip: f64) -> f64 {
        let norm = global_norm(gradient);
        if !norm.is_finite() {
            return norm;
        }
        let scale = if norm < clip { 1.0 } else { (clip / norm) as f32 };
        let count = self.count + 1;
        let power = |beta: f32| 1.0 - f64::from(beta).powf(count as f64);
        let step = Step { scale, correct: [power(BETA1) as f32, power(BETA2) as f32], rate: rate as f32 };
        let moments = self.first.iter().zip(&self.second);
        let is_finite = parameters.iter().zip(gradient).zip(moments).all(|(((_, p), g), (m, v))| {
            let new = p.iter().zip(g).zip(m.iter().zip(v)).map(|((p, g), (m, v))| step.of(*p, *g, *m, *v));
            new.fold(true, |finite, (p, m, v)| finite & p.is_finite() & m.is_finite() & v.is_finite())
        });
        if !is_finite {
            return f64::INFINITY;
        }
        self.count = count;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (((_, p), g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            Zip::from(p).and(g).and(m).and(v).for_each(|p, g, m, v| (*p, *m, *v) = step.of(*p, *g, *m, *v));
        }
        norm
    }
}

/// What a step does to each number.
struct Step {
    scale: f32,
    correct: [f32; 2],
    rate: f32,
}

impl Step {
    /// Parameter and moments after the step.
    fn of(&self, p: f32, g: f32, m: f32, v: f32) -> (f32, f32, f32) {
        let g = g * self.scale;
        let m = BETA1 * m + (1.0 - BETA1) * g;
        let v = BETA2 * v + (1.0 - BETA2) * g * g;
        (p - self.rate * (m / self.correct[0]) / ((v / self.correct[1]).sqrt() + EPSILON), m, v)
    }
}

/// Euclidean norm over all tensors.
pub fn global_norm(tensors: &[ArrayD<f32>]) -> f64 {
    let squares = tensors.iter().map(|t| t.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>());
    squares.sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tiny_hyperparameters;

    fn tiny() -> Parameters {
        Parameters::initialise(&tiny_hyperparameters(), 1)
    }

    /// The first step of Adam is `rate * sign(g)` wherever |g| >> epsilon: mathematics, not our output.
    #[test]
    fn the_first_step_is_the_sign() {
        let mut parameters = tiny();
        let before = parameters.clone();
        let gradient: Vec<_> = parameters.iter().map(|(_, p)| ArrayD::from_elem(p.raw_dim(), -3.0)).collect();
        let mut adam = Adam::new(&parameters);
        let norm = adam.descend(&mut parameters, &gradient, 1e-2, 1.0);
        let count: usize = gradient.iter().map(|g| g.len()).sum();
        assert!((norm - 3.0 * (count as f64).sqrt()).abs() < 1e-6 * norm);
        for ((_, new), (_, old)) in parameters.iter().zip(before.iter()) {
            for (new, old) in new.iter().zip(old) {
                assert!((new - old - 1e-2).abs() < 1e-6, "{new} {old}");
            }
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let mut parameters = tiny();
        let before = parameters.clone();
        let mut gradient: Vec<_> = parameters.iter().map(|(_, p)| ArrayD::zeros(p.raw_dim())).collect();
        gradient[0].fill(f32::NAN);
        let mut adam = Adam::new(&parameters);
        assert!(adam.descend(&mut parameters, &gradient, 1e-2, 1.0).is_nan());
        assert_eq!(parameters, before);
        assert_eq!(adam.count, 0);
        // Finite, and what it leads to is not: the square of a gradient, or a parameter.
        let fresh = adam.clone();
        for (value, rate) in [(1e25, 1e-2), (1.0, 1e300)] {
            gradient[0].fill(value);
            assert_eq!(adam.descend(&mut parameters, &gradient, rate, 1e30), f64::INFINITY, "{value} {rate}");
            assert_eq!((&parameters, &adam), (&before, &fresh));
        }
    }
}
