//! An amount of memory, written `"4 GiB"`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 7] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("B", 1),
];

/// An amount of memory in bytes, more than zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Memory(u64);

impl Memory {
    /// `n` GiB.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// `n` bytes.
    pub const fn of_bytes(n: u64) -> Self {
        Self(n)
    }

    /// The amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an amount of memory; write it like \"4 GiB\" or \"512 MiB\"");
        let (number, unit) =
            text.trim().split_at(text.trim().find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?);
        let number: f64 = number.trim().parse().map_err(|_| wrong())?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let bytes = number * *unit as f64;
        // Below 2^53 every whole number of bytes is exact; beyond it no machine has that much.
        if (1.0..9.0e15).contains(&bytes) { Ok(Self(bytes as u64)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = UNITS.iter().find(|(_, size)| self.0.is_multiple_of(*size)).unwrap_or(&("B", 1));
        write!(f, "{} {unit}", self.0 / size)
    }
}

impl TryFrom<String> for Memory {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Memory> for String {
    fn from(memory: Memory) -> Self {
        memory.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_written() {
        for (text, bytes) in [("4 GiB", 4 << 30), ("512MiB", 512 << 20), ("1.5 GiB", 3 << 29), ("2 GB", 2_000_000_000)]
        {
            let memory: Memory = text.parse().unwrap();
            assert_eq!(memory.bytes(), bytes, "{text}");
            assert_eq!(memory.to_string().parse(), Ok(memory));
        }
        assert_eq!(Memory::gib(4).to_string(), "4 GiB");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "4", "GiB", "-1 GiB", "0 B", "4 gib", "NaN GiB", "inf GiB", "1e99 GiB", "4 GiB more"] {
            assert!(text.parse::<Memory>().is_err(), "{text}");
        }
    }
}
