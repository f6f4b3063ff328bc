//! The client that is shared: one connection, made anew when it ends.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::channel::{Receiver, Sender, oneshot};
use phaseloop::{JoinHandle, LoopHandle};
use redis::{Cmd, FromRedisValue, Pipeline, ToRedisArgs};

use super::answer;
use super::connect::connect;
use super::dedicated::Dedicated;
use super::error::Error;
use super::link::{Link, Replies};
use super::lock::{Releases, chance};
use super::options::Options;
use super::pubsub::Registry;
use super::vet;
use crate::later::later;

/// A client of Redis, over one connection that all its users share. Cheap to clone; clones are the same client.
///
/// Commands of the same moment leave in one write, and their answers come in their order. When the connection ends a new one is made,
/// first at once and then after pauses that double up to [`Options::backoff_max`]. The connection closes when the last clone
/// and the last [`Subscription`](super::Subscription) are gone; it does not keep the loop alive, while tasks that wait for answers do.
///
/// # What becomes of commands when the connection ends
/// - Those under way fail with [`Error::Lost`]: nobody knows whether they have run. They are not sent again, but for those of
///   an [`idempotent`](Self::idempotent) client, which are sent once more.
/// - Those that come while a new connection is made wait for it, within their time.
/// - Once an attempt to connect has failed, commands fail at once with [`Error::Unavailable`] until one succeeds.
///
/// A command that is not answered within [`Options::command_timeout`] ends the connection, since what was sent behind it would
/// wait as well.
///
/// # Examples
/// ```no_run
/// use phaseloop::EventLoop;
/// use phaseloop_server::redis::{Client, Cmd, Options, pipe};
///
/// let lp = EventLoop::new()?;
/// lp.block_on(async {
///     let redis = Client::connect(&lp, Options::url("redis://127.0.0.1/")?).await?;
///     redis.query::<()>(&Cmd::set("greeting", "hello")).await?;
///     let greeting: Option<String> = redis.query(&Cmd::get("greeting")).await?;
///     // Several in one go; `atomic` has nobody else's commands in between.
///     let (visits, rank): (u64, Option<u64>) =
///         redis.pipeline(pipe().atomic().incr("visits", 1).zrevrank("scores", "ann")).await?;
///     Ok::<_, phaseloop_server::redis::Error>((greeting, visits, rank))
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Rc<Inner>,
    idempotent: bool,
}

struct Inner {
    core: Rc<Core>,
    task: JoinHandle<()>,
}

/// What the client shares with the task that connects.
pub(super) struct Core {
    pub(super) lp: LoopHandle,
    pub(super) options: Options,
    pub(super) registry: Rc<Registry>,
    pub(super) releases: Rc<Releases>,
    state: RefCell<State>,
    /// Who waits for a connection.
    waiting: RefCell<Vec<Sender<()>>>,
    on_change: RefCell<Option<OnChange>>,
    connections: Cell<u64>,
}

type OnChange = Rc<dyn Fn(&Status)>;

enum State {
    /// For the first time, or the first time after a loss.
    Connecting,
    Up(Link),
    /// The last attempt failed for this reason; others follow.
    Down(Error),
    Closed,
}

