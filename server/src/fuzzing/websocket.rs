//! Frames, messages and compression of WebSocket.

use crate::proto::websocket::Role;
use crate::proto::websocket::deflate::{Deflater, Inflater, Packer, Spares};
use crate::proto::websocket::reader::{Event, Reader};

const FRAME_LEN_MAX: usize = 2000;
const MESSAGE_LEN_MAX: usize = 5000;

/// Events are the same however the bytes are cut, and no message is longer than allowed. The first byte chooses the side, whether
/// messages may be packed, and the cut.
pub fn websocket(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let role = if mode & 1 == 0 { Role::Server } else { Role::Client };
    let reader = || {
        let reader = Reader::new(role, FRAME_LEN_MAX, MESSAGE_LEN_MAX);
        match mode & 6 {
            0 | 2 => reader,
            4 => reader.inflating(Inflater::new(None)),
            _ => reader.inflating(Inflater::new(Some(Spares::default()))),
        }
    };
    let whole = events(reader(), mode & 4 != 0, bytes, bytes.len().max(1));
    let cut = events(reader(), mode & 4 != 0, bytes, 1 + usize::from(mode >> 3));
    assert_eq!(whole, cut);
}

fn events(mut reader: Reader, packed: bool, bytes: &[u8], size: usize) -> Vec<String> {
    let mut seen = Vec::new();
    for mut piece in bytes.chunks(size) {
        while !piece.is_empty() {
            match reader.read(&mut piece) {
                Ok(None) => assert!(piece.is_empty(), "bytes were left"),
                Ok(Some(event)) => {
                    if let Event::Message(message) = &event {
                        assert!(message.len() <= MESSAGE_LEN_MAX, "a message of {} bytes", message.len());
                    }
                    seen.push(format!("{event:?}"));
                }
                Err(fault) => {
                    // What is packed can be wrong in two ways, and the cut decides which one is seen first.
                    seen.push(if packed { "a fault".to_owned() } else { format!("{fault:?}") });
                    return seen;
                }
            }
        }
    }
    seen
}

/// What is packed is unpacked to the same, by every level and window, and what is no deflate ends within its limit. The first bytes
/// choose how; the rest are messages, in front of each its length.
pub fn deflate(data: &[u8]) {
    let &[how, window, ref rest @ ..] = data else { return };
    let mut unpacked = Vec::new();
    // An error is as good as an end.
    let _ = Inflater::new(None).inflate(rest, &mut unpacked, MESSAGE_LEN_MAX);
    assert!(unpacked.len() <= MESSAGE_LEN_MAX + 1, "{} bytes", unpacked.len());

    let packer = Packer { level: u32::from(how % 9) + 1, len_min: 0, window_bits: 9 + window % 7 };
    let keeps = how & 0x80 != 0;
    let mut deflater = Deflater::new(packer, (!keeps).then(Spares::default));
    let mut inflater = Inflater::new((!keeps).then(Spares::default));
    let mut rest = rest;
    while let Some((len, behind)) = rest.split_first() {
        let (message, behind) = behind.split_at(behind.len().min(usize::from(*len) * 16));
        rest = behind;
        let packed = deflater.deflate(message).expect("every message is packed");
        let mut unpacked = Vec::new();
        for piece in packed.chunks(usize::from(window) + 1) {
            inflater.inflate(piece, &mut unpacked, usize::MAX).expect("it was packed well");
        }
        inflater.finish(&mut unpacked, usize::MAX).expect("it was packed well");
        assert_eq!(unpacked, message);
    }
}
