//! Durations as people read them.

use std::time::Duration;

/// Of a step, say: with a digit behind the point below 100 s.
pub(super) fn short(seconds: f64) -> String {
    if seconds < 100.0 { format!("{seconds:.1} s") } else { rounded(seconds) }
}

/// To whole seconds, and to whole minutes above an hour.
pub(super) fn rounded(seconds: f64) -> String {
    let seconds = seconds.clamp(0.0, 1e9) as u64;
    let coarse = if seconds < 3600 { seconds } else { seconds - seconds % 60 };
    humantime::format_duration(Duration::from_secs(coarse)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_durations_are_coarse() {
        assert_eq!((short(1.26), short(150.4)), ("1.3 s".to_owned(), "2m 30s".to_owned()));
        assert_eq!(rounded(7325.0), "2h 2m");
        assert_eq!(rounded(f64::NAN), "0s");
    }
}
