//! Other servers that share the rooms.

use std::future::Future;
use std::pin::Pin;

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

/// The sockets that other servers have, once they have answered.
pub type Fetching = Pin<Box<dyn Future<Output = Vec<RemoteSocket>>>>;

/// Tells other servers what is meant for their sockets as well, and hears what they say. One for each namespace.
///
/// This server's own sockets are served by the namespace itself, at once; an adapter carries the rest. What it hears it
/// hands to the [`Namespace`](super::Namespace) it was made for, by [`local`](super::Namespace::local). The default is [`Local`]: there are no others.
pub trait Adapter: 'static {
    /// An event for sockets of other servers.
    fn broadcast(&self, target: &Target, event: &str, args: &Args, compress: bool);

    /// Sockets of other servers join rooms.
    fn join(&self, target: &Target, rooms: &[String]);

    /// Sockets of other servers leave rooms.
    fn leave(&self, target: &Target, rooms: &[String]);

    /// Sockets of other servers are disconnected, from the namespace or altogether.
    fn disconnect(&self, target: &Target, close: bool);

    /// The sockets of other servers.
    fn fetch(&self, target: &Target) -> Fetching;
}

/// There are no other servers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Adapter for Local {
    fn broadcast(&self, _: &Target, _: &str, _: &Args, _: bool) {}

    fn join(&self, _: &Target, _: &[String]) {}

    fn leave(&self, _: &Target, _: &[String]) {}

    fn disconnect(&self, _: &Target, _: bool) {}

    fn fetch(&self, _: &Target) -> Fetching {
        Box::pin(async { Vec::new() })
    }
}
