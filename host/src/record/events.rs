//! The format of TensorBoard's event files: protobuf messages (`Event` and `Summary` of TensorFlow's event.proto and summary.proto),
//! each in a record (TFRecord) of its length, a checksum of the length, the message, and a checksum of the message.

use prost::Message;

/// What the first event of a file says.
pub(super) const VERSION: &str = "brain.Event:2";

/// One event: what happened at a step.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    #[prost(int64, tag = "2")]
    pub step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

/// Values of a step.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Scalar>,
}

/// `Summary.Value` with a number.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Scalar {
    #[prost(string, tag = "1")]
    pub tag: String,
    /// One of several kinds of values: written even if it is 0.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
}

/// That a program began or ended.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub status: i32,
}

impl SessionLog {
    /// `SessionStatus.START`: readers forget what earlier files say of this step and later ones.
    pub const START: i32 = 1;
}

/// The bytes of an event's record.
pub(super) fn record(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    let checksum = |bytes: &[u8]| masked(crc32c::crc32c(bytes)).to_le_bytes();
    [&length[..], &checksum(&length), &message, &checksum(&message)].concat()
}

/// A checksum as the records store it: data that hold checksums themselves would make it weak otherwise.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, and the check value of Koopman's polynomial.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c::crc32c(&ascending), 0x46dd_794e);
    }

    /// As a member of a `oneof`, which protobuf writes even where it has the default of its type: field 2, of 32 bits.
    #[test]
    fn zeros_are_written() {
        let scalar = Scalar { tag: "x".to_owned(), simple_value: Some(0.0) };
        assert_eq!(scalar.encode_to_vec(), b"\x0a\x01x\x15\0\0\0\0");
    }

    /// The bytes that TensorBoard 2.21 writes for these three (`tensorboard.summary.writer.record_writer`).
    #[test]
    fn records_are_those_that_tensorboard_writes() {
        let scalar = |tag: &str, simple_value| Scalar { tag: tag.to_owned(), simple_value: Some(simple_value) };
        let value = vec![scalar("metrics/kl", 0.5), scalar("time/step", -2.0)];
        let events = [
            (1.5, 0, What::FileVersion(VERSION.to_owned())),
            (2.25, 4, What::SessionLog(SessionLog { status: SessionLog::START })),
            (3.0, 4, What::Summary(Summary { value })),
        ];
        let bytes: Vec<u8> = events
            .into_iter()
            .flat_map(|(wall_time, step, what)| record(&Event { wall_time, step, what: Some(what) }))
            .collect();
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c\
            0f000000000000006d532b0909000000000000024010043a020801471d3260\
            3200000000000000241956ec09000000000000084010042a250a110a0a6d6574726963732f6b6c15\
            0000003f0a100a0974696d652f7374657015000000c00b39f3f0";
        assert_eq!(hexadecimal, expected);
    }
}
