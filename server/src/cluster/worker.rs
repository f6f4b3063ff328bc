//! The worker's side: what it serves, what it is told, and how it ends.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::env;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;

use phaseloop::ipc::{self, Channel, ChannelLimits, Framing, Message, ReceiveError, SendError};
use phaseloop::signal::{Signal, SignalWatcher};
use phaseloop::{LoopHandle, yield_now};
use serde::Serialize;

use super::connection::{Accepting, Connection};
use super::event::WorkerId;
use super::member::LAST_WORDS;
use super::sticky::MARK;
use super::taking::Taker;
use super::wire::{OWN_ROOM, Seat, ToPrimary, ToWorker, VARIABLE, decode, encode, send_user};
use crate::http::Serving;
use crate::waiting::Waiting;

/// Messages that wait for somebody to take them. Later ones are dropped and counted.
const MESSAGES_WAITING_MAX: usize = 1024;

/// Bytes of messages to the primary that may wait.
const SEND_QUEUE_LEN_MAX: usize = 8 * 1024 * 1024;

/// This end of a cluster: a process or a thread that a [`Primary`](super::Primary) started.
///
/// Cheap to clone; clones are the same worker. It keeps its loop alive until it has ended, and then stops it.
///
/// A worker ends when its primary says so, when that is gone, or when its process gets SIGTERM: it finishes what it does, as
/// [`Serving::shutdown`] does, cuts what takes too long, and stops its loop. SIGINT is left to the primary: Ctrl-C reaches both.
///
/// # Examples
/// ```
/// # use phaseloop::EventLoop;
/// use phaseloop_server::cluster::Worker;
///
/// # let lp = EventLoop::new()?;
/// match Worker::from_env(&lp)? {
///     Some(worker) => println!("worker {} of a cluster", worker.id()),
///     None => println!("nobody's worker: this is the primary"),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Worker {
    pub(super) inner: Rc<Inner>,
}

pub(super) struct Inner {
    pub(super) lp: LoopHandle,
    pub(super) seat: Seat,
    pub(super) channel: Channel,
    /// What serves each listener.
    pub(super) takers: RefCell<Vec<Taker>>,
    servings: RefCell<Vec<Serving>>,
    /// Sockets that it accepts from.
    pub(super) accepting: RefCell<Vec<Accepting>>,
    /// How many of them each listener has.
    pub(super) sockets: RefCell<Vec<usize>>,
    on_message: RefCell<Option<OnMessage>>,
    inbox: RefCell<VecDeque<Message>>,
    readers: Waiting,
    messages_dropped: Cell<u64>,
    /// Set once it ends: the time it has.
    ending: Cell<Option<Duration>>,
    on_end: RefCell<Vec<OnEnd>>,
    waiting_for_end: Waiting,
    pub(super) is_paused: Cell<bool>,
    is_ready: Cell<bool>,
    /// It has finished all that it did.
    is_done: Cell<bool>,
    /// The channel is gone.
    is_over: Cell<bool>,
    signals: RefCell<Vec<SignalWatcher>>,
}

type OnMessage = Rc<RefCell<dyn FnMut(&Worker, Message)>>;
type OnEnd = Box<dyn FnOnce(Duration) -> Pin<Box<dyn Future<Output = ()>>>>;

impl Worker {
    /// The worker that this process is, or `None` if no primary started it. The primary is told at once.
    ///
    /// It can be asked once: the second time, the channel is taken.
    ///
    /// # Errors
    /// `InvalidData` if the environment says what can not be; the system's, when no descriptor is left.
    pub fn from_env(lp: &LoopHandle) -> io::Result<Option<Self>> {
        let Some(seat) = env::var_os(VARIABLE) else { return Ok(None) };
        // The variable alone is inherited by processes that a worker starts; the channel is not.
        let limits = Self::channel_limits();
        let Some(channel) = ipc::from_env(lp, Framing::OWN, limits)? else { return Ok(None) };
        let seat = seat.to_string_lossy();
        let seat = serde_json::from_str(&seat).map_err(|error| {
            let problem = format!("{VARIABLE} is {seat:?}, which is no place of a worker: {error}");
            io::Error::new(io::ErrorKind::InvalidData, problem)
        })?;
        let worker = Self::open(channel, seat);
        worker.watch_signals()?;
        Ok(Some(worker))
    }

