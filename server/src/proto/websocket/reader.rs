//! From bytes to events: frames are put together to messages, and every rule about them is checked.

use std::io::Cursor;

use bytes::Bytes;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::deflate::Inflater;
use super::utf8::Tail;
use super::{Fault, Role, apply_mask};
use crate::ws::{Close, CloseCode, Message, Text};

/// What a peer said.
#[derive(Debug)]
pub(crate) enum Event {
    Message(Message),
    Ping(Bytes),
    Pong,
    /// Without a code if it gave none.
    Close(Option<Close>),
}

/// Reads one direction of a connection.
pub(crate) struct Reader {
    role: Role,
    frame_len_max: usize,
    message_len_max: usize,
    /// The beginning of a header of which more must come.
    head: [u8; HEAD_LEN_MAX],
    head_len: usize,
    frame: Option<Frame>,
    /// The message that is being put together, and the payload of the control frame.
    partial: Option<Partial>,
    message: Vec<u8>,
    control: Vec<u8>,
    inflater: Option<Box<Inflater>>,
}

/// A frame of which payload is still to come.
struct Frame {
    opcode: OpCode,
    is_final: bool,
    mask: Option<[u8; 4]>,
    len: usize,
    taken: usize,
}

#[derive(Clone, Copy)]
struct Partial {
    is_text: bool,
    is_compressed: bool,
    tail: Tail,
}

/// RFC 6455, section 5.2: two bytes, eight of length, four of mask.
const HEAD_LEN_MAX: usize = 14;

const UNKNOWN_OPCODE: Fault = Fault::Protocol("an opcode is unknown");

/// RFC 6455, section 5.5.
const CONTROL_LEN_MAX: usize = 125;

impl Reader {
    pub(crate) fn new(role: Role, frame_len_max: usize, message_len_max: usize) -> Self {
        Self {
            role,
            frame_len_max,
            message_len_max,
            head: [0; HEAD_LEN_MAX],
            head_len: 0,
            frame: None,
            partial: None,
            message: Vec::new(),
            control: Vec::new(),
            inflater: None,
        }
    }

    /// Takes messages that are compressed.
    #[cfg(feature = "ws-deflate")]
    pub(crate) fn inflating(mut self, inflater: Inflater) -> Self {
        self.inflater = Some(Box::new(inflater));
        self
    }

    /// The next event. What it took of `input` is gone from there; `None` if it took all and needs more.
    pub(crate) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Fault> {
        loop {
            if self.frame.is_none() && !self.read_head(input)? {
                return Ok(None);
            }
            let Some(frame) = &mut self.frame else { return Ok(None) };
            let take = (frame.len - frame.taken).min(input.len());
            let (piece, rest) = input.split_at(take);
            *input = rest;
            let (mask, offset, is_control) =
                (frame.mask, frame.taken, matches!(frame.opcode, OpCode::Control(_)));
            frame.taken += take;
            let (is_over, opcode, is_final) = (frame.taken == frame.len, frame.opcode, frame.is_final);
            self.take_payload(piece, mask, offset, is_control)?;
            if !is_over {
                return Ok(None);
            }
            self.frame = None;
            match opcode {
                OpCode::Control(control) => return self.controlled(control).map(Some),
                OpCode::Data(_) if is_final => return self.complete().map(Some),
                OpCode::Data(_) => {}
            }
        }
    }

