//! What programs of third parties say on their standard output.

use temper::plugin::read_conversation;

use super::said;

pub fn worker_frames(data: &[u8]) {
    said(read_conversation(data, 2));
}
