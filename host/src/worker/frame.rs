//! Frames of the worker protocol: a JSON header and little-endian arrays (`plugin-api/PROTOCOL.md`).

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const MAGIC: [u8; 4] = *b"TMPR";
/// Bytes before the header.
pub(super) const PREFIX: usize = 16;

/// How long a frame may be, bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the header.
    pub header: u64,
    /// Of the arrays.
    pub body: u64,
}

impl Limits {
    /// What a host may send: a batch that fits into memory.
    pub const HOST: Self = Self { header: 64 << 20, body: 16 << 30 };
    /// A worker's greeting.
    pub const GREETING: Self = Self { header: 4 << 20, body: 1 << 20 };
}

/// A header and the arrays that it lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// What kind of message it is, and all that is no array.
    pub header: Map<String, Value>,
    body: Vec<u8>,
}

/// Why bytes are no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Nothing came any more.
    #[error("the other side has closed the connection")]
    Closed,
    /// The system's reason.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Bytes that are no frame.
    #[error("{0}")]
    Malformed(String),
}

/// How a header describes an array of the body.
#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// Types of the entries of arrays.
pub trait Entry: Sized + Copy {
    /// As a header names it.
    const DTYPE: &'static str;
    /// Bytes of one entry.
    const SIZE: usize;
    /// Adds its bytes.
    fn append(self, bytes: &mut Vec<u8>);
    /// From that many bytes.
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! entry {
    ($type:ty, $name:literal) => {
        impl Entry for $type {
            const DTYPE: &'static str = $name;
            const SIZE: usize = size_of::<$type>();

            fn append(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn from_bytes(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
        }
    };
}

entry!(u8, "u8");
entry!(i32, "i32");
entry!(i64, "i64");
entry!(f32, "f32");
entry!(f64, "f64");

impl Entry for bool {
    const DTYPE: &'static str = "bool";
    const SIZE: usize = 1;

    fn append(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        bytes.first().is_some_and(|byte| *byte != 0)
    }
}

impl Frame {
    /// A frame with this header and no arrays.
    pub fn new(header: Map<String, Value>) -> Self {
        Self { header, body: Vec::new() }
    }

    /// A worker's word that it will never be ready.
    pub fn refusal(message: &str) -> Self {
        let header = [("type", "error"), ("message", message)];
        Self::new(header.map(|(key, text)| (key.to_owned(), text.into())).into_iter().collect())
    }

    /// Adds an array.
    pub fn push<T: Entry>(&mut self, name: &str, shape: &[usize], entries: impl IntoIterator<Item = T>) {
        self.body.reserve(shape.iter().product::<usize>() * T::SIZE);
        entries.into_iter().for_each(|entry| entry.append(&mut self.body));
        let listed = serde_json::json!({"name": name, "dtype": T::DTYPE, "shape": shape});
        let arrays = self.header.entry("arrays").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(arrays) = arrays {
            arrays.push(listed);
        }
    }

    /// The array of a name, if it is listed with this shape and type.
    ///
    /// # Errors
    /// What is there in its place.
    pub fn array<T: Entry>(&self, name: &str, shape: &[usize]) -> Result<Vec<T>, String> {
        let mut start = 0;
        for listed in self.listed()? {
            let bytes = listed.bytes()?;
            if listed.name == name {
                if listed.dtype != T::DTYPE || listed.shape != shape {
                    let Listed { dtype, shape: given, .. } = listed;
                    return Err(format!("`{name}` is {dtype} {given:?}, not {} {shape:?}", T::DTYPE));
                }
                return Ok(self.body[start..start + bytes].chunks_exact(T::SIZE).map(T::from_bytes).collect());
            }
            start += bytes;
        }
        Err(format!("the array `{name}` is missing"))
    }

    /// The arrays that are there: name, type and shape of each.
    pub fn arrays(&self) -> Vec<(String, String, Vec<usize>)> {
        let listed = self.listed().unwrap_or_default();
        listed.into_iter().map(|listed| (listed.name, listed.dtype, listed.shape)).collect()
    }

    /// Whether an array of this name is there.
    pub fn has(&self, name: &str) -> bool {
        self.listed().is_ok_and(|arrays| arrays.iter().any(|listed| listed.name == name))
    }

    /// The header's text under a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.header.get(key)?.as_str()
    }

    /// What kind of message it is.
    pub fn kind(&self) -> &str {
        self.text("type").unwrap_or("")
    }

    fn listed(&self) -> Result<Vec<Listed>, String> {
        match self.header.get("arrays") {
            None => Ok(Vec::new()),
            Some(arrays) => Vec::<Listed>::deserialize(arrays).map_err(|e| format!("`arrays`: {e}")),
        }
    }

    /// The frame as bytes.
    pub fn encode(&self) -> Vec<u8> {
        // A map of text keys always has a JSON form.
        let header = serde_json::to_vec(&self.header).unwrap_or_default();
        let mut bytes = Vec::with_capacity(PREFIX + header.len() + self.body.len());
        bytes.extend(MAGIC);
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend((self.body.len() as u64).to_le_bytes());
        bytes.extend(header);
        bytes.extend(&self.body);
        bytes
    }

    /// The frame behind a prefix whose lengths were believed.
    pub(super) fn decode(lengths: Lengths, rest: &[u8]) -> Result<Self, FrameError> {
        let (header, body) = rest.split_at(lengths.header);
        let header = serde_json::from_slice(header).map_err(|e| FrameError::Malformed(format!("its header: {e}")))?;
        let frame = Self { header, body: body.to_vec() };
        let listed = frame.listed().map_err(FrameError::Malformed)?;
        let listed: Result<Vec<usize>, String> = listed.iter().map(Listed::bytes).collect();
        let listed = listed.map_err(FrameError::Malformed)?.into_iter().fold(0_usize, usize::saturating_add);
        if listed != frame.body.len() {
            let text = format!("its arrays take {listed} bytes and its body has {}", frame.body.len());
            return Err(FrameError::Malformed(text));
        }
        Ok(frame)
    }

    /// Writes the frame, whole.
    ///
    /// # Errors
    /// The system's reason.
    pub fn write(&self, output: &mut impl Write) -> std::io::Result<()> {
        output.write_all(&self.encode())?;
        output.flush()
    }

    /// Reads the next frame, which is at most so long.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read(input: &mut impl Read, most: Limits) -> Result<Self, FrameError> {
        let mut prefix = [0; PREFIX];
        match input.read(&mut prefix[..1])? {
            0 => return Err(FrameError::Closed),
            _ => input.read_exact(&mut prefix[1..])?,
        }
        let lengths = Lengths::read(&prefix, most)?;
        let mut rest = Vec::new();
        // Memory grows with what has come, not with what was announced.
        input.take(lengths.rest() as u64).read_to_end(&mut rest)?;
        if rest.len() < lengths.rest() {
            return Err(FrameError::Closed);
        }
        Self::decode(lengths, &rest)
    }
}

impl Listed {
    fn bytes(&self) -> Result<usize, String> {
        let size = match self.dtype.as_str() {
            "u8" | "bool" => 1,
            "i32" | "f32" => 4,
            "i64" | "f64" => 8,
            other => return Err(format!("`{}` has the unknown type {other:?}", self.name)),
        };
        let bytes = self.shape.iter().try_fold(size, |bytes: usize, extent| bytes.checked_mul(*extent));
        bytes.ok_or_else(|| format!("`{}` has the shape {:?}", self.name, self.shape))
    }
}

/// What a prefix announces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lengths {
    pub header: usize,
    pub body: usize,
}

