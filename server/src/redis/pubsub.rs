//! Messages that are published.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::str::Utf8Error;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use redis::{Cmd, PushKind, Value};

use super::client::Client;
use super::error::Error;
use super::link::Link;
use super::options::Options;

/// Something that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Where.
    pub channel: Rc<str>,
    /// What.
    pub payload: Rc<[u8]>,
}

impl Message {
    /// The payload as text.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(&self.payload)
    }
}

/// What a [`Subscription`] gives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A message.
    Message(Message),
    /// Messages may be missing here: read anew what they tell of.
    Gap(Gap),
}

/// Why messages may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// There was no connection. It is subscribed again, so nothing is missed from here on.
    Connection,
    /// So many waited that the oldest were dropped, this many.
    Overflow(u64),
}

/// The messages of channels and patterns, as a stream of [`Event`]s. Made by [`Client::subscribe`] and its kin; dropping it unsubscribes.
///
/// The client subscribes again after each reconnect, and then gives [`Gap::Connection`]. What is not taken waits, within
/// [`Options::subscription_queue_max`] messages and [`Options::subscription_len_max`] bytes; then the oldest are dropped, and
/// [`Gap::Overflow`] says how many.
///
/// # Errors
/// The stream ends after an error: the server refuses it now, or the client was closed.
///
/// # Examples
/// ```no_run
/// use phaseloop_server::redis::{Client, Error, Event};
/// use futures::StreamExt;
///
/// async fn follow(redis: &Client) -> Result<(), Error> {
///     let mut orders = redis.subscribe("orders").await?;
///     while let Some(event) = orders.next().await {
///         match event? {
///             Event::Message(message) => println!("{}", String::from_utf8_lossy(&message.payload)),
///             Event::Gap(why) => println!("read all orders again: {why:?}"),
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Subscription {
    client: Client,
    names: Vec<Name>,
    queue: Rc<Queue>,
}

/// A channel or a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    is_pattern: bool,
    text: Vec<u8>,
}

impl Name {
    fn command(&self, channel: &str, pattern: &str) -> Vec<u8> {
        let mut command = Cmd::new();
        command.arg(if self.is_pattern { pattern } else { channel }).arg(&self.text);
        command.get_packed_command()
    }

    fn subscribe(&self) -> Vec<u8> {
        self.command("SUBSCRIBE", "PSUBSCRIBE")
    }

    fn unsubscribe(&self) -> Vec<u8> {
        self.command("UNSUBSCRIBE", "PUNSUBSCRIBE")
    }
}

impl Client {
    /// Subscribes to a channel. All that is published after that arrives.
    ///
    /// # Errors
    /// [`Error`]; `TooManySubscriptions` beyond [`Options::subscriptions_max`] channels and patterns.
    ///
    /// # Cancel safety
    /// Dropping it unsubscribes.
    pub async fn subscribe(&self, channel: &str) -> Result<Subscription, Error> {
        self.subscribe_to(Name { is_pattern: false, text: channel.into() }).await
    }

    /// Subscribes to all channels that a pattern matches, such as `news.*`.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    ///
    /// # Cancel safety
    /// Dropping it unsubscribes.
    pub async fn psubscribe(&self, pattern: &str) -> Result<Subscription, Error> {
        self.subscribe_to(Name { is_pattern: true, text: pattern.into() }).await
    }

    /// Subscribes to channels and patterns together: their messages come in the order in which the server sends them. It does not wait:
    /// [`Gap::Connection`] says when all are subscribed, at first and after each reconnect. If one is refused, the stream ends
    /// with that error. One that is named twice counts once. More than may be under way are asked for some at a time.
    ///
    /// # Errors
    /// `TooManySubscriptions`, as [`subscribe`](Self::subscribe). `Invalid` if there are none. `Unavailable` after
    /// [`close`](Self::close).
    pub fn subscribe_all_soon(&self, channels: &[&str], patterns: &[&str]) -> Result<Subscription, Error> {
        let name = |is_pattern| move |text: &&str| Name { is_pattern, text: text.as_bytes().to_vec() };
        let names = channels.iter().map(name(false)).chain(patterns.iter().map(name(true)));
        self.subscription(names.collect())
    }

    /// As [`subscribe`](Self::subscribe), without waiting: [`Gap::Connection`] says when it begins, which may be after a
    /// connection could be made at last.
    ///
    /// # Errors
    /// As [`subscribe_all_soon`](Self::subscribe_all_soon).
    pub fn subscribe_soon(&self, channel: &str) -> Result<Subscription, Error> {
        self.subscribe_all_soon(&[channel], &[])
    }

