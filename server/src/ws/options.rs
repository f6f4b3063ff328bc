//! What a connection may cost, and how it is looked after.

use std::time::Duration;

/// Limits and times of a WebSocket.
///
/// # Examples
/// ```
/// use phaseloop_server::ws::{WhenFull, WsOptions};
///
/// let mut options = WsOptions::default();
/// options.message_len_max = 16 * 1024;
/// options.when_full = WhenFull::Drop; // prices: an old one is worth nothing
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WsOptions {
    /// Bytes of a message that comes, unpacked; 1 MiB. A longer one ends the connection with 1009.
    pub message_len_max: usize,
    /// Bytes of a frame that comes; 1 MiB. A longer one ends the connection with 1009.
    pub frame_len_max: usize,
    /// Bytes of messages that came and were not taken yet, beyond which no more is read; 64 KiB. Zero is one message.
    pub inbox_len_max: usize,
    /// Bytes that wait to be sent, beyond which the connection is full; 256 KiB. Each piece of a message
    /// counts as 64 bytes more than it has.
    pub high_water: usize,
    /// What happens to a message for a connection that is full.
    pub when_full: WhenFull,
    /// After how long a silence the peer is asked whether it is there; 30 s. Zero turns it off.
    pub ping_interval: Duration,
    /// How long it has to answer; 30 s.
    pub ping_timeout: Duration,
    /// How long a peer has to answer a goodbye and close; 5 s.
    pub close_timeout: Duration,
    /// How long a peer may take nothing of what is there for it; 30 s.
    pub write_stall: Duration,
}

impl Default for WsOptions {
    fn default() -> Self {
        Self {
            message_len_max: 1024 * 1024,
            frame_len_max: 1024 * 1024,
            inbox_len_max: 64 * 1024,
            high_water: 256 * 1024,
            when_full: WhenFull::default(),
            ping_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            write_stall: Duration::from_secs(30),
        }
    }
}

/// What happens to a message for a connection that is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// [`send`](super::WsSender::send) waits, [`try_send`](super::WsSender::try_send) gives it back. With callbacks, nothing is
    /// read from a peer that does not take what it gets.
    #[default]
    Wait,
    /// It is dropped, which the sender is told.
    Drop,
    /// The connection is ended with 1008. What waits is dropped, but for a message of which the peer has a part.
    Close,
}
