//! Random dropout masks.

use ndarray::{ArrayD, IxDyn};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::policy::{DropoutMasks, Hyperparameters, keyed_stream};

/// The dropout masks of a step.
pub struct Dropout<'h> {
    /// Of the policy: how much is dropped.
    pub hyper: &'h Hyperparameters,
    /// Of the run.
    pub seed: u64,
    /// From 0 over the whole training.
    pub step: u64,
}

impl Dropout<'_> {
    /// Masks for one group: on the residual stream each row has its own; on attention a group's crystals share them.
    pub fn masks(&self, group: usize, crystals: usize, tokens: usize) -> DropoutMasks {
        let h = self.hyper;
        let mut random = keyed_stream(self.seed, *b"temper pretrain dropout ", self.step << 16 | group as u64);
        let attention = [h.num_layers, h.num_heads, tokens, tokens];
        let residual = [h.num_layers, 2, crystals * tokens, h.model_size];
        DropoutMasks {
            attention: mask(&mut random, &attention, h.attn_dropout),
            residual: mask(&mut random, &residual, h.dropout_rate),
        }
    }
}

/// 0 with probability `rate` (to 1/65536), else 1 / (1 - rate). Without dropout a single 1 along the varying axes.
fn mask(random: &mut ChaCha8Rng, shape: &[usize], rate: f64) -> ArrayD<f32> {
    if rate == 0.0 {
        let mut ones = vec![1; shape.len()];
        ones[..shape.len() - 2].copy_from_slice(&shape[..shape.len() - 2]);
        return ArrayD::ones(IxDyn(&ones));
    }
    let (threshold, kept) = ((rate * 65536.0) as u16, (1.0 / (1.0 - rate)) as f32);
    let count: usize = shape.iter().product();
    let mut bytes = vec![0u8; 2 * count];
    random.fill_bytes(&mut bytes);
    let mut pairs = bytes.as_chunks::<2>().0.iter();
    let draw = || pairs.next().map_or(kept, |pair| if u16::from_le_bytes(*pair) < threshold { 0.0 } else { kept });
    ArrayD::from_shape_simple_fn(IxDyn(shape), draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_keep_the_mean() {
        let mut random = keyed_stream(1, *b"temper pretrain dropout ", 3);
        let mask = mask(&mut random, &[100, 200], 0.1);
        let mean = mask.mean().unwrap();
        // 20,000 draws: the mean's standard deviation is 0.0024.
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert!(mask.iter().all(|x| *x == 0.0 || (*x - 1.0 / 0.9).abs() < 1e-6));
    }
}