    /// As [`psubscribe`](Self::psubscribe), without waiting: see [`subscribe_soon`](Self::subscribe_soon).
    ///
    /// # Errors
    /// As [`subscribe_all_soon`](Self::subscribe_all_soon).
    pub fn psubscribe_soon(&self, pattern: &str) -> Result<Subscription, Error> {
        self.subscribe_all_soon(&[], &[pattern])
    }

    async fn subscribe_to(&self, name: Name) -> Result<Subscription, Error> {
        let asking = name.subscribe();
        let subscription = self.register(vec![name], false)?;
        let limit = self.options().command_timeout;
        let replies = self.idempotent().request(asking, 1, limit).await?;
        super::answer::one::<()>(replies)?;
        Ok(subscription)
    }

    fn subscription(&self, mut names: Vec<Name>) -> Result<Subscription, Error> {
        let mut known = HashSet::new();
        names.retain(|name| known.insert(name.clone()));
        if names.is_empty() {
            return Err(Error::Invalid("a subscription to no channel and no pattern".into()));
        }
        let subscription = self.register(names, true)?;
        // Together, if there is room for all of them.
        let commands: Vec<u8> = subscription.names.iter().flat_map(Name::subscribe).collect();
        let (registry, queue) = (Rc::clone(&self.core().registry), Rc::clone(&subscription.queue));
        let asked = self.send_with(&commands, subscription.names.len(), move |replies| {
            // A connection that ends meanwhile is followed by another, which asks again.
            let Ok(replies) = replies else { return };
            match replies.into_iter().find_map(refusal) {
                Some(error) => queue.fail(error),
                None => queue.begin(registry.bounds),
            }
        });
        match asked {
            // The next connection asks for them.
            Err(Error::Unavailable(_)) if !self.is_closed() => Ok(subscription),
            Err(Error::Full { .. }) => {
                self.core().registry.owe_all(&subscription.names, &subscription.queue);
                Ok(subscription)
            }
            asked => asked.map(|()| subscription),
        }
    }

    fn register(&self, names: Vec<Name>, has_gap: bool) -> Result<Subscription, Error> {
        let queue = self.core().registry.add(&names, has_gap)?;
        Ok(Subscription { client: self.clone(), names, queue })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let registry = &self.client.core().registry;
        for name in &self.names {
            if !registry.leave(name, &self.queue) {
                continue;
            }
            match self.client.send(&name.unsubscribe(), 1) {
                Err(Error::Full { .. }) => registry.owe(name),
                // A connection that is gone has forgotten it.
                _ => registry.forget(name),
            }
        }
    }
}

impl Stream for Subscription {
    type Item = Result<Event, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.queue.poll(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Subscription");
        let names: Vec<_> = self.names.iter().map(|name| String::from_utf8_lossy(&name.text)).collect();
        out.field("names", &names).finish_non_exhaustive()
    }
}

/// What waits for one subscription.
#[derive(Default)]
struct Queue {
    events: RefCell<VecDeque<Event>>,
    len: Cell<usize>,
    dropped: Cell<u64>,
    error: RefCell<Option<Error>>,
    has_ended: Cell<bool>,
    names: usize,
    /// A gap is to be told once all its names are subscribed.
    owes_gap: Cell<bool>,
    /// Of its names, those that a connection is owed or was asked for in turns and has not confirmed. It is not counted by what is pushed, since others
    /// may ask for the same names.
    unconfirmed: Cell<usize>,
    waker: RefCell<Option<Waker>>,
}

