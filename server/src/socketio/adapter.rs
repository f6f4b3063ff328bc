//! Other servers that share the rooms.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde_json::Value;

use super::ack::AckError;
use super::args::Args;
use super::operator::RemoteSocket;

/// Whom something is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Those in any of these; all, if there are none.
    pub rooms: Vec<String>,
    /// But those in any of these.
    pub except: Vec<String>,
}

impl Target {
    pub(crate) fn includes(&self, id: &str, rooms: &[String]) -> bool {
        let is_in = |names: &[String]| names.iter().any(|name| name == id || rooms.contains(name));
        (self.rooms.is_empty() || is_in(&self.rooms)) && !is_in(&self.except)
    }
}

/// An event for sockets of other servers.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Broadcast<'a> {
    /// Whom it is for.
    pub target: &'a Target,
    /// Its name.
    pub event: &'a str,
    /// What it carries.
    pub args: &'a Args,
    /// Whether it may be lost.
    pub volatile: bool,
    /// Whether transports may compress it.
    pub compress: bool,
}

/// What other servers answer.
pub type Asking<T> = Pin<Box<dyn Future<Output = Result<Vec<T>, Partial<T>>>>>;

/// Not all servers have answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partial<T> {
    /// What those have said that did, this one among them.
    pub found: Vec<T>,
    /// What is missing, and why.
    pub why: String,
}

impl<T> Partial<T> {
    /// What was found, and a reason.
    pub fn new(found: Vec<T>, why: impl Into<String>) -> Self {
        Self { found, why: why.into() }
    }

    /// What was found, for whom that is enough.
    pub fn into_found(self) -> Vec<T> {
        self.found
    }
}

impl<T> fmt::Display for Partial<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not all servers have answered: {}", self.why)
    }
}

impl<T: fmt::Debug> std::error::Error for Partial<T> {}

/// Tells other servers what is meant for their sockets as well, and hears what they say. One for each namespace.
///
/// This server's own sockets are served by the namespace itself, at once; an adapter carries the rest. What it hears it
/// hands to the [`Namespace`](super::Namespace) it was made for, by [`local`](super::Namespace::local). The default is [`Local`]: there are no others.
/// With the feature `socketio-redis`, `RedisAdapter` reaches servers through Redis.
pub trait Adapter: 'static {
    /// An event for sockets of other servers.
    fn broadcast(&self, what: &Broadcast<'_>);

    /// An event for sockets of other servers that they acknowledge, no later than `limit` from now.
    fn broadcast_with_ack(&self, what: &Broadcast<'_>, limit: Duration) -> Asking<Result<Args, AckError>>;

    /// Sockets of other servers join rooms.
    fn join(&self, target: &Target, rooms: &[String]);

    /// Sockets of other servers leave rooms.
    fn leave(&self, target: &Target, rooms: &[String]);

    /// Sockets of other servers are disconnected, from the namespace or altogether.
    fn disconnect(&self, target: &Target, close: bool);

    /// The sockets of other servers.
    fn fetch(&self, target: &Target) -> Asking<RemoteSocket>;

    /// The rooms that sockets of other servers are in.
    fn rooms(&self) -> Asking<String>;

    /// An event for the other servers themselves.
    fn server_side_emit(&self, event: &str, args: &Args);

    /// An event for the other servers themselves, each of which answers with one value.
    fn server_side_emit_with_ack(&self, event: &str, args: &Args) -> Asking<Value>;

    /// How many servers there are, this one included. An error says why that is not known.
    fn server_count(&self) -> Pin<Box<dyn Future<Output = Result<usize, String>>>>;
}

/// There are no other servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Adapter for Local {
    fn broadcast(&self, _: &Broadcast<'_>) {}

    fn broadcast_with_ack(&self, _: &Broadcast<'_>, _: Duration) -> Asking<Result<Args, AckError>> {
        nobody()
    }

    fn join(&self, _: &Target, _: &[String]) {}

    fn leave(&self, _: &Target, _: &[String]) {}

    fn disconnect(&self, _: &Target, _: bool) {}

    fn fetch(&self, _: &Target) -> Asking<RemoteSocket> {
        nobody()
    }

    fn rooms(&self) -> Asking<String> {
        nobody()
    }

    fn server_side_emit(&self, _: &str, _: &Args) {}

    fn server_side_emit_with_ack(&self, _: &str, _: &Args) -> Asking<Value> {
        nobody()
    }

    fn server_count(&self) -> Pin<Box<dyn Future<Output = Result<usize, String>>>> {
        Box::pin(std::future::ready(Ok(1)))
    }
}

fn nobody<T: 'static>() -> Asking<T> {
    Box::pin(async { Ok(Vec::new()) })
}

/// Puts what was found here in front of what others have said.
pub(crate) fn with_own<T>(mut own: Vec<T>, others: Result<Vec<T>, Partial<T>>) -> Result<Vec<T>, Partial<T>> {
    match others {
        Ok(found) => {
            own.extend(found);
            Ok(own)
        }
        Err(Partial { found, why }) => {
            own.extend(found);
            Err(Partial { found: own, why })
        }
    }
}
