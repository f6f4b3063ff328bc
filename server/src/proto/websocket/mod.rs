//! WebSocket, RFC 6455: bytes in, events out, and messages to bytes.
//!
//! The frames are tungstenite's. Its message layer is not used: it refuses the bit that compression needs, and each
//! connection keeps a read buffer of the size of its largest message. Here a connection between two messages owns none.

#[cfg(feature = "ws-deflate")]
pub(crate) mod deflate;
#[cfg(not(feature = "ws-deflate"))]
#[path = "without_deflate.rs"]
pub(crate) mod deflate;
pub(crate) mod encode;
pub(crate) mod reader;
mod utf8;

/// Which end of a connection this is. A client masks what it sends, a server does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// Why a connection can not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The peer broke the protocol: the rule.
    Protocol(&'static str),
    /// A text is not UTF-8.
    InvalidText,
    /// A frame or a message is longer than this limit, in bytes.
    TooBig(usize),
}

/// XORs `bytes` with a mask, the first of them with the mask's byte at `offset`. RFC 6455, section 5.3.
pub(crate) fn apply_mask(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut turned = mask;
    turned.rotate_left(offset % 4);
    let wide = u64::from(u32::from_ne_bytes(turned)) * 0x1_0000_0001;
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let masked = u64::from_ne_bytes((&*chunk).try_into().expect("a chunk has eight bytes")) ^ wide;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (at, byte) in chunks.into_remainder().iter_mut().enumerate() {
        *byte ^= turned[at % 4];
    }
}

#[cfg(test)]
mod tests {
    use super::apply_mask;

    #[test]
    fn a_mask_goes_on_where_the_last_piece_ended() {
        let plain: Vec<u8> = (0..100).collect();
        let mask = [0x12, 0x34, 0x56, 0x78];
        let expected: Vec<u8> = plain.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
        for cut in 0..20 {
            let mut bytes = plain.clone();
            apply_mask(&mut bytes[..cut], mask, 0);
            apply_mask(&mut bytes[cut..], mask, cut);
            assert_eq!(bytes, expected, "cut at {cut}");
        }
    }
}
