//! What a worker gets to serve: sockets that it accepts from, and connections that the primary accepted.

use std::io;
use std::rc::Rc;

use phaseloop::ipc::Attachment;

use super::connection::{Accepting, OnConnection, Stream, give};
use super::wire::{ToPrimary, encode};
use super::worker::{Worker, refused};
use crate::http::Serving;

/// What serves a listener.
pub(super) enum Taker {
    /// Nobody yet; what came for it.
    Nobody(Vec<Attachment>),
    Http(Serving),
    Callback(OnConnection),
}

impl Worker {
    pub(super) fn find(&self, name: &str) -> io::Result<usize> {
        let found = self.inner.seat.listeners.iter().position(|listener| listener.name == name);
        found.ok_or_else(|| refused(format!("the primary has no listener {name:?}")))
    }

    pub(super) fn take_over(&self, index: usize, taker: Taker) -> io::Result<()> {
        let early = {
            let slot = &mut self.inner.takers.borrow_mut()[index];
            let Taker::Nobody(early) = slot else {
                let name = &self.inner.seat.listeners[index].name;
                return Err(refused(format!("the listener {name:?} is served already")));
            };
            let early = std::mem::take(early);
            *slot = taker;
            early
        };
        let handed = self.inner.seat.listeners[index].is_handed;
        let there = handed || !early.is_empty();
        early.into_iter().for_each(|attachment| self.accept_from(index, attachment));
        if there {
            self.listens(index);
        }
        Ok(())
    }

    /// A listener is served: tells the primary, and if it was the last one, that all are.
    fn listens(&self, index: usize) {
        self.say(&ToPrimary::Listening { listener: index });
        let handed = |index: usize| self.inner.seat.listeners[index].is_handed;
        let all = self.inner.takers.borrow().iter().enumerate().all(|(index, taker)| {
            !matches!(taker, Taker::Nobody(_)) && (handed(index) || self.has_socket(index))
        });
        if all {
            self.ready();
        }
    }

    fn has_socket(&self, index: usize) -> bool {
        self.inner.sockets.borrow()[index] > 0
    }

    /// Accepts from a socket of the primary.
    fn accept_from(&self, index: usize, attachment: Attachment) {
        if self.is_ending() {
            return; // the socket is closed here; others have it too
        }
        let lp = &self.inner.lp;
        let is_unix = self.inner.seat.listeners[index].is_unix;
        let taker = match &self.inner.takers.borrow()[index] {
            Taker::Nobody(_) => return,
            Taker::Http(serving) => Ok(serving.clone()),
            Taker::Callback(callback) => Err(Rc::clone(callback)),
        };
        let opened = match (taker, is_unix) {
            (Ok(serving), _) => attachment.into_tcp_listener(lp).map(|listener| {
                serving.add_listener(listener.clone());
                Accepting::Tcp(listener)
            }),
            (Err(callback), false) => attachment.into_tcp_listener(lp).and_then(|listener| {
                listener
                    .on_connection(move |_, stream| give(&callback, stream.map(Stream::Tcp), Vec::new()))?;
                Ok(Accepting::Tcp(listener))
            }),
            (Err(callback), true) => attachment.into_unix_listener(lp).and_then(|listener| {
                listener
                    .on_connection(move |_, stream| give(&callback, stream.map(Stream::Unix), Vec::new()))?;
                Ok(Accepting::Unix(listener))
            }),
        };
        // One that can not be opened, for want of descriptors, is not served: the worker is not ready, and is replaced.
        if let Ok(accepting) = opened {
            accepting.pause(self.inner.is_paused.get());
            self.inner.accepting.borrow_mut().push(accepting);
            self.inner.sockets.borrow_mut()[index] += 1;
        }
    }

    /// Takes a connection that the primary accepted. It is served once the primary can know that it is.
    pub(super) fn take(&self, index: usize, connection: u64, attachment: Attachment, first: Vec<u8>) {
        let is_served = self.inner.takers.borrow().get(index).is_some_and(|t| !matches!(t, Taker::Nobody(_)));
        if self.is_ending() || !is_served {
            self.say(&ToPrimary::Refused { connection });
            return;
        }
        let worker = self.clone();
        let taken = encode(&ToPrimary::Taken { connection }, b"");
        // Not confirmed, not served: the primary gives it to another.
        self.or_leave(self.inner.channel.send_with(taken, move |_, sent| {
            if sent.is_ok() {
                worker.serve_taken(index, attachment, first);
            }
        }));
    }

    fn serve_taken(&self, index: usize, attachment: Attachment, first: Vec<u8>) {
        let (lp, is_unix) = (&self.inner.lp, self.inner.seat.listeners[index].is_unix);
        let taker = match &self.inner.takers.borrow()[index] {
            Taker::Nobody(_) => return,
            Taker::Http(serving) => Ok(serving.clone()),
            Taker::Callback(callback) => Err(Rc::clone(callback)),
        };
        match taker {
            // A connection that is gone already needs nobody.
            Ok(serving) => drop(attachment.into_tcp_stream(lp).map(|s| serving.serve_read_stream(s, first))),
            Err(callback) if is_unix => {
                give(&callback, attachment.into_unix_stream(lp).map(Stream::Unix), first)
            }
            Err(callback) => give(&callback, attachment.into_tcp_stream(lp).map(Stream::Tcp), first),
        }
    }

    pub(super) fn socket_came(&self, index: usize, attachment: Attachment) {
        let mut takers = self.inner.takers.borrow_mut();
        match takers.get_mut(index) {
            None => {}
            Some(Taker::Nobody(early)) => early.push(attachment),
            Some(_) => {
                drop(takers);
                let is_first = !self.has_socket(index);
                self.accept_from(index, attachment);
                if is_first && self.has_socket(index) {
                    self.listens(index);
                }
            }
        }
    }
}