    /// Reads a header, over several calls if need be. False if more bytes are needed.
    fn read_head(&mut self, input: &mut &[u8]) -> Result<bool, Fault> {
        if self.head_len == 0 {
            let mut cursor = Cursor::new(*input);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_| UNKNOWN_OPCODE)?;
            if let Some((header, len)) = parsed {
                let head_len = usize::try_from(cursor.position()).expect("it is within the input");
                *input = &input[head_len..];
                return self.begin_frame(&header, len).map(|()| true);
            }
        }
        loop {
            let missing = head_len(&self.head[..self.head_len]) - self.head_len;
            if missing == 0 {
                break;
            }
            let take = missing.min(input.len());
            if take == 0 {
                return Ok(false);
            }
            let (piece, rest) = input.split_at(take);
            self.head[self.head_len..self.head_len + take].copy_from_slice(piece);
            (self.head_len, *input) = (self.head_len + take, rest);
        }
        let parsed = FrameHeader::parse(&mut Cursor::new(&self.head[..self.head_len]));
        self.head_len = 0;
        let Ok(Some((header, len))) = parsed else { return Err(UNKNOWN_OPCODE) };
        self.begin_frame(&header, len)?;
        Ok(true)
    }

    fn begin_frame(&mut self, header: &FrameHeader, len: u64) -> Result<(), Fault> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(Fault::Protocol("a client's frame is not masked")),
            (Role::Client, Some(_)) => return Err(Fault::Protocol("a server's frame is masked")),
            _ => {}
        }
        let begins = matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if header.rsv2 || header.rsv3 || (header.rsv1 && !(begins && self.inflater.is_some())) {
            return Err(Fault::Protocol("a reserved bit is set"));
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match header.opcode {
            OpCode::Control(_) if !header.is_final => {
                return Err(Fault::Protocol("a control frame is fragmented"));
            }
            OpCode::Control(_) if len > CONTROL_LEN_MAX => {
                return Err(Fault::Protocol("a control frame is too long"));
            }
            OpCode::Control(_) => {}
            OpCode::Data(data) => {
                match (data, &self.partial) {
                    (Data::Continue, None) => return Err(Fault::Protocol("there is nothing to continue")),
                    (Data::Text | Data::Binary, Some(_)) => {
                        return Err(Fault::Protocol("a message begins inside another"));
                    }
                    _ => {}
                }
                self.check_len(len)?;
                if begins {
                    let (is_text, is_compressed) = (matches!(data, Data::Text), header.rsv1);
                    self.partial = Some(Partial { is_text, is_compressed, tail: Tail::default() });
                }
            }
        }
        let (opcode, is_final, mask) = (header.opcode, header.is_final, header.mask);
        self.frame = Some(Frame { opcode, is_final, mask, len, taken: 0 });
        Ok(())
    }

    /// Says no before the first byte of what is too long has come.
    fn check_len(&self, len: usize) -> Result<(), Fault> {
        if len > self.frame_len_max {
            return Err(Fault::TooBig(self.frame_len_max));
        }
        // The length of what is compressed says little: what comes out is counted instead.
        if self.message.len().saturating_add(len) > self.message_len_max {
            return Err(Fault::TooBig(self.message_len_max));
        }
        Ok(())
    }

    fn take_payload(
        &mut self,
        piece: &[u8],
        mask: Option<[u8; 4]>,
        offset: usize,
        is_control: bool,
    ) -> Result<(), Fault> {
        if piece.is_empty() {
            return Ok(());
        }
        let partial = self.partial.as_mut().filter(|_| !is_control);
        if let (Some(Partial { is_compressed: true, .. }), Some(inflater)) = (&partial, &mut self.inflater) {
            let mut packed = piece.to_vec();
            if let Some(mask) = mask {
                apply_mask(&mut packed, mask, offset);
            }
            let begin = self.message.len();
            inflater.inflate(&packed, &mut self.message, self.message_len_max)?;
            return check_text(partial, &self.message[begin..]);
        }
        let to = if is_control { &mut self.control } else { &mut self.message };
        let begin = to.len();
        // It grows with what comes, not with what a header promises.
        to.extend_from_slice(piece);
        if let Some(mask) = mask {
            apply_mask(&mut to[begin..], mask, offset);
        }
        let taken = &to[begin..];
        check_text(partial, taken)
    }

    fn complete(&mut self) -> Result<Event, Fault> {
        let partial = self.partial.as_mut().expect("a frame of data belongs to a message");
        if let (true, Some(inflater)) = (partial.is_compressed, &mut self.inflater) {
            let begin = self.message.len();
            inflater.finish(&mut self.message, self.message_len_max)?;
            check_text(Some(&mut *partial), &self.message[begin..])?;
        }
        let (is_text, is_whole) = (partial.is_text, partial.tail.is_whole());
        self.partial = None;
        let mut message = std::mem::take(&mut self.message);
        // What grew by doubling is not kept at twice its size by a slow reader.
        message.shrink_to_fit();
        Ok(Event::Message(match is_text {
            true if !is_whole => return Err(Fault::InvalidText),
            true => Message::Text(Text::from_utf8(message.into()).map_err(|_| Fault::InvalidText)?),
            false => Message::Binary(message.into()),
        }))
    }

    fn controlled(&mut self, control: Control) -> Result<Event, Fault> {
        let payload = Bytes::from(std::mem::take(&mut self.control));
        match control {
            Control::Ping => Ok(Event::Ping(payload)),
            Control::Pong => Ok(Event::Pong),
            Control::Close => closed(&payload).map(Event::Close),
            Control::Reserved(_) => Err(UNKNOWN_OPCODE),
        }
    }
}

/// How long the header is that begins with `bytes`, as far as they tell.
fn head_len(bytes: &[u8]) -> usize {
    let Some(second) = bytes.get(1) else { return 2 };
    let len = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + len + if second & 0x80 == 0 { 0 } else { 4 }
}

fn check_text(partial: Option<&mut Partial>, piece: &[u8]) -> Result<(), Fault> {
    let Some(partial) = partial.filter(|partial| partial.is_text) else { return Ok(()) };
    if partial.tail.take(piece) { Ok(()) } else { Err(Fault::InvalidText) }
}

/// What a frame that closes says. RFC 6455, sections 5.5.1 and 7.4.
fn closed(payload: &Bytes) -> Result<Option<Close>, Fault> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return Err(Fault::Protocol("half a close code"));
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.may_be_sent() {
        return Err(Fault::Protocol("no such close code"));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Fault::InvalidText)?;
    Ok(Some(Close::new(code, reason)))
}
