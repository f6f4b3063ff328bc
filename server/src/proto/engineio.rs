//! Packets of Engine.IO v4, and the payloads that polling packs them into.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

/// What stands between the packets of a payload.
pub(crate) const SEPARATOR: char = '\x1e';

/// Padding is written, and need not be there to be read, as in Node.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Open,
    Close,
    Ping,
    Pong,
    Message,
    Upgrade,
    Noop,
}

impl Kind {
    fn of(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }
}

/// A packet as it was received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Text(Kind, &'a str),
    /// Always a message.
    Binary(Bytes),
}

/// It is not a packet of Engine.IO v4.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// Reads one packet that came as text: all that polling brings, and a text frame of WebSocket.
pub(crate) fn decode(text: &str) -> Result<Packet<'_>, Invalid> {
    let first = *text.as_bytes().first().ok_or(Invalid)?;
    if first == b'b' {
        let bytes = BASE64.decode(&text[1..]).map_err(|_| Invalid)?;
        return Ok(Packet::Binary(bytes.into()));
    }
    let kind = Kind::of(first).ok_or(Invalid)?;
    Ok(Packet::Text(kind, &text[1..])) // the first byte is ASCII
}

/// Writes a binary message for polling.
pub(crate) fn encode_binary(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(1 + bytes.len().div_ceil(3) * 4);
    out.push('b');
    BASE64.encode_string(bytes, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart_by_their_first_byte() {
        assert_eq!(decode("4hello"), Ok(Packet::Text(Kind::Message, "hello")));
        assert_eq!(decode("2probe"), Ok(Packet::Text(Kind::Ping, "probe")));
        assert_eq!(decode("5"), Ok(Packet::Text(Kind::Upgrade, "")));
        assert_eq!(decode("bAQIDBA=="), Ok(Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))));
        assert_eq!(decode("bAQIDBA"), Ok(Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))));
    }

    #[test]
    fn anything_else_is_invalid() {
        for text in ["", "abc", "7", "b$$", "b=", "\u{e9}", " 4"] {
            assert_eq!(decode(text), Err(Invalid), "{text:?}");
        }
    }

    #[test]
    fn binary_survives_the_way_through_text() {
        for len in 0..70_u8 {
            let bytes: Vec<u8> = (0..len).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode_binary(&bytes)), Ok(Packet::Binary(bytes.into())));
        }
    }
}
