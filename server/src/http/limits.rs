//! What bounds a server.

use std::time::Duration;

/// What a peer may cost. Each limit has its reason; the defaults suit a server that faces the internet.
///
/// # Examples
/// ```
/// use phaseloop_server::http::Limits;
///
/// let mut limits = Limits::default();
/// limits.body_len_max = 64 * 1024 * 1024; // takes uploads
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's head, at least 8,192; 16 KiB as in Node. A longer one is answered with 431. The head's buffer grows to this.
    pub head_len_max: usize,
    /// Header fields of a request; 100. More are answered with 431. HTTP/2 bounds their bytes alone.
    pub header_count_max: usize,
    /// Bytes of a request's target; 8 KiB. A longer one is answered with 414.
    pub uri_len_max: usize,
    /// Bytes of a request's body that a handler can read; 2 MiB. Reading on gives an error, which becomes a 413.
    /// [`Body::set_len_max`](super::Body::set_len_max) changes it for one request.
    pub body_len_max: u64,
    /// Bytes a second that a body must bring while a handler waits for it; 240. Less gives an error, which becomes a
    /// 408. Zero turns it off.
    pub body_rate_min: u32,
    /// The time over which that rate is taken; 5 s. Time in which no handler asks for the body, or the loop stands still, does not count. Zero
    /// turns it off.
    pub body_rate_window: Duration,

    /// How long a new connection may say nothing; 30 s. Browsers open some in advance.
    pub first_byte: Duration,
    /// How long the first request of a connection may still take to arrive when the server shuts down; 1 s. It may be on its way.
    pub first_request_at_shutdown: Duration,
    /// How long a TLS handshake may take; 10 s.
    pub handshake: Duration,
    /// How long a head may take from its first byte; 15 s. A slower one is answered with 408.
    pub head: Duration,
    /// How long a connection may be silent between requests; 75 s.
    pub idle: Duration,
    /// How long a peer may take nothing of what is there for it; 30 s.
    pub write_stall: Duration,
    /// How long what a peer still sends is read and thrown away when it was told to close, so that it sees why; 2 s.
    pub linger: Duration,

    /// Requests on a connection, after which it is closed in a friendly way; 100,000.
    pub requests_per_connection_max: u64,
    /// Streams of HTTP/2 that a connection may have open at a time; 200.
    pub streams_per_connection_max: u32,
    /// Connections in all; 10,000. One more is answered with 503 and closed.
    pub connections_max: usize,
    /// Connections from one address; 10,000, which is no limit of its own. Lower it where no proxy stands in front.
    pub connections_per_address_max: usize,

    /// Frames of HTTP/2 that carry nothing, such as PING and SETTINGS, that may come at once; 1,000.
    pub control_frames_burst: u32,
    /// And how many of them a second on top; 100. More end the connection.
    pub control_frames_per_s: u32,
    /// Streams of HTTP/2 that a peer may reset at once; 200.
    pub resets_burst: u32,
    /// And how many of them a second on top; 50. More end the connection.
    pub resets_per_s: u32,
    /// Bytes of an answer that a stream of HTTP/2 may have waiting for the peer; 64 KiB.
    pub stream_send_buffer_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_len_max: 16 * 1024,
            header_count_max: 100,
            uri_len_max: 8 * 1024,
            body_len_max: 2 * 1024 * 1024,
            body_rate_min: 240,
            body_rate_window: Duration::from_secs(5),
            first_byte: Duration::from_secs(30),
            first_request_at_shutdown: Duration::from_secs(1),
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(30),
            linger: Duration::from_secs(2),
            requests_per_connection_max: 100_000,
            streams_per_connection_max: 200,
            connections_max: 10_000,
            connections_per_address_max: 10_000,
            control_frames_burst: 1_000,
            control_frames_per_s: 100,
            resets_burst: 200,
            resets_per_s: 50,
            stream_send_buffer_len_max: 64 * 1024,
        }
    }
}