    /// What bounds the worker's end of the channel.
    pub(super) fn channel_limits() -> ChannelLimits {
        ChannelLimits { send_queue_len_max: SEND_QUEUE_LEN_MAX + OWN_ROOM, ..ChannelLimits::default() }
    }

    pub(super) fn open(channel: Channel, seat: Seat) -> Self {
        let count = seat.listeners.len();
        let inner = Rc::new(Inner {
            lp: channel.lp().clone(),
            takers: RefCell::new((0..count).map(|_| Taker::Nobody(Vec::new())).collect()),
            seat,
            channel,
            servings: RefCell::default(),
            accepting: RefCell::default(),
            sockets: RefCell::new(vec![0; count]),
            on_message: RefCell::default(),
            inbox: RefCell::default(),
            readers: Waiting::default(),
            messages_dropped: Cell::new(0),
            ending: Cell::new(None),
            on_end: RefCell::default(),
            waiting_for_end: Waiting::default(),
            is_paused: Cell::new(false),
            is_ready: Cell::new(false),
            is_done: Cell::new(false),
            is_over: Cell::new(false),
            signals: RefCell::default(),
        });
        // They hold the worker until the channel is gone.
        let worker = Self { inner };
        let own = worker.clone();
        worker.inner.channel.on_internal(move |_, message| own.hear(message));
        let own = worker.clone();
        worker.inner.channel.on_message(move |_, message| own.received(message));
        let own = worker.clone();
        worker.inner.channel.on_disconnect(move |_| own.disconnected());
        worker.say(&ToPrimary::Online);
        if count == 0 {
            worker.ready();
        }
        worker
    }

    /// Its number.
    pub fn id(&self) -> WorkerId {
        WorkerId(self.inner.seat.id)
    }

    /// Its place, from 0 on: its successor has the same.
    pub fn slot(&self) -> usize {
        self.inner.seat.slot
    }

