//! Connections that wait for the next request.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use hyper::client::conn::http1;

use super::http2::Http2Sender;
use super::options::ClientOptions;
use crate::http::Body;

/// The end of a connection that takes requests.
pub(super) enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(Http2Sender),
}

impl Sender {
    fn is_usable(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }
}

fn is_good((sender, since): &(Sender, Instant), now: Instant, idle: Duration) -> bool {
    sender.is_usable() && now.saturating_duration_since(*since) < idle
}

/// Whom a connection leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) encrypted: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

/// The connections of a client that nobody uses, and those of HTTP/2, which many use.
#[derive(Default)]
pub(super) struct Kept(RefCell<HashMap<Target, Vec<(Sender, Instant)>>>);

impl Kept {
    /// A connection to `target` that was used within `idle`: the one that was used last.
    pub(super) fn take(&self, target: &Target, now: Instant, idle: Duration) -> Option<Sender> {
        let mut kept = self.0.borrow_mut();
        let senders = kept.get_mut(target)?;
        senders.retain(|kept| is_good(kept, now, idle));
        let taken = match senders.last_mut() {
            Some((Sender::Http2(sender), since)) => {
                *since = now;
                Some(Sender::Http2(sender.clone()))
            }
            _ => senders.pop().map(|(sender, _)| sender),
        };
        if senders.is_empty() {
            kept.remove(target);
        }
        taken
    }

    /// Keeps a connection, if there is room. The one that waits longest goes for it.
    pub(super) fn put(&self, target: Target, sender: Sender, now: Instant, options: &ClientOptions) {
        let mut kept = self.0.borrow_mut();
        if kept.len() >= options.kept_servers_max && !kept.contains_key(&target) {
            // Servers that nobody asks any more hold their places until somebody looks.
            kept.retain(|_, senders| {
                senders.retain(|kept| is_good(kept, now, options.idle));
                !senders.is_empty()
            });
            if kept.len() >= options.kept_servers_max {
                return;
            }
        }
        if options.kept_per_server_max == 0 {
            return;
        }
        let senders = kept.entry(target).or_default();
        if senders.len() >= options.kept_per_server_max {
            senders.remove(0);
        }
        senders.push((sender, now));
    }

    pub(super) fn len(&self) -> usize {
        self.0.borrow().values().map(Vec::len).sum()
    }

    pub(super) fn clear(&self) {
        let kept = self.0.take();
        drop(kept);
    }
}
