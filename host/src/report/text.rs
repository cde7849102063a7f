//! Numbers as they are read.

use crate::metrics::{Difference, Proportion};

/// With four significant digits.
pub fn number(x: f64) -> String {
    let size = x.abs();
    match size {
        _ if !x.is_finite() => "-".to_owned(),
        0.0 => "0".to_owned(),
        _ if !(1e-3..1e5).contains(&size) => format!("{x:.3e}"),
        _ => {
            let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{x:.decimals$}")
        }
    }
}

/// A mean, and the spread where it is known: `0.1000 ± 0.02000`.
pub fn mean_with_spread((mean, spread): (f64, Option<f64>)) -> String {
    spread.map_or_else(|| number(mean), |spread| format!("{} \u{b1} {}", number(mean), number(spread)))
}

/// A share with its interval and its count: `24.0 % [16.7, 33.2], 24 of 100`.
pub fn share(share: Proportion) -> String {
    let (count, of) = (share.count, share.of);
    match share.value.zip(share.interval) {
        Some((value, interval)) => {
            let [value, low, high] = [value, interval[0], interval[1]].map(|x| format!("{:.1}", 100.0 * x));
            format!("{value} % [{low}, {high}], {count} of {of}")
        }
        None => "-".to_owned(),
    }
}

/// What a share has changed by, with its interval, in points: `+5.0 [-7.1, +17.0]`.
pub fn change(now: &Proportion, before: &Proportion) -> String {
    let Some(Difference { value, interval: [low, high] }) = Difference::new(now, before) else { return "-".to_owned() };
    let [value, low, high] = [value, low, high].map(|x| format!("{:+.1}", 100.0 * x));
    format!("{value} [{low}, {high}]")
}

/// Several steps in few words.
pub fn steps(steps: impl Iterator<Item = u64>) -> String {
    let mut ranges = Vec::<(u64, u64)>::new();
    for step in steps {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(step) => *last = step,
            _ => ranges.push((step, step)),
        }
    }
    let range =
        |(first, last): (u64, u64)| if first == last { first.to_string() } else { format!("{first} to {last}") };
    ranges.into_iter().map(range).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_true() {
        let expected = [
            (0.0, "0"),
            (-0.334_328, "-0.3343"),
            (12.345_67, "12.35"),
            (1234.56, "1235"),
            (0.000_123_64, "1.236e-4"),
            (1.5e7, "1.500e7"),
            (f64::NAN, "-"),
        ];
        for (x, text) in expected {
            assert_eq!(number(x), text);
        }
        // Wilson's interval of 227 of 1000 by SciPy: [0.20211, 0.25398].
        assert_eq!(share(Proportion::new(227, 1000)), "22.7 % [20.2, 25.4], 227 of 1000");
        assert_eq!(share(Proportion::new(0, 0)), "-");
        // Newcombe's first example.
        assert_eq!(change(&Proportion::new(56, 70), &Proportion::new(48, 80)), "+20.0 [+5.2, +33.4]");
        assert_eq!(steps([1, 2, 3, 7, 9, 10].into_iter()), "1 to 3, 7, 9 to 10");
    }
}
