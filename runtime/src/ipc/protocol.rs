//! What a channel's bytes look like: the part that knows neither sockets nor the loop.

use super::error::ReceiveError;
use super::frames::Frames;
use super::message::{AttachmentKind, Message};

/// How messages are cut out of bytes. Which one is a matter of who the peer is.
#[derive(Clone, Copy)]
pub struct Framing {
    pub(super) name: &'static str,
    /// Makes the protocol, with the longest message it takes.
    pub(super) make: fn(usize) -> Box<dyn Protocol>,
    /// The variable by which a child learns the number of its channel.
    pub(super) fd_variable: &'static str,
    /// What else a child finds in its environment, and must find there.
    pub(super) variables: &'static [(&'static str, &'static str)],
}

impl Framing {
    /// phaseloop's own: bytes of any kind behind a head that says their length. For peers that are phaseloop programs too.
    ///
    /// The head has 8 bytes: the length of the message, 32 bits with the lowest first; 1 if it is internal, else 0; what is
    /// attached, 0 for nothing, 1 listener, 2 stream, 3 datagram, 4 native; and two zeros. A descriptor comes with the first byte
    /// of its message.
    pub const OWN: Self = Self {
        name: "own",
        make: |len_max| Box::new(Frames::new(len_max)),
        fd_variable: "PHASELOOP_CHANNEL_FD",
        variables: &[],
    };
}

impl std::fmt::Debug for Framing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Framing").field(&self.name).finish()
    }
}

/// One channel's way of speaking.
pub(super) trait Protocol {
    /// Appends the bytes of a message, or says why it can not be said in this protocol.
    fn encode(&self, message: &Message, into: &mut Vec<u8>) -> Result<(), String>;

    /// Cuts what came. Runs no user code.
    fn decode(&mut self, bytes: &[u8], into: &mut Vec<Decoded>);

    /// Bytes of a message that has begun and not ended; `None` between messages.
    fn unfinished(&self) -> Option<usize>;

    /// What tells the peer whether an attachment arrived. A protocol that has this sends one attachment at a time, and what
    /// follows waits for its receipt.
    fn receipt(&self, _arrived: bool) -> Option<&'static [u8]> {
        None
    }
}

/// What was cut out.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "ipc-json"),
    expect(dead_code, reason = "our own framing needs no receipts and no answers")
)]
pub(super) enum Decoded {
    Message {
        body: Vec<u8>,
        internal: bool,
        attachment: Option<AttachmentKind>,
    },
    /// The peer says whether it got the attachment that was sent last.
    Receipt {
        arrived: bool,
    },
    /// To be sent back as it is.
    Answer(Vec<u8>),
    /// A message that is not one; the next one can be. What was attached to it belongs to no other.
    Skipped(ReceiveError, Option<AttachmentKind>),
    /// From here on nothing can be understood.
    Lost(ReceiveError),
}
