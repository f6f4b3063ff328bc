//! phaseloop's own framing: a head with the length, then the bytes.

use super::error::ReceiveError;
use super::message::{AttachmentKind, Message};
use super::protocol::{Decoded, Protocol};

const HEAD_LEN: usize = 8;

/// How much room is made for a message before its bytes come: a head is no reason to take more memory.
const ROOM_AT_FIRST: usize = 64 * 1024;

pub(super) struct Frames {
    len_max: usize,
    head: [u8; HEAD_LEN],
    head_len: usize,
    /// The message whose head is complete.
    current: Option<Frame>,
    lost: bool,
}

struct Frame {
    body: Vec<u8>,
    /// Bytes that are still to come.
    missing: usize,
    internal: bool,
    attachment: Option<AttachmentKind>,
    /// Its whole length, if that is too long and the bytes are dropped as they come.
    skipped: Option<usize>,
}

impl Frames {
    pub(super) fn new(len_max: usize) -> Self {
        Self { len_max, head: [0; HEAD_LEN], head_len: 0, current: None, lost: false }
    }

    /// Reads the head that is complete.
    fn begin(&self) -> Result<Frame, ReceiveError> {
        let [l0, l1, l2, l3, internal, attached, 0, 0] = self.head else { return Err(self.garbled()) };
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let (true, Some(attachment)) = (internal <= 1, kind_of(attached)) else { return Err(self.garbled()) };
        let skipped = (len > self.len_max).then_some(len);
        let room = if skipped.is_some() { 0 } else { len.min(ROOM_AT_FIRST) };
        let body = Vec::with_capacity(room);
        Ok(Frame { body, missing: len, internal: internal == 1, attachment, skipped })
    }

    fn garbled(&self) -> ReceiveError {
        ReceiveError::Garbled { found: format!("the head {:02x?}", self.head) }
    }

    fn end(&self, frame: Frame) -> Decoded {
        match frame.skipped {
            Some(len) => {
                Decoded::Skipped(ReceiveError::TooLong { len, limit: self.len_max }, frame.attachment)
            }
            None => {
                Decoded::Message { body: frame.body, internal: frame.internal, attachment: frame.attachment }
            }
        }
    }
}

impl Protocol for Frames {
    fn encode(&self, message: &Message, into: &mut Vec<u8>) -> Result<(), String> {
        let len = u32::try_from(message.body.len()).map_err(|_| "it is longer than 4 GiB".to_owned())?;
        into.reserve(HEAD_LEN + message.body.len());
        into.extend(len.to_le_bytes());
        let attached = message.attachment.as_ref().map_or(0, |attachment| code_of(attachment.kind));
        into.extend([u8::from(message.internal), attached, 0, 0]);
        into.extend_from_slice(&message.body);
        Ok(())
    }

    fn decode(&mut self, mut bytes: &[u8], into: &mut Vec<Decoded>) {
        while !self.lost {
            let mut frame = match self.current.take() {
                Some(frame) => frame,
                None => {
                    let taken = bytes.len().min(HEAD_LEN - self.head_len);
                    self.head[self.head_len..][..taken].copy_from_slice(&bytes[..taken]);
                    self.head_len += taken;
                    bytes = &bytes[taken..];
                    if self.head_len < HEAD_LEN {
                        return;
                    }
                    match self.begin() {
                        Ok(frame) => frame,
                        Err(error) => {
                            self.lost = true;
                            into.push(Decoded::Lost(error));
                            return;
                        }
                    }
                }
            };
            let taken = bytes.len().min(frame.missing);
            if frame.skipped.is_none() {
                frame.body.extend_from_slice(&bytes[..taken]);
            }
            frame.missing -= taken;
            bytes = &bytes[taken..];
            if frame.missing > 0 {
                self.current = Some(frame);
                return;
            }
            self.head_len = 0;
            into.push(self.end(frame));
        }
    }

    fn unfinished(&self) -> Option<usize> {
        match &self.current {
            Some(frame) => Some(HEAD_LEN + frame.body.len()),
            None => (self.head_len > 0).then_some(self.head_len),
        }
    }
}

fn code_of(kind: AttachmentKind) -> u8 {
    match kind {
        AttachmentKind::Listener => 1,
        AttachmentKind::Stream => 2,
        AttachmentKind::Datagram => 3,
        AttachmentKind::Native => 4,
    }
}

/// What a code says; `None` for one that says nothing.
fn kind_of(code: u8) -> Option<Option<AttachmentKind>> {
    Some(match code {
        0 => None,
        1 => Some(AttachmentKind::Listener),
        2 => Some(AttachmentKind::Stream),
        3 => Some(AttachmentKind::Datagram),
        4 => Some(AttachmentKind::Native),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(decoded: Vec<Decoded>) -> Vec<String> {
        let text = |decoded| match decoded {
            Decoded::Message { body, .. } => String::from_utf8(body).unwrap(),
            other => format!("{other:?}"),
        };
        decoded.into_iter().map(text).collect()
    }

    #[test]
    fn messages_are_the_same_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        for text in ["one", "", "three and more"] {
            Frames::new(100).encode(&Message::from(text), &mut bytes).unwrap();
        }
        for piece in 1..bytes.len() {
            let (mut frames, mut found) = (Frames::new(100), Vec::new());
            bytes.chunks(piece).for_each(|piece| frames.decode(piece, &mut found));
            assert_eq!(bodies(found), ["one", "", "three and more"], "in pieces of {piece}");
            assert_eq!(frames.unfinished(), None);
        }
    }

    #[test]
    fn what_is_too_long_is_skipped_and_not_kept() {
        let mut bytes = Vec::new();
        Frames::new(100).encode(&Message::new(vec![b'x'; 50]), &mut bytes).unwrap();
        Frames::new(100).encode(&Message::from("next"), &mut bytes).unwrap();
        let (mut frames, mut found) = (Frames::new(49), Vec::new());
        frames.decode(&bytes[..30], &mut found);
        assert_eq!(frames.unfinished(), Some(HEAD_LEN), "nothing of it is kept");
        frames.decode(&bytes[30..], &mut found);
        assert_eq!(bodies(found), ["Skipped(TooLong { len: 50, limit: 49 }, None)", "next"]);
    }

    #[test]
    fn what_is_skipped_tells_of_its_attachment() {
        let (mut frames, mut found) = (Frames::new(1), Vec::new());
        frames.decode(&[2, 0, 0, 0, 0, code_of(AttachmentKind::Stream), 0, 0, b'n', b'o'], &mut found);
        assert!(matches!(found[..], [Decoded::Skipped(_, Some(AttachmentKind::Stream))]), "{found:?}");
    }

    #[test]
    fn a_head_that_says_nothing_ends_the_decoding() {
        for head in [[0, 0, 0, 0, 2, 0, 0, 0], [0, 0, 0, 0, 0, 9, 0, 0], [1, 0, 0, 0, 0, 0, 0, 1]] {
            let (mut frames, mut found) = (Frames::new(100), Vec::new());
            frames.decode(&head, &mut found);
            frames.decode(&[0; HEAD_LEN], &mut found);
            assert!(matches!(found[..], [Decoded::Lost(ReceiveError::Garbled { .. })]), "{found:?}");
        }
    }
}
