//! How a client behaves.

use std::time::Duration;

/// What a client does, and for how long it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientOptions {
    /// How long it may take to find an address, connect and, where there is TLS, shake hands; 10 s. Of several addresses each is
    /// given its share of it.
    pub connect: Duration,
    /// How long an answer's head may take once there is a connection, 30 s. The body is the caller's to time.
    pub head: Duration,
    /// How long an unused connection is kept; 60 s. Looked at when the next request to its server comes, and when there is no
    /// room for one more server.
    pub idle: Duration,
    /// Unused connections that are kept for one server; 8.
    pub kept_per_server_max: usize,
    /// Servers for which connections are kept; 256. What is beyond is closed after use.
    pub kept_servers_max: usize,
    /// Redirects that are followed; none. A body that was streamed can not be sent twice, so such a request stops at a 307.
    pub redirects_max: u32,
    /// The version of HTTP to speak.
    pub version: HttpVersion,
}

/// The version of HTTP that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpVersion {
    /// With TLS, what both agree on; without, HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, without TLS by prior knowledge; with TLS, a server that does not agree to it is an error. Needs the feature
    /// `http2`.
    Http2,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            kept_per_server_max: 8,
            kept_servers_max: 256,
            redirects_max: 0,
            version: HttpVersion::Auto,
        }
    }
}
