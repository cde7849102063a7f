//! The fast inertial relaxation engine, FIRE.

/// Velocities under friction that follow the forces: Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), with the constants and
/// the order of operations of ASE's `FIRE`.
#[derive(Clone, Debug)]
pub(super) struct Fire {
    time_step: f64,
    /// Share of the velocity that is turned into the direction of the forces.
    mixing: f64,
    /// Steps since the last one uphill.
    downhill: usize,
    /// None before the first step.
    velocity: Option<Vec<f64>>,
}

const FIRST_TIME_STEP: f64 = 0.1;
const LARGEST_TIME_STEP: f64 = 1.0;
/// Longest step of all coordinates together, angstrom.
const LONGEST_STEP: f64 = 0.2;
/// Steps downhill before the time step grows.
const PATIENCE: usize = 5;
const GROWTH: f64 = 1.1;
const DECREASE: f64 = 0.5;
const FIRST_MIXING: f64 = 0.1;
const MIXING_DECREASE: f64 = 0.99;

impl Fire {
    pub fn new() -> Self {
        Self { time_step: FIRST_TIME_STEP, mixing: FIRST_MIXING, downhill: 0, velocity: None }
    }

    /// By how much the coordinates change under these forces.
    pub fn step(&mut self, forces: &[f64]) -> Vec<f64> {
        let mut velocity = match self.velocity.take() {
            Some(velocity) => self.steered(velocity, forces),
            None => vec![0.0; forces.len()],
        };
        velocity.iter_mut().zip(forces).for_each(|(v, f)| *v += self.time_step * f);
        let length = self.time_step * norm(&velocity);
        let scale = if length > LONGEST_STEP { LONGEST_STEP / length } else { 1.0 };
        let step = velocity.iter().map(|v| scale * self.time_step * v).collect();
        self.velocity = Some(velocity);
        step
    }

    /// The velocity turned towards the forces, or stopped where it leads uphill.
    fn steered(&mut self, mut velocity: Vec<f64>, forces: &[f64]) -> Vec<f64> {
        let power: f64 = velocity.iter().zip(forces).map(|(v, f)| v * f).sum();
        if power > 0.0 {
            let along = self.mixing * norm(&velocity) / norm(forces);
            velocity.iter_mut().zip(forces).for_each(|(v, f)| *v = (1.0 - self.mixing) * *v + along * f);
            if self.downhill > PATIENCE {
                self.time_step = (self.time_step * GROWTH).min(LARGEST_TIME_STEP);
                self.mixing *= MIXING_DECREASE;
            }
            self.downhill += 1;
        } else {
            velocity.fill(0.0);
            self.mixing = FIRST_MIXING;
            self.time_step *= DECREASE;
            self.downhill = 0;
        }
        velocity
    }
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}
