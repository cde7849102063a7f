//! The difference of two shares.

use serde::Serialize;

use super::Proportion;

/// A share less an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The share now less the share before.
    pub value: f64,
    /// 95 % interval of independent samples: Newcombe, Stat. Med. 17, 873 (1998), method 10.
    pub interval: [f64; 2],
}

impl Difference {
    /// `now` less `before`; `None` if one of them is a share of nothing.
    pub fn new(now: &Proportion, before: &Proportion) -> Option<Self> {
        let (p, [p_low, p_high]) = (now.value?, now.interval?);
        let (q, [q_low, q_high]) = (before.value?, before.interval?);
        let value = p - q;
        Some(Self { value, interval: [value - (p - p_low).hypot(q_high - q), value + (p_high - p).hypot(q - q_low)] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first example of Newcombe's table: 56 of 70 less 48 of 80 is 0.2, between 0.0524 and 0.3339.
    #[test]
    fn intervals_are_newcombes() {
        let found = Difference::new(&Proportion::new(56, 70), &Proportion::new(48, 80)).unwrap();
        assert!((found.value - 0.2).abs() < 1e-12);
        assert!((found.interval[0] - 0.0524).abs() < 5e-5 && (found.interval[1] - 0.3339).abs() < 5e-5, "{found:?}");
        assert_eq!(Difference::new(&Proportion::new(0, 0), &Proportion::new(1, 2)), None);
    }
}
