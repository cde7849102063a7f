//! The comment line of extended XYZ: `key=value` pairs.

use super::record::{excerpt, number};
use serde_json::Value;

/// Marks a quoted value as JSON; ASE writes and reads it so.
pub(super) const JSON_MARK: &str = "_JSON ";

/// The text of a value in the comment line.
pub(super) struct Field {
    pub text: String,
    kind: Kind,
}

#[derive(PartialEq)]
enum Kind {
    Bare,
    Quoted,
    /// An array `[1, 2]` or `[[1, 2], [3, 4]]`, with its brackets.
    Array,
}

impl Field {
    pub fn value(self) -> Value {
        match self.kind {
            Kind::Quoted => {
                let json = self.text.strip_prefix(JSON_MARK).and_then(|json| serde_json::from_str(json).ok());
                json.unwrap_or(Value::String(self.text))
            }
            Kind::Array => array(&self.text).unwrap_or(Value::String(self.text)),
            Kind::Bare => scalar(&self.text),
        }
    }
}

fn scalar(text: &str) -> Value {
    let json = serde_json::from_str(text).ok().filter(Value::is_number);
    json.or_else(|| boolean(text).map(Value::Bool))
        .or_else(|| number(text).map(Value::from))
        .unwrap_or(Value::String(text.to_owned()))
}

/// The values between brackets, themselves bare words or arrays.
fn array(text: &str) -> Option<Value> {
    let mut open: Vec<Vec<Value>> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '[' => {
                open.push(Vec::new());
                1
            }
            ']' => {
                let done = Value::Array(open.pop()?);
                match open.last_mut() {
                    Some(outer) => outer.push(done),
                    None => return rest[1..].is_empty().then_some(done),
                }
                1
            }
            ',' => 1,
            c if c.is_whitespace() => c.len_utf8(),
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "[],".contains(c)).unwrap_or(rest.len());
                open.last_mut()?.push(scalar(&rest[..end]));
                end
            }
        };
        rest = &rest[length..];
    }
    None
}

pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "T" | "True" | "true" | "TRUE" => Some(true),
        "F" | "False" | "false" | "FALSE" => Some(false),
        _ => None,
    }
}

/// The pairs of a comment line; a key alone is true, and of a key that comes again the last value counts.
pub(super) fn keys(comment: &str) -> Result<Vec<(String, Field)>, String> {
    let mut keys: Vec<(String, Field)> = Vec::new();
    let mut rest = comment.trim();
    while !rest.is_empty() {
        let (key, after) = word(rest, true)?;
        let after = after.trim_start();
        let (field, after) = match after.strip_prefix('=') {
            Some(value) => word(value.trim_start(), false)?,
            None => (Field { text: "T".into(), kind: Kind::Bare }, after),
        };
        match keys.iter_mut().find(|(known, _)| *known == key.text) {
            Some((_, known)) => *known = field,
            None => keys.push((key.text, field)),
        }
        rest = after.trim_start();
    }
    Ok(keys)
}

/// The word at the start, bare, quoted (with `\` before `"` and `\`) or an array, and what follows it.
fn word(text: &str, is_key: bool) -> Result<(Field, &str), String> {
    let close = match text.chars().next() {
        Some('"') => '"',
        Some('\'') => '\'',
        Some('{') => '}',
        Some('[') if !is_key => {
            let length = bracketed(text).ok_or_else(|| format!("bracket without an end: {}", excerpt(text)))?;
            return Ok((Field { text: text[..length].to_owned(), kind: Kind::Array }, &text[length..]));
        }
        _ => {
            let end = text.find(|c: char| c.is_whitespace() || (is_key && c == '=')).unwrap_or(text.len());
            return match end {
                0 => Err(format!("no {} in {}", if is_key { "key" } else { "value" }, excerpt(text))),
                _ => Ok((Field { text: text[..end].to_owned(), kind: Kind::Bare }, &text[end..])),
            };
        }
    };
    let mut word = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => word.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, escaped)) => escaped,
                None => break,
            }),
            c if c == close => return Ok((Field { text: word, kind: Kind::Quoted }, &text[at + c.len_utf8()..])),
            c => word.push(c),
        }
    }
    Err(format!("quote without an end: {}", excerpt(text)))
}

/// Length of the array at the start.
fn bracketed(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_have_their_kinds() {
        let line =
            "a=1 b=1e-3 c=T d=\"1 2\" e='x y' f=[1, 2.5,T] g=[[1 0],[0 1]] h = {x} i a=2 j=\"_JSON [1, null]\" k=[a,b";
        let found = keys(line.trim_end_matches(" k=[a,b")).unwrap();
        let found: serde_json::Map<String, Value> =
            found.into_iter().map(|(key, field)| (key, field.value())).collect();
        let expected = json!({"a": 2, "b": 1e-3, "c": true, "d": "1 2", "e": "x y", "f": [1, 2.5, true], "g": [[1, 0], [0, 1]],
                              "h": "x", "i": true, "j": [1, null]});
        assert_eq!(Value::Object(found), expected);
        assert_eq!(keys(line).err().unwrap(), "bracket without an end: \"[a,b\"");
        assert_eq!(keys("a='b").err().unwrap(), "quote without an end: \"'b\"");
        assert_eq!(keys("=b").err().unwrap(), "no key in \"=b\"");
    }
}