impl Lengths {
    pub fn rest(self) -> usize {
        self.header + self.body
    }

    /// Reads a prefix; longer frames than `most` are not believed.
    pub fn read(prefix: &[u8; PREFIX], most: Limits) -> Result<Self, FrameError> {
        let [m0, m1, m2, m3, h0, h1, h2, h3, body @ ..] = *prefix;
        let magic = [m0, m1, m2, m3];
        if magic != MAGIC {
            let shown = String::from_utf8_lossy(prefix).escape_debug().to_string();
            return Err(FrameError::Malformed(format!("a frame begins with TMPR, this with \"{shown}\"")));
        }
        let (header, body) = (u32::from_le_bytes([h0, h1, h2, h3]) as usize, u64::from_le_bytes(body));
        if header as u64 > most.header || body > most.body {
            let text = format!("a header of {header} and a body of {body} bytes are longer than any that fits here");
            return Err(FrameError::Malformed(text));
        }
        Ok(Self { header, body: body as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame() -> Frame {
        let mut frame = Frame::new(serde_json::from_str(r#"{"type": "outcomes", "id": 7}"#).unwrap());
        frame.push("statuses", &[2], [0_u8, 2]);
        frame.push("values", &[2], [1.5_f64, f64::INFINITY]);
        frame
    }

    #[test]
    fn the_bytes_are_those_of_the_protocol() {
        let bytes = frame().encode();
        assert_eq!(&bytes[..4], b"TMPR");
        let header = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
        assert_eq!(u64::from_le_bytes(bytes[8..16].try_into().unwrap()), 18);
        let parsed: Value = serde_json::from_slice(&bytes[16..16 + header]).unwrap();
        assert_eq!(parsed["arrays"][1], serde_json::json!({"name": "values", "dtype": "f64", "shape": [2]}));
        // IEEE 754: 1.5 is 0x3ff8..., infinity 0x7ff0...
        let expected = [0, 2, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f];
        assert_eq!(bytes[16 + header..], expected);
    }

    #[test]
    fn frames_come_back_and_stop_with_the_stream() {
        let (mut bytes, frame) = (frame().encode(), frame());
        bytes.extend(bytes.clone());
        let mut input = bytes.as_slice();
        assert_eq!(Frame::read(&mut input, Limits::HOST).unwrap(), frame);
        assert_eq!(Frame::read(&mut input, Limits::HOST).unwrap(), frame);
        assert!(matches!(Frame::read(&mut input, Limits::HOST), Err(FrameError::Closed)));
        assert_eq!(frame.array::<f64>("values", &[2]).unwrap(), [1.5, f64::INFINITY]);
    }

    #[test]
    fn what_is_asked_for_must_be_there_as_it_must_be() {
        let frame = frame();
        assert_eq!(frame.array::<f64>("values", &[3]).unwrap_err(), "`values` is f64 [2], not f64 [3]");
        assert_eq!(frame.array::<u8>("values", &[2]).unwrap_err(), "`values` is f64 [2], not u8 [2]");
        assert_eq!(frame.array::<u8>("energies", &[2]).unwrap_err(), "the array `energies` is missing");
    }

    #[test]
    fn garbage_is_shown() {
        let text = Frame::read(&mut &b"Loading weights from cache\n"[..], Limits::HOST).unwrap_err().to_string();
        assert_eq!(text, "a frame begins with TMPR, this with \"Loading weights \"");
        let mut lying = frame().encode();
        lying[8..16].copy_from_slice(&(1_u64 << 50).to_le_bytes());
        let text = Frame::read(&mut &lying[..], Limits::HOST).unwrap_err().to_string();
        assert!(text.ends_with("are longer than any that fits here"), "{text}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..200) {
            let _ = Frame::read(&mut bytes.as_slice(), Limits::HOST);
            let mut whole = frame().encode();
            for (place, byte) in bytes.iter().enumerate().skip(4) {
                if let Some(target) = whole.get_mut(place) { *target ^= byte; }
            }
            whole.truncate(cut);
            if let Ok(frame) = Frame::read(&mut whole.as_slice(), Limits::HOST) {
                let _ = frame.array::<f64>("values", &[2]);
            }
        }
    }
}
