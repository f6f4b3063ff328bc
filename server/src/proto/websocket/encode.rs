//! From a message to the bytes of its frame.

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{Role, apply_mask};
use crate::ws::{Close, Message};

/// Payloads up to this many bytes are copied behind their header, so that a message is one piece; larger ones are not copied.
const COPIED_LEN_MAX: usize = 1024;

/// The bytes of a frame: one piece, or its header and then its payload.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) head: Bytes,
    pub(crate) payload: Bytes,
}

impl Encoded {
    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.payload.len()
    }
}

/// A whole message in one frame.
pub(crate) fn message(message: &Message, role: Role) -> Encoded {
    let opcode = OpCode::Data(if message.is_text() { Data::Text } else { Data::Binary });
    frame(opcode, false, message.as_bytes(), || message.as_bytes_shared(), role)
}

/// A whole message that was compressed to `payload`.
pub(crate) fn compressed(message: &Message, payload: Vec<u8>, role: Role) -> Encoded {
    let opcode = OpCode::Data(if message.is_text() { Data::Text } else { Data::Binary });
    let payload = Bytes::from(payload);
    frame(opcode, true, &payload, || payload.clone(), role)
}

pub(crate) fn ping(role: Role) -> Encoded {
    control(Control::Ping, &[], role)
}

pub(crate) fn pong(payload: &[u8], role: Role) -> Encoded {
    control(Control::Pong, payload, role)
}

/// The frame that closes a connection. A reason that is too long for it is cut.
pub(crate) fn close(close: Option<&Close>, role: Role) -> Encoded {
    let payload = close.map_or_else(Vec::new, |close| {
        let mut len = close.reason.len().min(Close::REASON_LEN_MAX);
        while !close.reason.is_char_boundary(len) {
            len -= 1;
        }
        [&close.code.0.to_be_bytes()[..], &close.reason.as_bytes()[..len]].concat()
    });
    control(Control::Close, &payload, role)
}

fn control(control: Control, payload: &[u8], role: Role) -> Encoded {
    frame(OpCode::Control(control), false, payload, || Bytes::copy_from_slice(payload), role)
}

/// A frame with `payload`, which is copied if it is short or to be masked, and else taken from `share`.
fn frame(opcode: OpCode, rsv1: bool, payload: &[u8], share: impl FnOnce() -> Bytes, role: Role) -> Encoded {
    let mask = (role == Role::Client).then(random_mask);
    let header = FrameHeader { is_final: true, rsv1, opcode, mask, ..FrameHeader::default() };
    let len = payload.len() as u64;
    let copies = payload.len() <= COPIED_LEN_MAX || mask.is_some();
    let mut head = Vec::with_capacity(header.len(len) + if copies { payload.len() } else { 0 });
    header.format(len, &mut head).expect("a vector takes every byte");
    if !copies {
        return Encoded { head: head.into(), payload: share() };
    }
    let begin = head.len();
    head.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut head[begin..], mask, 0);
    }
    Encoded { head: head.into(), payload: Bytes::new() }
}

/// Four bytes nobody can guess: RFC 6455, section 10.3, says against what.
fn random_mask() -> [u8; 4] {
    getrandom::u32().expect("the system has random numbers").to_ne_bytes()
}