impl Queue {
    fn push(&self, event: Event, bounds: Bounds) {
        {
            let mut events = self.events.borrow_mut();
            self.len.set(self.len.get() + len(&event));
            events.push_back(event);
            while events.len() > bounds.queue_max || self.len.get() > bounds.len_max {
                let Some(oldest) = events.pop_front() else { break };
                self.len.set(self.len.get() - len(&oldest));
                self.dropped.set(self.dropped.get() + 1);
            }
        }
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// One of its names is subscribed again.
    fn confirmed(&self, bounds: Bounds) {
        self.unconfirmed.set(self.unconfirmed.get().saturating_sub(1));
        if self.unconfirmed.get() == 0 {
            self.begin(bounds);
        }
    }

    /// All its names are subscribed.
    fn begin(&self, bounds: Bounds) {
        if self.owes_gap.take() {
            self.push(Event::Gap(Gap::Connection), bounds);
        }
    }

    fn fail(&self, error: Error) {
        self.error.borrow_mut().get_or_insert(error);
        self.wake();
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Event, Error>>> {
        let dropped = self.dropped.take();
        if dropped > 0 {
            return Poll::Ready(Some(Ok(Event::Gap(Gap::Overflow(dropped)))));
        }
        let event = self.events.borrow_mut().pop_front();
        if let Some(event) = event {
            self.len.set(self.len.get() - len(&event));
            return Poll::Ready(Some(Ok(event)));
        }
        if self.has_ended.get() {
            return Poll::Ready(None);
        }
        if let Some(error) = self.error.borrow_mut().take() {
            self.has_ended.set(true);
            return Poll::Ready(Some(Err(error)));
        }
        let old = self.waker.replace(Some(cx.waker().clone()));
        drop(old);
        Poll::Pending
    }
}

fn len(event: &Event) -> usize {
    match event {
        Event::Message(message) => message.payload.len() + message.channel.len(),
        Event::Gap(_) => 0,
    }
}

#[derive(Clone, Copy)]
struct Bounds {
    queue_max: usize,
    len_max: usize,
}

/// What is wrong, if a reply says so.
fn refusal(reply: Value) -> Option<Error> {
    super::answer::one::<()>(vec![reply]).err()
}

/// The subscriptions of a client.
pub(super) struct Registry {
    names: RefCell<HashMap<Name, Entry>>,
    names_max: usize,
    bounds: Bounds,
    /// Of the connection, if there is one.
    owed: RefCell<Option<Rc<Owed>>>,
}

/// A name that the connection knows, or is to know.
#[derive(Default)]
struct Entry {
    /// Nobody's, once the connection is still to be told that nobody wants it.
    queues: Vec<Rc<Queue>>,
    /// Those that are to hear when what is owed is subscribed.
    waiting: Vec<Rc<Queue>>,
    /// It is among [`Owed::names`], once.
    is_owed: bool,
}

/// What a connection is yet to be told: what it was asked for before it was made, and what it had no room for.
struct Owed {
    link: Link,
    limit: Duration,
    names: RefCell<VecDeque<Name>>,
    is_asking: Cell<bool>,
}

/// What a connection is told at once of what it is owed; other commands have their room beside it.
const OWED_BATCH_MAX: usize = 1024;

impl Registry {
    pub(super) fn new(options: &Options) -> Rc<Self> {
        let bounds =
            Bounds { queue_max: options.subscription_queue_max, len_max: options.subscription_len_max };
        let names_max = options.subscriptions_max;
        Rc::new(Self { names: RefCell::default(), names_max, bounds, owed: RefCell::default() })
    }

    fn add(&self, wanted: &[Name], has_gap: bool) -> Result<Rc<Queue>, Error> {
        let mut names = self.names.borrow_mut();
        let room = self.names_max.saturating_sub(names.len());
        if let Some(name) = wanted.iter().filter(|name| !names.contains_key(name)).nth(room) {
            let name = String::from_utf8_lossy(&name.text).into_owned();
            return Err(Error::TooManySubscriptions { name, max: self.names_max });
        }
        let queue = Queue { names: wanted.len(), owes_gap: Cell::new(has_gap), ..Queue::default() };
        let queue = Rc::new(queue);
        for name in wanted {
            names.entry(name.clone()).or_default().queues.push(Rc::clone(&queue));
        }
        Ok(queue)
    }

    /// True if that was the last of its name: the connection is to be told.
    fn leave(&self, name: &Name, queue: &Rc<Queue>) -> bool {
        let mut names = self.names.borrow_mut();
        let Some(entry) = names.get_mut(name) else { return false };
        entry.queues.retain(|one| !Rc::ptr_eq(one, queue));
        entry.waiting.retain(|one| !Rc::ptr_eq(one, queue));
        entry.queues.is_empty() && !entry.is_owed
    }

    fn forget(&self, name: &Name) {
        self.names.borrow_mut().remove(name);
    }

    /// A name that nobody wants any more, as the connection can not be told now. It counts until it is.
    fn owe(self: &Rc<Self>, name: &Name) {
        let Some(owed) = self.owed.borrow().clone() else { return self.forget(name) };
        self.push_owed(&owed, name, None);
        self.settle_more(&owed);
    }

    /// Names for which the connection has no room now.
    fn owe_all(self: &Rc<Self>, names: &[Name], queue: &Rc<Queue>) {
        // Without a connection, the next one asks for them.
        let Some(owed) = self.owed.borrow().clone() else { return };
        queue.unconfirmed.set(names.len());
        names.iter().for_each(|name| self.push_owed(&owed, name, Some(queue)));
        self.settle_more(&owed);
    }

    fn push_owed(&self, owed: &Owed, name: &Name, waiting: Option<&Rc<Queue>>) {
        if let Some(entry) = self.names.borrow_mut().get_mut(name) {
            entry.waiting.extend(waiting.cloned());
            if !std::mem::replace(&mut entry.is_owed, true) {
                owed.names.borrow_mut().push_back(name.clone());
            }
        }
    }

    fn settle_more(self: &Rc<Self>, owed: &Rc<Owed>) {
        if !owed.is_asking.get() {
            self.settle(owed);
        }
    }

    fn queues(&self, name: &Name) -> Vec<Rc<Queue>> {
        self.names.borrow().get(name).map(|entry| entry.queues.clone()).unwrap_or_default()
    }

    fn all(&self) -> Vec<Rc<Queue>> {
        self.names.borrow().values().flat_map(|entry| &entry.queues).cloned().collect()
    }

    /// A new connection: it knows none of them.
    pub(super) fn subscribe_again(self: &Rc<Self>, link: &Link, limit: Duration) {
        self.all().iter().for_each(|queue| queue.unconfirmed.set(queue.names));
        let mut names = VecDeque::new();
        for (name, entry) in &mut *self.names.borrow_mut() {
            entry.is_owed = true;
            entry.waiting = entry.queues.clone();
            names.push_back(name.clone());
        }
        let (link, names) = (link.clone(), RefCell::new(names));
        let owed = Rc::new(Owed { link, limit, names, is_asking: Cell::new(false) });
        self.owed.replace(Some(Rc::clone(&owed)));
        self.settle(&owed);
    }

    /// Tells a connection some of what it is owed, and once it has answered, the next.
    fn settle(self: &Rc<Self>, owed: &Rc<Owed>) {
        let (in_flight_max, queue_len_max) = owed.link.bounds();
        let (count_max, len_max) = ((in_flight_max / 2).clamp(1, OWED_BATCH_MAX), queue_len_max / 2);
        let (mut commands, mut asked) = (Vec::new(), Vec::new());
        while asked.len() < count_max && (asked.is_empty() || commands.len() < len_max) {
            let Some(name) = owed.names.borrow_mut().pop_front() else { break };
            let (command, waiting) = self.command(&name);
            commands.extend(command);
            asked.push(waiting);
        }
        owed.is_asking.set(!asked.is_empty());
        if asked.is_empty() {
            return;
        }
        let (registry, own, count) = (Rc::clone(self), Rc::clone(owed), asked.len());
        // One that has ended, or ends meanwhile, is followed by another, which is owed all.
        let _ = owed.link.send_beyond(&commands, count, owed.limit, move |replies| {
            let Ok(replies) = replies else { return };
            for (queues, reply) in asked.iter().zip(replies) {
                match refusal(reply) {
                    Some(error) => queues.iter().for_each(|queue| queue.fail(error.clone())),
                    None => queues.iter().for_each(|queue| queue.confirmed(registry.bounds)),
                }
            }
            registry.settle(&own);
        });
    }

    /// Subscribes to what is wanted, and unsubscribes from what is not any more. Gives who waits for the answer.
    fn command(&self, name: &Name) -> (Vec<u8>, Vec<Rc<Queue>>) {
        let mut names = self.names.borrow_mut();
        match names.get_mut(name).filter(|entry| !entry.queues.is_empty()) {
            Some(entry) => {
                entry.is_owed = false;
                (name.subscribe(), std::mem::take(&mut entry.waiting))
            }
            None => {
                names.remove(name);
                (name.unsubscribe(), Vec::new())
            }
        }
    }

    /// The connection is gone, and knows nothing any more.
    pub(super) fn lost(&self) {
        self.owed.take();
        self.names.borrow_mut().retain(|_, entry| {
            entry.is_owed = false;
            entry.waiting.clear();
            !entry.queues.is_empty()
        });
        self.all().iter().for_each(|queue| queue.owes_gap.set(true));
    }

    /// There is no other connection.
    pub(super) fn close(&self) {
        self.all().iter().for_each(|queue| queue.fail(super::client::closed()));
    }

    /// Something was pushed.
    pub(super) fn pushed(&self, kind: &PushKind, data: Vec<Value>) {
        let mut data = data.into_iter().map(|value| match value {
            Value::BulkString(bytes) => bytes,
            Value::SimpleString(text) => text.into_bytes(),
            _ => Vec::new(),
        });
        let mut next = || data.next().unwrap_or_default();
        match kind {
            PushKind::Message => {
                let (channel, payload) = (next(), next());
                self.deliver(&Name { is_pattern: false, text: channel.clone() }, &channel, &payload);
            }
            PushKind::PMessage => {
                let (pattern, channel, payload) = (next(), next(), next());
                self.deliver(&Name { is_pattern: true, text: pattern }, &channel, &payload);
            }
            _ => {} // what answers a command is heard as its answer
        }
    }

    fn deliver(&self, name: &Name, channel: &[u8], payload: &[u8]) {
        let queues = self.queues(name);
        if queues.is_empty() {
            return; // it was unsubscribed from, and the server has not heard yet
        }
        let message =
            Message { channel: String::from_utf8_lossy(channel).into(), payload: Rc::from(payload) };
        for queue in queues {
            queue.push(Event::Message(message.clone()), self.bounds);
        }
    }
}
