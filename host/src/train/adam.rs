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
    /// A gradient that is not finite changes nothing: the caller sees its norm and decides.
    pub fn descend(&mut self, parameters: &mut Parameters, gradient: &[ArrayD<f32>], rate: f64, clip: f64) -> f64 {
        let norm = global_norm(gradient);
        if !norm.is_finite() {
            return norm;
        }
        let scale = if norm < clip { 1.0 } else { (clip / norm) as f32 };
        self.count += 1;
        let power = |beta: f32| 1.0 - f64::from(beta).powf(self.count as f64);
        let (correct1, correct2) = (power(BETA1) as f32, power(BETA2) as f32);
        let rate = rate as f32;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (((_, p), g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            Zip::from(p).and(g).and(m).and(v).for_each(|p, g, m, v| {
                let g = g * scale;
                *m = BETA1 * *m + (1.0 - BETA1) * g;
                *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                *p -= rate * (*m / correct1) / ((*v / correct2).sqrt() + EPSILON);
            });
        }
        norm
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
    }
}
