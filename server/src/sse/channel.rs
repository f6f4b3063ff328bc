//! The same events for many clients, and those that one missed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::event::Event;
use super::stream::{EventSender, last_event_id, stream};
use crate::http::Body;

/// What a channel keeps and bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// Events that are kept for clients that come back; 256.
    pub replay_max: usize,
    /// And their bytes; 256 KiB.
    pub replay_len_max: usize,
    /// Bytes that may wait for a client, beside what it missed; 64 KiB.
    pub high_water: usize,
    /// What becomes of a client that is slower.
    pub when_slow: WhenSlow,
    /// How often a comment is sent, so that nobody in between takes the connection for dead; 15 s. Zero turns it off.
    pub heartbeat: Duration,
    /// How long browsers wait before they come back; 2 s.
    pub retry: Duration,
    /// The number of the first event, for events without an id of their own; 1. A server that starts anew goes on where it was,
    /// or clients that come back are told too much or too little.
    pub first_id: u64,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            replay_max: 256,
            replay_len_max: 256 * 1024,
            high_water: 64 * 1024,
            when_slow: WhenSlow::default(),
            heartbeat: Duration::from_secs(15),
            retry: Duration::from_secs(2),
            first_id: 1,
        }
    }
}

/// What becomes of a client for which too much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenSlow {
    /// Its answer is broken off. A browser comes back and is told what it missed, as far as that is kept.
    #[default]
    Disconnect,
    /// It misses events until it has caught up.
    SkipEvents,
}

/// Tells many clients the same. Clones are the same channel. When the last one is dropped, the answers end.
///
/// # Examples
/// ```
/// use phaseloop_server::http::{Body, Handler, Request, Server};
/// use phaseloop_server::sse::{Channel, ChannelOptions};
///
/// fn news(channel: &Channel) -> Server<impl Handler> {
///     let channel = channel.clone();
///     Server::new(move |request: Request<Body>| {
///         let response = channel.subscribe(&request);
///         async { response }
///     })
/// }
/// # drop(news(&Channel::new(ChannelOptions::default())));
/// ```
#[derive(Clone)]
pub struct Channel {
    inner: Rc<Inner>,
}

struct Inner {
    options: ChannelOptions,
    next_id: Cell<u64>,
    clients: RefCell<Vec<EventSender>>,
    replay: RefCell<Replay>,
    beats: Cell<bool>,
}

/// The last events, the oldest first.
#[derive(Default)]
struct Replay {
    events: VecDeque<(Box<str>, Bytes)>,
    len: usize,
}

impl Channel {
    /// A channel without clients.
    pub fn new(options: ChannelOptions) -> Self {
        let (next_id, replay) = (Cell::new(options.first_id), RefCell::default());
        Self {
            inner: Rc::new(Inner {
                options,
                next_id,
                clients: RefCell::default(),
                replay,
                beats: Cell::new(false),
            }),
        }
    }

    /// Answers a request with what the channel tells from now on, and with what the client missed if it says what it got last.
    ///
    /// An id that is not kept any more, or is unknown, is answered with all that is kept: the client may be told twice, but not
    /// too little if it is only a little late.
    ///
    /// # Panics
    /// Outside of a running loop.
    pub fn subscribe(&self, request: &Request<Body>) -> Response<Body> {
        let options = &self.inner.options;
        let (mut client, response) = stream(options.high_water);
        let mut first = vec![Event::comment("").retry(options.retry).encode()];
        if let Some(last) = last_event_id(request) {
            first.extend(self.inner.replay.borrow().after(last));
        }
        for bytes in first {
            // The answer is in our hands: the client can not be gone.
            let _ = client.sender.try_send(bytes);
        }
        client.sender.exempt_queued();
        self.inner.clients.borrow_mut().push(client);
        self.beat();
        response
    }

    /// Tells all clients. An event without an id gets the next number. Gives how many clients are told.
    pub fn send(&self, event: Event) -> usize {
        let event = match event.has_id() {
            Some(_) => event,
            None => {
                let id = self.inner.next_id.get();
                self.inner.next_id.set(id + 1);
                event.id(&id.to_string())
            }
        };
        let bytes = event.encode();
        if let Some(id) = event.has_id() {
            self.inner.replay.borrow_mut().keep(id, &bytes, &self.inner.options);
        }
        self.inner.tell(&bytes)
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.inner.clients.borrow_mut().retain(|client| !client.is_gone());
        self.inner.clients.borrow().len()
    }

    /// Ends all answers, so that a server can shut down. Browsers come back.
    pub fn disconnect(&self) {
        let clients = self.inner.clients.take();
        clients.into_iter().for_each(EventSender::finish);
    }

    /// Has the heart beat while there are clients.
    fn beat(&self) {
        let period = self.inner.options.heartbeat;
        if period.is_zero() || self.inner.beats.replace(true) {
            return;
        }
        let channel = Rc::downgrade(&self.inner);
        let beating = async move {
            let beat = Event::comment("").encode();
            loop {
                phaseloop::sleep(period).await;
                let Some(inner) = Weak::upgrade(&channel) else { return };
                inner.tell(&beat);
                // Not whether somebody was told: clients may all be slow for a while.
                if inner.clients.borrow().is_empty() {
                    inner.beats.set(false);
                    return;
                }
            }
        };
        // The clients' connections keep the loop alive, not their heartbeat.
        phaseloop::spawn(beating).unref();
    }
}

impl Inner {
    fn tell(&self, bytes: &Bytes) -> usize {
        let mut told = 0;
        // Nothing of a user's runs in here: sending wakes, and no more.
        self.clients.borrow_mut().retain_mut(|client| {
            if client.is_full() {
                return self.options.when_slow == WhenSlow::SkipEvents;
            }
            let is_there = client.sender.try_send(bytes.clone()).is_ok();
            told += usize::from(is_there);
            is_there
        });
        told
    }
}

impl Replay {
    fn keep(&mut self, id: &str, bytes: &Bytes, options: &ChannelOptions) {
        self.events.push_back((id.into(), bytes.clone()));
        self.len += bytes.len();
        while self.events.len() > options.replay_max || self.len > options.replay_len_max {
            let Some((_, bytes)) = self.events.pop_front() else { return };
            self.len -= bytes.len();
        }
    }

    /// What came behind the event `last`; all, if that is not kept.
    fn after(&self, last: &str) -> Vec<Bytes> {
        let known = self.events.iter().rposition(|(id, _)| **id == *last).map(|at| at + 1);
        self.events.iter().skip(known.unwrap_or(0)).map(|(_, bytes)| bytes.clone()).collect()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("clients", &self.clients()).finish_non_exhaustive()
    }
}
