//! To whom something is said: built up room by room, then said.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use serde_json::{Map, Value};

use super::ack::AckError;
use super::adapter::{Broadcast, Partial, Target, with_own};
use super::args::{Args, IntoArgs};
use super::flags::Flags;
use super::namespace::Namespace;
use super::outgoing::check_event;
use super::socket::Socket;

/// Those to whom something is said. Made by [`Namespace::to`], [`Socket::to`] and their kin; each call narrows or widens it.
///
/// # Examples
/// ```
/// use phaseloop_server::socketio::Io;
///
/// let io = Io::new();
/// // To those in either room, but to nobody who asked for silence.
/// io.to("news").to("sport").except("silent").emit("headline", "it rains");
/// ```
#[derive(Clone)]
#[must_use = "nothing is said before `emit`"]
pub struct Operator {
    namespace: Namespace,
    target: Target,
    flags: Flags,
}

impl Operator {
    pub(crate) fn new(namespace: Namespace) -> Self {
        Self { namespace, target: Target::default(), flags: Flags::default() }
    }

    pub(crate) fn with_flags(self, flags: Flags) -> Self {
        Self { flags, ..self }
    }

    /// Also to those in this room; a socket's id is one. Without a room it is to all.
    pub fn to(mut self, room: impl Into<String>) -> Self {
        self.target.rooms.push(room.into());
        self
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, room: impl Into<String>) -> Self {
        self.to(room)
    }

    /// Not to those in this room.
    pub fn except(mut self, room: impl Into<String>) -> Self {
        self.target.except.push(room.into());
        self
    }

    /// Only to clients that can take it at once: what they miss is of no use later.
    pub fn volatile(mut self) -> Self {
        self.flags.volatile = true;
        self
    }

    /// Whether transports may compress it. Today: ours never do; an [`Adapter`](super::Adapter) tells other servers.
    pub fn compress(mut self, compress: bool) -> Self {
        self.flags.uncompressed = !compress;
        self
    }

    /// Not to the sockets of other servers.
    pub fn local(mut self) -> Self {
        self.flags.local = true;
        self
    }

    /// Sends an event. It is encoded once for all.
    ///
    /// # Panics
    /// The name is one that Socket.IO uses itself: `connect`, `connect_error`, `disconnect`, `disconnecting`, `newListener` or
    /// `removeListener`. Clients would take the event for no packet, and leave.
    #[track_caller]
    pub fn emit(&self, event: &str, args: impl IntoArgs) {
        check_event(event);
        self.namespace.broadcast(&self.target, self.flags, event, args.into_args());
    }

    /// Sends an event and waits for answers, no longer than `limit`; one for each socket, in the order in which they
    /// connected. A client that missed it for being [`volatile`](Self::volatile) is waited for, and does not answer in time. Answers from other servers follow, in no order, each of one argument. A server that does not even say how many
    /// sockets it has asked is one [`AckError::ServerMissing`].
    ///
    /// # Panics
    /// As [`emit`](Self::emit).
    ///
    /// # Cancel safety
    /// Dropping it gives the answers up.
    #[track_caller]
    pub fn emit_with_ack<A: IntoArgs>(
        &self,
        event: &str,
        args: A,
        limit: Duration,
    ) -> impl Future<Output = Vec<Result<Args, AckError>>> + use<A> {
        check_event(event);
        let args = args.into_args();
        let send = |socket: &Socket| socket.ask(event, args.clone(), self.flags, limit);
        let others = (!self.flags.local)
            .then(|| self.namespace.adapter().broadcast_with_ack(&self.says(event, &args), limit));
        let waiting: Vec<_> = self.sockets().iter().map(send).collect();
        async move {
            let own = async {
                let mut answers = Vec::with_capacity(waiting.len());
                for one in waiting {
                    answers.push(one.await); // their time runs together
                }
                answers
            };
            let Some(others) = others else { return own.await };
            // What others say is counted while clients here are silent: the limit is the same.
            let (own, found) = both(own, others).await;
            with_own(own, found).unwrap_or_else(Partial::into_found)
        }
    }

    /// The sockets of this server that are meant.
    pub fn sockets(&self) -> Vec<Socket> {
        self.namespace.rooms().borrow().select(&self.target.rooms, &self.target.except)
    }

    /// All that are meant, those of other servers too.
    ///
    /// # Errors
    /// A server did not answer in time, or can not be reached: [`Partial`] has those that were found.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, Partial<RemoteSocket>> {
        let found = self.sockets().iter().map(RemoteSocket::of).collect();
        if self.flags.local {
            return Ok(found);
        }
        with_own(found, self.namespace.adapter().fetch(&self.target).await)
    }

    fn says<'a>(&'a self, event: &'a str, args: &'a Args) -> Broadcast<'a> {
        let Flags { volatile, uncompressed, .. } = self.flags;
        Broadcast { target: &self.target, event, args, volatile, compress: !uncompressed }
    }

    /// Has them join a room.
    pub fn sockets_join(&self, room: &str) {
        self.sockets().iter().for_each(|socket| socket.join(room));
        if !self.flags.local {
            self.namespace.adapter().join(&self.target, &[room.to_owned()]);
        }
    }

    /// Has them leave a room.
    pub fn sockets_leave(&self, room: &str) {
        self.sockets().iter().for_each(|socket| socket.leave(room));
        if !self.flags.local {
            self.namespace.adapter().leave(&self.target, &[room.to_owned()]);
        }
    }

    /// Has them leave the namespace, or, with `close`, their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.sockets().iter().for_each(|socket| socket.disconnect(close));
        if !self.flags.local {
            self.namespace.adapter().disconnect(&self.target, close);
        }
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Operator");
        out.field("namespace", &self.namespace.name()).field("target", &self.target);
        out.field("flags", &self.flags).finish()
    }
}

async fn both<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> (A, B) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    poll_fn(|cx| {
        if one.is_none() {
            one = ready_now(first.as_mut().poll(cx));
        }
        if other.is_none() {
            other = ready_now(second.as_mut().poll(cx));
        }
        match (one.take(), other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (first, second) => {
                (one, other) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

fn ready_now<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// A socket that may be another server's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RemoteSocket {
    /// Its id, which is a room of its own: speak to it by that.
    pub id: String,
    /// The rooms it is in.
    pub rooms: Vec<String>,
    /// What was noted with it.
    pub data: Map<String, Value>,
    /// What its client said about itself.
    pub auth: Rc<Value>,
}

impl RemoteSocket {
    /// A socket of another server, for an [`Adapter`](super::Adapter) that has heard of it.
    pub fn new(id: impl Into<String>, rooms: Vec<String>, data: Map<String, Value>) -> Self {
        Self { id: id.into(), rooms, data, auth: Rc::new(Value::Null) }
    }

    fn of(socket: &Socket) -> Self {
        Self {
            id: socket.id().to_owned(),
            rooms: socket.rooms(),
            data: socket.all_data(),
            auth: Rc::new(socket.handshake().auth.clone()),
        }
    }
}
