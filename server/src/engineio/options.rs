//! How an engine behaves, and what its clients may cost.

use std::time::Duration;

use super::cors::Cors;

/// How an engine behaves, and what its clients may cost. The defaults are those of Node's `engine.io`.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use phaseloop_server::engineio::Options;
///
/// let mut options = Options::default();
/// options.ping_interval = Duration::from_secs(10);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// What requests' paths begin with; `/engine.io/`. Socket.IO sets `/socket.io/`.
    pub path: String,
    /// From the opening, or a pong, to the next ping; 25 s. The first ping never comes earlier.
    pub ping_interval: Duration,
    /// From a ping until its pong must be there; 20 s.
    pub ping_timeout: Duration,
    /// How long a WebSocket may take to take a polling session over; 10 s.
    pub upgrade_timeout: Duration,
    /// Bytes of one request's payload, and of one message by WebSocket, that are taken; 1,000,000. Longer ones get 413 or
    /// the close code 1009.
    pub max_payload: usize,
    /// Whether HTTP polling is served; it is.
    pub polling: bool,
    /// Whether WebSocket is served; it is.
    pub websocket: bool,
    /// Whether a session may change from polling to WebSocket; it may.
    pub allow_upgrades: bool,
    /// What other origins may do; nothing by default.
    pub cors: Option<Cors>,

    /// What sessions' numbers begin with; nothing. In a cluster whose primary looks at them, the worker's own: see
    /// `cluster::Worker::session_prefix`. It must stand in a URL as it is.
    pub session_prefix: String,

    /// Sessions in all; 10,000. One more is answered with 503.
    pub sessions_max: usize,
    /// Bytes that may wait for one client; 4 MiB. One that takes too little is closed as with a transport error. About as many
    /// again may be on their way by a WebSocket.
    pub send_queue_len_max: usize,
    /// How long the last packets of a closed session wait for the poll that fetches them, or for a WebSocket that takes them and is
    /// closed by the client too; 5 s. Then they are dropped.
    pub linger: Duration,
}

impl Options {
    /// The defaults, for another path.
    pub(crate) fn below(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 1_000_000,
            polling: true,
            websocket: true,
            allow_upgrades: true,
            cors: None,
            session_prefix: String::new(),
            sessions_max: 10_000,
            send_queue_len_max: 4 * 1024 * 1024,
            linger: Duration::from_secs(5),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::below("/engine.io/")
    }
}
