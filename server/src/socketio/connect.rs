//! What a client comes with, and why it may not connect.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use serde_json::Value;

use crate::http::{Body, RequestExt};

/// What a client came with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Handshake {
    /// The headers of the request that opened the session.
    pub headers: Rc<HeaderMap>,
    /// Its target, with the query.
    pub uri: Uri,
    /// The other end of its connection, if it came by one.
    pub peer_addr: Option<SocketAddr>,
    /// What the client says about itself when it connects to a namespace: an object.
    pub auth: Value,
}

impl Handshake {
    pub(crate) fn of(request: &Request<Body>) -> Self {
        Self {
            headers: Rc::new(copy_headers(request.headers())),
            uri: copy_uri(request.uri()),
            peer_addr: request.peer_addr(),
            auth: Value::Null,
        }
    }

    pub(crate) fn with_auth(&self, auth: Value) -> Self {
        Self { auth, ..self.clone() }
    }
}

/// What a request carries are pieces of the buffer that it was read into, 16 KiB of hyper's: a clone of one piece would keep all
/// of it for as long as the session.
fn copy_headers(headers: &HeaderMap) -> HeaderMap {
    let copy = |name: &HeaderName, value: &HeaderValue| {
        let mut value_copy = HeaderValue::from_bytes(value.as_bytes()).ok()?;
        value_copy.set_sensitive(value.is_sensitive());
        Some((HeaderName::from_bytes(name.as_str().as_bytes()).ok()?, value_copy))
    };
    // None is left out: what is a header already is a valid one.
    headers.iter().filter_map(|(name, value)| copy(name, value)).collect()
}

/// As [`copy_headers`].
fn copy_uri(uri: &Uri) -> Uri {
    uri.to_string().parse().unwrap_or_else(|_| uri.clone())
}

/// Why a client may not connect to a namespace. It gets a `connect_error` event with these.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectError {
    /// A sentence for the client.
    pub message: String,
    /// More for the client, if there is more to say.
    pub data: Option<Value>,
}

impl ConnectError {
    /// A refusal without data.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), data: None }
    }

    /// Adds data.
    pub fn with_data(mut self, data: Value) -> Self {
        self.data = Some(data);
        self
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut json = serde_json::json!({ "message": self.message });
        if let Some(data) = &self.data {
            json["data"] = data.clone();
        }
        json
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectError {}
