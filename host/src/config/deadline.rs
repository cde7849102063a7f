//! A length of time, written `"30s"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long something may take, more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Deadline(Duration);

impl Deadline {
    /// So many seconds, at least one.
    pub const fn seconds(n: u32) -> Self {
        Self(Duration::from_secs(if n == 0 { 1 } else { n as u64 }))
    }

    /// The length of time.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Deadline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = humantime::parse_duration(text.trim()).ok().filter(|duration| !duration.is_zero());
        let wrong = || format!("{text:?} is not a length of time above 0; write it like \"30s\", \"500ms\" or \"5m\"");
        duration.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl TryFrom<String> for Deadline {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Deadline> for String {
    fn from(deadline: Deadline) -> Self {
        deadline.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_written() {
        for (text, ms) in [("30s", 30_000), ("500ms", 500), ("5m", 300_000), ("1h 30min", 5_400_000), (" 2 s ", 2_000)]
        {
            let deadline: Deadline = text.parse().unwrap();
            assert_eq!(deadline.duration(), Duration::from_millis(ms), "{text}");
            assert_eq!(deadline.to_string().parse(), Ok(deadline));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "30", "s", "-1s", "0s", "0", "NaN s", "inf", "1e99 s", "30 sec more", "99999999999999999999s"]
        {
            assert!(text.parse::<Deadline>().is_err(), "{text}");
        }
    }
}
