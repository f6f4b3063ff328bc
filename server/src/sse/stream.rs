//! An answer of events for one client.

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request, Response};

use super::event::Event;
use crate::http::{Body, BodySender, Gone};

/// An answer that goes on, and the end that feeds it. Beyond `high_water` bytes that wait for the client, the sender does.
///
/// It is a [lasting](Body::lasting) one: over HTTP/1.1 the last of its connection.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// use phaseloop_server::http::{Body, Request, Response};
/// use phaseloop_server::sse::{self, Event};
///
/// async fn count(_: Request<Body>) -> Response<Body> {
///     let (mut events, response) = sse::stream(16 * 1024);
///     phaseloop::spawn(async move {
///         for number in 0.. {
///             if events.send(&Event::new(number.to_string())).await.is_err() {
///                 return; // the client is gone
///             }
///             phaseloop::sleep(Duration::from_secs(1)).await;
///         }
///     });
///     response
/// }
/// # drop(count(Request::new(Body::empty())));
/// ```
pub fn stream(high_water: usize) -> (EventSender, Response<Body>) {
    let (sender, body) = Body::lasting(high_water);
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // What stands between here and the browser is to keep, gather and compress nothing.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    (EventSender { sender }, response)
}

/// What a client that comes back says it got last.
pub fn last_event_id(request: &Request<Body>) -> Option<&str> {
    request.headers().get("last-event-id").and_then(|id| std::str::from_utf8(id.as_bytes()).ok())
}

/// Sends events to one client. Dropping it breaks the answer off, and the client comes back; so does [`finish`](Self::finish)
/// for a browser.
#[derive(Debug)]
pub struct EventSender {
    pub(super) sender: BodySender,
}

impl EventSender {
    /// Sends an event, once there is room for it.
    ///
    /// # Errors
    /// The client is gone.
    ///
    /// # Cancel safety
    /// Nothing was sent if the future is dropped before it is done.
    pub async fn send(&mut self, event: &Event) -> Result<(), Gone> {
        self.sender.send(event.encode()).await
    }

    /// Sends an event now, whatever waits: the caller looks at [`is_full`](Self::is_full).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn try_send(&mut self, event: &Event) -> Result<(), Gone> {
        self.sender.try_send(event.encode())
    }

    /// True if the client is slow: more than the mark waits for it.
    pub fn is_full(&self) -> bool {
        self.sender.is_full()
    }

    /// True if the client is gone.
    pub fn is_gone(&self) -> bool {
        self.sender.is_gone()
    }

    /// Waits until the client is gone.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn gone(&mut self) {
        self.sender.gone().await;
    }

    /// Ends the answer.
    pub fn finish(self) {
        self.sender.finish();
    }
}