/// What a client tells of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// There is one.
    Connected,
    /// There is none any more, or an attempt failed: the reason.
    Disconnected(Error),
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// What went wrong with the first attempt, for instance [`Error::Refused`] for a wrong password. There is no other one then.
    ///
    /// # Cancel safety
    /// Dropping it gives the connection up.
    pub async fn connect(lp: &LoopHandle, options: Options) -> Result<Self, Error> {
        let client = Self::new(lp, options);
        client.inner.core.link(client.inner.core.options.connect_timeout).await?;
        Ok(client)
    }

    /// A client that goes on trying until it is connected: commands fail meanwhile.
    pub fn new(lp: &LoopHandle, options: Options) -> Self {
        let core = Rc::new(Core {
            lp: lp.clone(),
            registry: Registry::new(&options),
            releases: Rc::default(),
            options,
            state: RefCell::new(State::Connecting),
            waiting: RefCell::default(),
            on_change: RefCell::default(),
            connections: Cell::new(0),
        });
        let task = lp.spawn(supervise(Rc::clone(&core)));
        task.unref();
        Self { inner: Rc::new(Inner { core, task }), idempotent: false }
    }

    /// The same client for commands that may run twice: one whose connection ends under way is sent once more.
    pub fn idempotent(&self) -> Self {
        Self { inner: Rc::clone(&self.inner), idempotent: true }
    }

    /// The same client for commands that may not run twice.
    pub(super) fn once(&self) -> Self {
        Self { inner: Rc::clone(&self.inner), idempotent: false }
    }

    /// Sends a command, and gives its answer as a type of yours.
    ///
    /// # Errors
    /// [`Error`]. `Invalid` for a command that would take the connection from the others, such as `BLPOP` or `SUBSCRIBE`: see
    /// [`dedicated`](Self::dedicated) and [`subscribe`](Self::subscribe).
    ///
    /// # Cancel safety
    /// A command that was sent is not called back: its answer is thrown away.
    pub fn query<T: FromRedisValue>(&self, command: &Cmd) -> impl Future<Output = Result<T, Error>> + use<T> {
        let vetted = vet::shared(command);
        let replies = self.request(command.get_packed_command(), 1, self.options().command_timeout);
        async move {
            vetted?;
            answer::one(replies.await?)
        }
    }

    /// Sends commands in one go, and gives their answers as a tuple, but for those that the pipeline ignores. With
    /// [`atomic`](Pipeline::atomic) they are a transaction.
    ///
    /// # Errors
    /// As [`query`](Self::query); the first command that was refused, unless [`Pipeline::ignore_errors`] was called.
    ///
    /// # Cancel safety
    /// As [`query`](Self::query).
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Error> {
        pipeline.cmd_iter().try_for_each(vet::shared)?;
        let (commands, count) = (pipeline.get_packed_pipeline(), answer::count(pipeline));
        answer::several(pipeline, self.request(commands, count, self.options().command_timeout).await?)
    }

    /// Sends a command without waiting for anything.
    ///
    /// # Errors
    /// As [`query`](Self::query), but for what comes later. A client that is not connected is `Unavailable`.
    pub fn tell(&self, command: &Cmd) -> Result<(), Error> {
        vet::shared(command)?;
        self.send(&command.get_packed_command(), 1).map(drop)
    }

    /// Sends packed commands now or not at all.
    pub(super) fn send(&self, commands: &[u8], count: usize) -> Result<Receiver<Replies>, Error> {
        self.link_or_error()?.send(commands, count, self.options().command_timeout)
    }

    /// As [`send`](Self::send), and has `then` hear the replies in line with what is pushed.
    pub(super) fn send_with(
        &self,
        commands: &[u8],
        count: usize,
        then: impl FnOnce(Replies) + 'static,
    ) -> Result<(), Error> {
        self.link_or_error()?.send_with(commands, count, self.options().command_timeout, then)
    }

    pub(super) fn link_or_error(&self) -> Result<Link, Error> {
        match &*self.inner.core.state.borrow() {
            State::Up(link) => Ok(link.clone()),
            State::Down(error) => Err(unavailable(error)),
            State::Connecting => Err(Error::Unavailable("not connected yet".into())),
            State::Closed => Err(closed()),
        }
    }

    /// Publishes a message. The answer is how many connections got it.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Cancel safety
    /// As [`query`](Self::query).
    pub async fn publish(&self, channel: impl ToRedisArgs, payload: impl ToRedisArgs) -> Result<u64, Error> {
        let mut command = Cmd::new();
        command.arg("PUBLISH").arg(channel).arg(payload);
        self.query(&command).await
    }

    /// A connection of one's own, for commands that wait (`BLPOP`) and for `WATCH`. It is not made anew when it ends.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    pub async fn dedicated(&self) -> Result<Dedicated, Error> {
        Dedicated::connect(&self.inner.core.lp, &self.inner.core.options).await
    }

    /// Waits until there is a connection, but no longer than `limit`, however often connecting fails meanwhile.
    ///
    /// # Errors
    /// The reason of the last failure.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn ready(&self, limit: Duration) -> Result<(), Error> {
        let core = &self.inner.core;
        let mut last = Error::Timeout(limit);
        let waiting = async {
            loop {
                match core.link(limit).await {
                    Ok(_) => return Ok(()),
                    Err(error) if !matches!(*core.state.borrow(), State::Down(_)) => return Err(error),
                    Err(error) => last = error,
                }
                core.changed()?.await.map_err(|_| closed())?;
            }
        };
        let outcome = core.lp.timeout(limit, waiting).await;
        outcome.unwrap_or(Err(last))
    }

    /// True while there is a connection.
    pub fn is_connected(&self) -> bool {
        matches!(*self.inner.core.state.borrow(), State::Up(_))
    }

    /// How many connections were made so far.
    pub fn connection_count(&self) -> u64 {
        self.inner.core.connections.get()
    }

    /// Commands that wait for their answers.
    pub fn in_flight(&self) -> usize {
        match &*self.inner.core.state.borrow() {
            State::Up(link) => link.owed(),
            _ => 0,
        }
    }

    /// Sets what is told when the connection comes and goes. It replaces what was set before.
    ///
    /// # Ordering
    /// It runs as a tick of the loop, behind the change.
    pub fn on_change(&self, on_change: impl Fn(&Status) + 'static) {
        let old = self.inner.core.on_change.replace(Some(Rc::new(on_change)));
        drop(old);
    }

    /// Ends the connection for all clones; what waits fails.
    pub fn close(&self) {
        self.inner.close();
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(*self.inner.core.state.borrow(), State::Closed)
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.inner.core
    }

    /// The loop it lives on.
    pub fn lp(&self) -> &LoopHandle {
        &self.inner.core.lp
    }

    /// What it was made with.
    pub fn options(&self) -> &Options {
        &self.inner.core.options
    }

    /// Sends packed commands and waits for their answers.
    pub(super) fn request(
        &self,
        commands: Vec<u8>,
        count: usize,
        limit: Duration,
    ) -> impl Future<Output = Replies> + use<> {
        let client = self.clone();
        async move {
            let mut tries = if client.idempotent { 2 } else { 1 };
            let core = &client.inner.core;
            let until = later(core.lp.now(), limit);
            loop {
                let left = || until.saturating_duration_since(core.lp.now());
                let link = core.link(left()).await?;
                let waiting = link.send(&commands, count, limit)?;
                let replies = if left() < limit {
                    // What it has waited for a connection is not that connection's fault, and does not end it.
                    let replies = core.lp.timeout(left(), waiting).await;
                    replies.unwrap_or(Ok(Err(Error::Timeout(limit))))
                } else {
                    waiting.await
                };
                let replies = replies.unwrap_or_else(|_| Err(closed()));
                tries -= 1;
                if tries == 0 || !matches!(replies, Err(Error::Lost(_))) {
                    return replies;
                }
            }
        }
    }
}

