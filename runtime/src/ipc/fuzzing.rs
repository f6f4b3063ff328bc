//! What must be true of the framings, whatever the bytes are. Called by `tests/fuzz` and by the tests that replay its seeds.

use super::protocol::{Decoded, Framing};

const LEN_MAX: usize = 1000;

/// What Node's framing may have around a message, and lets one be longer by.
const WRAPPING: usize = 200;

/// Messages are the same however the bytes are cut, and none is longer than allowed. The first byte chooses the framing and the cut.
pub fn framing(data: &[u8]) {
    let Some((mode, bytes)) = data.split_first() else { return };
    let framing = if mode & 1 == 0 { Framing::OWN } else { Framing::NODE };
    let whole = decoded(framing, bytes, bytes.len().max(1));
    let cut = decoded(framing, bytes, 1 + usize::from(mode >> 1));
    assert_eq!(whole, cut);
}

fn decoded(framing: Framing, bytes: &[u8], size: usize) -> Vec<String> {
    let (mut protocol, mut seen) = ((framing.make)(LEN_MAX), Vec::new());
    for piece in bytes.chunks(size) {
        protocol.decode(piece, &mut seen);
    }
    for decoded in &seen {
        if let Decoded::Message { body, .. } = decoded {
            assert!(body.len() <= LEN_MAX + WRAPPING, "a message of {} bytes", body.len());
        }
    }
    seen.iter().map(|decoded| format!("{decoded:?}")).collect()
}
