//! JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` stand among its numbers, which JSON does not have.

use std::io::{self, BufRead, Read};

/// The longest of the words, bytes.
const LONGEST: usize = "-Infinity".len();

/// Puts these words between quotes wherever they stand as values, so that a reader of JSON takes them for texts; what stands
/// within a text stays as it is.
pub struct QuoteNonFinite<R> {
    inner: R,
    place: NumberPlace,
    /// The word under way; empty between words.
    word: Vec<u8>,
    /// What has been read and not yet been taken, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum NumberPlace {
    Between,
    /// In a word that is longer than those that are looked for.
    LongWord,
    Text,
    /// After a backslash in a text.
    Escape,
}

impl<R: BufRead> QuoteNonFinite<R> {
    /// Reads what `inner` has.
    pub fn new(inner: R) -> Self {
        Self { inner, place: NumberPlace::Between, word: Vec::new(), ready: Vec::new(), taken: 0 }
    }

    fn push(&mut self, byte: u8) {
        let in_word = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        self.place = match (self.place, byte) {
            (NumberPlace::Text, b'\\') => NumberPlace::Escape,
            (NumberPlace::Text, b'"') => NumberPlace::Between,
            (NumberPlace::Text | NumberPlace::Escape, _) => NumberPlace::Text,
            (NumberPlace::Between, _) if in_word && self.word.len() < LONGEST => {
                self.word.push(byte);
                return;
            }
            // Too long for one of the words: it need not be held.
            (NumberPlace::Between | NumberPlace::LongWord, _) if in_word => NumberPlace::LongWord,
            (_, b'"') => NumberPlace::Text,
            _ => NumberPlace::Between,
        };
        if self.place == NumberPlace::LongWord {
            self.ready.append(&mut self.word)
        } else {
            self.end_word()
        }
        self.ready.push(byte);
    }

    fn end_word(&mut self) {
        if matches!(&self.word[..], b"NaN" | b"Infinity" | b"-Infinity") {
            self.word.insert(0, b'"');
            self.word.push(b'"');
        }
        self.ready.append(&mut self.word);
    }
}

impl<R: BufRead> Read for QuoteNonFinite<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.ready.len() {
            self.ready.clear();
            self.taken = 0;
            let read = self.inner.fill_buf()?.to_vec();
            if read.is_empty() {
                self.end_word();
                if self.ready.is_empty() {
                    return Ok(0);
                }
            }
            read.iter().for_each(|byte| self.push(*byte));
            self.inner.consume(read.len());
        }
        let mut rest = &self.ready[self.taken..];
        let length = rest.read(buffer)?;
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn quoted(text: &str, capacity: usize) -> String {
        let mut found = String::new();
        let reader = BufReader::with_capacity(capacity, text.as_bytes());
        QuoteNonFinite::new(reader).read_to_string(&mut found).unwrap();
        found
    }

    #[test]
    fn words_that_are_values_become_texts() {
        for (text, expected) in [
            ("NaN", r#""NaN""#),
            ("[NaN,-Infinity, Infinity ]", r#"["NaN","-Infinity", "Infinity" ]"#),
            (r#"{"NaN": NaN, "a\" NaN": -1.5e-10}"#, r#"{"NaN": "NaN", "a\" NaN": -1.5e-10}"#),
            (r#"["\\", NaN, "x\\\"", NaN]"#, r#"["\\", "NaN", "x\\\"", "NaN"]"#),
            ("[NaNa, 1234567890123.25, InfinityInfinity]", "[NaNa, 1234567890123.25, InfinityInfinity]"),
            ("[-123456789NaN, 1NaN]", "[-123456789NaN, 1NaN]"),
            ("", ""),
        ] {
            for capacity in [1, 2, 5, 1000] {
                assert_eq!(quoted(text, capacity), expected, "{capacity}");
            }
        }
    }
}