    /// The loop it works on.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.lp
    }

    /// The names of the primary's listeners.
    pub fn listeners(&self) -> impl Iterator<Item = &str> {
        self.inner.seat.listeners.iter().map(|listener| listener.name.as_str())
    }

    /// What the numbers of this worker's sessions begin with, for
    /// [`Stickiness::SessionId`](super::Stickiness::SessionId): `12~`. Engine.IO's option `session_prefix` takes it.
    pub fn session_prefix(&self) -> String {
        format!("{}{MARK}", self.inner.seat.id)
    }

    /// Serves the connections of a listener with `serving`, which the worker shuts down when it ends.
    ///
    /// # Errors
    /// `InvalidInput` if the primary has no TCP listener of that name, or it is served already.
    pub fn serve(&self, listener: &str, serving: &Serving) -> io::Result<()> {
        let index = self.find(listener)?;
        if self.inner.seat.listeners[index].is_unix {
            return Err(refused(format!("{listener:?} is a Unix socket, which `serve` does not serve")));
        }
        self.take_over(index, Taker::Http(serving.clone()))?;
        let mut servings = self.inner.servings.borrow_mut();
        servings.push(serving.clone());
        Ok(())
    }

    /// Calls `on_connection` with the connections of a listener. When the worker ends, none come any more; those that there are
    /// end by what [`on_end`](Self::on_end) does.
    ///
    /// # Errors
    /// `InvalidInput` if the primary has no listener of that name, or it is served already.
    pub fn on_connection(
        &self,
        listener: &str,
        on_connection: impl FnMut(Connection) + 'static,
    ) -> io::Result<()> {
        let index = self.find(listener)?;
        self.take_over(index, Taker::Callback(Rc::new(RefCell::new(on_connection))))
    }

    /// Tells the primary that all is served that is to be. It is told by itself once every listener is, or if there is none; a rolling
    /// restart waits for it.
    pub fn ready(&self) {
        if !self.inner.is_ready.replace(true) {
            self.say(&ToPrimary::Ready);
        }
    }

    /// Takes no connections, or takes them again: others get them meanwhile. For a worker that has enough to do.
    pub fn pause(&self, pause: bool) {
        if self.inner.is_paused.replace(pause) == pause {
            return;
        }
        self.say(&ToPrimary::Paused { paused: pause });
        self.inner.accepting.borrow().iter().for_each(|accepting| accepting.pause(pause));
    }

    /// Sends a value to the primary, as JSON. Does not block.
    ///
    /// # Errors
    /// `Disconnected` once the primary is gone or the worker has ended; `Full` if it takes too little of what waits; `TooLong`; `NotJson`.
    pub fn send(&self, value: &(impl Serialize + ?Sized)) -> Result<(), SendError> {
        send_user(&self.inner.channel, value, SEND_QUEUE_LEN_MAX)
    }

    /// Calls `on_message` with each message of the primary, those that waited first. Replaces the callback there was.
    pub fn on_message(&self, on_message: impl FnMut(&Self, Message) + 'static) {
        let on_message: OnMessage = Rc::new(RefCell::new(on_message));
        let old = self.inner.on_message.replace(Some(on_message));
        drop(old);
        for _ in 0..self.inner.inbox.borrow().len() {
            let worker = self.clone();
            self.inner.lp.next_tick(move |_| worker.deliver());
        }
    }

    /// The next message of the primary; `None` once it is gone. At most 1024 wait; later ones are dropped, and
    /// [counted](Self::messages_dropped).
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn recv(&self) -> Option<Message> {
        let inner = &self.inner;
        let message = || {
            let message = inner.inbox.borrow_mut().pop_front();
            (message.is_some() || inner.is_over.get()).then_some(message)
        };
        inner.readers.until(message).await
    }

    /// Messages that were dropped since too many waited.
    pub fn messages_dropped(&self) -> u64 {
        self.inner.messages_dropped.get()
    }

    /// Runs a future when the worker ends, beside the shutdown of what it [serves](Self::serve). It is told how much time there is, and
    /// dropped when that is up. The worker has ended when all are done.
    pub fn on_end<F: Future<Output = ()> + 'static>(&self, on_end: impl FnOnce(Duration) -> F + 'static) {
        let on_end: OnEnd = Box::new(move |grace| Box::pin(on_end(grace)));
        match self.inner.ending.get() {
            None => self.inner.on_end.borrow_mut().push(on_end),
            Some(grace) => self.inner.lp.spawn(on_end(grace)).detach(),
        }
    }

    /// Waits until the worker is to end.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ending(&self) {
        self.inner.waiting_for_end.until(|| self.is_ending().then_some(())).await;
    }

    /// True once it is to end.
    pub fn is_ending(&self) -> bool {
        self.inner.ending.get().is_some()
    }

    /// Ends by its own decision, as if the primary had said so. A successor is started at once.
    pub fn end(&self) {
        if !self.is_ending() {
            self.say(&ToPrimary::Leaving);
            self.begin_end(self.own_grace());
        }
    }

    // --- what the primary says ------------------------------------------------------------------------------------------

    pub(super) fn say(&self, what: &ToPrimary) {
        self.or_leave(self.inner.channel.send(encode(what, b"")));
    }

    /// For a word that can not be queued the primary would wait for ever, and a client with it. So the channel ends, and the worker
    /// with it: others get what it has not confirmed. A primary that is gone is told of by the channel's end.
    pub(super) fn or_leave(&self, sent: Result<(), SendError>) {
        if let Err(SendError::Full { .. }) = sent {
            self.inner.channel.disconnect();
        }
    }

    fn hear(&self, mut message: Message) {
        let attachment = message.take_attachment();
        // A primary of another version: what is not understood is left alone, and a connection is closed.
        let Ok((said, behind)) = decode::<ToWorker>(message.bytes()) else { return };
        match (said, attachment) {
            (ToWorker::Ask, _) => self.say(&ToPrimary::Answer),
            (ToWorker::End { grace_ms }, _) => self.begin_end(Duration::from_millis(grace_ms)),
            (ToWorker::Connection { listener, connection }, Some(attachment)) => {
                self.take(listener, connection, attachment, behind.to_vec());
            }
            (ToWorker::Listener { listener }, Some(attachment)) => self.socket_came(listener, attachment),
            (ToWorker::Connection { .. } | ToWorker::Listener { .. }, None) => {}
        }
    }

    fn received(&self, message: Result<Message, ReceiveError>) {
        let has_room = self.inner.inbox.borrow().len() < MESSAGES_WAITING_MAX;
        let Some(message) = message.ok().filter(|_| has_room) else {
            self.inner.messages_dropped.set(self.inner.messages_dropped.get() + 1);
            return;
        };
        self.inner.inbox.borrow_mut().push_back(message);
        self.inner.readers.wake();
        self.deliver();
    }

    fn deliver(&self) {
        let callback = self.inner.on_message.borrow().clone();
        if let Some(callback) = callback
            && let Ok(mut callback) = callback.try_borrow_mut()
        {
            let message = self.inner.inbox.borrow_mut().pop_front();
            if let Some(message) = message {
                callback(self, message);
            }
        }
    }

    // --- the end --------------------------------------------------------------------------------------------------------

    fn own_grace(&self) -> Duration {
        Duration::from_millis(self.inner.seat.grace_ms)
    }

    fn watch_signals(&self) -> io::Result<()> {
        for signal in [Signal::TERM, Signal::INT] {
            let watcher = SignalWatcher::new(&self.inner.lp)?;
            let weak = Rc::downgrade(&self.inner);
            watcher.start(signal, move |_, signal| {
                if let (Signal::TERM, Some(inner)) = (signal, Weak::upgrade(&weak)) {
                    Self { inner }.end();
                }
            })?;
            watcher.unref();
            self.inner.signals.borrow_mut().push(watcher);
        }
        Ok(())
    }

    fn begin_end(&self, grace: Duration) {
        if self.inner.ending.get().is_some() {
            return;
        }
        self.inner.ending.set(Some(grace));
        self.inner.waiting_for_end.wake();
        let worker = self.clone();
        self.inner.lp.spawn(async move { worker.finish(grace).await }).detach();
    }

    async fn finish(&self, grace: Duration) {
        let inner = &*self.inner;
        let words = grace.max(LAST_WORDS);
        // Connections that were confirmed just now are about to be served. A primary that does not hear of them gives them to others.
        if inner.lp.timeout(words, inner.channel.flushed()).await.is_err() {
            inner.channel.close();
        }
        yield_now().await;
        let shutdowns: Vec<_> =
            inner.servings.borrow().iter().map(|serving| serving.shutdown(grace)).collect();
        let callbacks = inner.on_end.take().into_iter().map(|on_end| inner.lp.spawn(on_end(grace)));
        let callbacks: Vec<_> = callbacks.collect();
        // Those that a server accepts from it closes itself, when it has taken what waits there.
        if shutdowns.is_empty() {
            inner.accepting.borrow().iter().for_each(Accepting::close);
        }
        let (mut finished, mut cut) = (0, 0);
        for shutdown in shutdowns {
            if let Ok(report) = shutdown.await {
                finished += report.finished;
                cut += report.cut.len();
            }
        }
        inner.accepting.borrow().iter().for_each(Accepting::close);
        // A panic of one is told to the loop's hook for tasks, and the end goes on.
        let all = async {
            for callback in callbacks {
                let _ = callback.await;
            }
        };
        let _ = inner.lp.timeout(grace, all).await;
        self.say(&ToPrimary::Drained { finished, cut });
        inner.is_done.set(true);
        inner.channel.disconnect();
        if inner.is_over.get() {
            inner.lp.stop();
        }
        let channel = inner.channel.clone();
        let timer = inner.lp.timer(words, move |_| channel.close());
        inner.lp.unref_timer(timer);
    }

    /// All was said, or the primary is gone: then what is under way is finished all the same.
    fn disconnected(&self) {
        self.inner.is_over.set(true);
        self.inner.readers.wake();
        match self.inner.is_done.get() {
            true => self.inner.lp.stop(),
            false => self.begin_end(self.own_grace()),
        }
    }
}

pub(super) fn refused(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("id", &self.id())
            .field("ending", &self.is_ending())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