impl Inner {
    fn close(&self) {
        self.task.abort();
        self.core.set(State::Closed);
        self.core.registry.close();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl Core {
    /// The connection, if there is one or will be soon.
    async fn link(&self, limit: Duration) -> Result<Link, Error> {
        if let Some(now) = self.link_now() {
            return now;
        }
        let waiting = async {
            loop {
                self.changed()?.await.map_err(|_| closed())?;
                if let Some(now) = self.link_now() {
                    return now;
                }
            }
        };
        let late = || Error::Unavailable(format!("{} has let nobody in for {limit:?}", self.options.place));
        self.lp.timeout(limit, waiting).await.unwrap_or_else(|_| Err(late()))
    }

    fn link_now(&self) -> Option<Result<Link, Error>> {
        match &*self.state.borrow() {
            State::Connecting => None,
            State::Up(link) => Some(Ok(link.clone())),
            State::Down(error) => Some(Err(unavailable(error))),
            State::Closed => Some(Err(closed())),
        }
    }

    /// Waits for another state.
    fn changed(&self) -> Result<Receiver<()>, Error> {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|sender| !sender.is_closed());
        if waiting.len() >= self.options.in_flight_max {
            return Err(Error::Full { limit: "in_flight_max", max: self.options.in_flight_max });
        }
        let (sender, receiver) = oneshot();
        waiting.push(sender);
        Ok(receiver)
    }

    fn set(&self, state: State) {
        let status = match &state {
            State::Up(_) => Some(Status::Connected),
            State::Down(error) => Some(Status::Disconnected(error.clone())),
            _ => None,
        };
        let old = self.state.replace(state);
        drop(old);
        let waiting = self.waiting.take();
        for sender in waiting {
            // Whoever waited may have stopped.
            let _ = sender.send(());
        }
        if let Some(status) = status {
            self.tell(status);
        }
    }

    fn tell(&self, status: Status) {
        let on_change = self.on_change.borrow().clone();
        if let Some(on_change) = on_change {
            // Apart, so that a panic of it does not end the task that connects.
            self.lp.next_tick(move |_| on_change(&status));
        }
    }
}

/// Connects, serves, and connects again, until it is dropped.
async fn supervise(core: Rc<Core>) {
    // Attempts that failed, and connections that ended soon, one after the other.
    let (mut failures, mut short_lives) = (0, 0);
    loop {
        let registry = Rc::clone(&core.registry);
        let on_push = Rc::new(move |kind: &redis::PushKind, data| registry.pushed(kind, data));
        match connect(&core.lp, &core.options, on_push).await {
            Ok((link, driver)) => {
                failures = 0;
                let began = core.lp.now();
                core.connections.set(core.connections.get() + 1);
                core.releases.settle(&link, core.options.command_timeout);
                core.registry.subscribe_again(&link, core.options.command_timeout);
                core.set(State::Up(link));
                let why = driver.await;
                core.registry.lost();
                core.set(State::Connecting);
                core.tell(Status::Disconnected(why));
                let is_short = core.lp.now() - began < core.options.backoff_max;
                short_lives = if is_short { short_lives + 1 } else { 0 };
                if short_lives > 1 {
                    core.lp.sleep(pause(&core.options, short_lives - 2)).await;
                }
            }
            Err(error) => {
                core.set(State::Down(error));
                core.lp.sleep(pause(&core.options, failures)).await;
                failures += 1;
            }
        }
    }
}

/// Between attempts: it doubles, and half of it is chance, so that many clients do not come back together.
pub(super) fn pause(options: &Options, failures: u32) -> Duration {
    let longest = options.backoff_min.saturating_mul(1 << failures.min(16)).min(options.backoff_max);
    longest.mul_f64(0.5 + chance() / 2.0)
}

/// Why nothing is sent: what the caller can not wait out stays as it is.
fn unavailable(error: &Error) -> Error {
    match error {
        Error::Refused { .. } | Error::Protocol(_) | Error::Invalid(_) | Error::Unavailable(_) => {
            error.clone()
        }
        other => Error::Unavailable(other.reason()),
    }
}

pub(super) fn closed() -> Error {
    Error::Unavailable("the client was closed".into())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Client");
        out.field("options", self.options()).field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}
