//! The weight of the KL term where it is led towards a KL (Ziegler et al. 2019, arXiv 1909.08593, section 2.2).

/// K_beta there.
const GAIN: f64 = 0.1;
/// The largest error that counts, relative to the target.
const LARGEST_ERROR: f64 = 0.2;
/// What keeps the weight a number, however long the policy is on one side of the target.
const WEIGHTS: [f64; 2] = [1e-12, 1e12];

/// The weight after a batch on which KL to the base was `kl`, nats.
pub(super) fn next_kl_weight(weight: f64, kl: f64, target: f64) -> f64 {
    let error = (kl / target - 1.0).clamp(-LARGEST_ERROR, LARGEST_ERROR);
    (weight * (1.0 + GAIN * error)).clamp(WEIGHTS[0], WEIGHTS[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the target nothing changes; 10 % above it, the weight grows by 1 %; far from it by 2 %, either way.
    #[test]
    fn the_weight_follows_the_error() {
        for (kl, expected) in [(4.0, 0.5), (4.4, 0.505), (3.6, 0.495), (40.0, 0.51), (0.0, 0.49), (-1.0, 0.49)] {
            let found = next_kl_weight(0.5, kl, 4.0);
            assert!((found - expected).abs() < 1e-12, "KL {kl}: {found}, not {expected}");
        }
        let last = (0..10_000).fold(0.1, |weight, _| next_kl_weight(weight, 0.0, 1.0));
        assert_eq!(last, 1e-12);
    }
}
