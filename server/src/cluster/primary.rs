//! The primary as users hold it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use phaseloop::ipc::{Message, SendError};
use phaseloop::net::UnixAddr;
use phaseloop::signal::{SecondSignal, Signal, shutdown_signal};
use phaseloop::{LoopHandle, channel};
use serde::Serialize;

use super::core::Core;
use super::event::{EndReport, Event, RestartError, RestartReport, WorkerId};
use super::events::Events;
use super::listening::{Address, Listening};
use super::member::Member;
use super::options::Options;
use super::wire::send_user;
use super::workers::{Kind, Workers};

/// A cluster that is being set up: where it listens, and how it behaves.
///
/// # Examples
/// Three workers, each a thread with a loop and an HTTP server of its own, on one port:
/// ```
/// use phaseloop::{EventLoop, LoopHandle};
/// use phaseloop_server::cluster::{Options, Setup, Worker, Workers};
/// use phaseloop_server::http::{Body, Request, Server};
///
/// fn work(lp: &LoopHandle, worker: Worker) {
///     let id = worker.id();
///     let server = Server::new(async move |_: Request<Body>| format!("worker {id}\n"));
///     worker.serve("web", &server.serve_streams(lp)).expect("the primary listens on it");
/// }
///
/// let lp = EventLoop::new()?;
/// let mut options = Options::default();
/// options.workers = 3.try_into()?;
/// let setup = Setup::new(options).listen("web", "127.0.0.1:0".parse()?);
/// let primary = setup.start(&lp, Workers::threads(work))?;
/// println!("http://{}/", primary.local_addr("web")?);
/// # let stopper = primary.clone();
/// # lp.set_immediate(move |_| stopper.end());
/// lp.block_on(primary.ended())?; // until it is told to end
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a setup does nothing until it is started"]
pub struct Setup {
    options: Options,
    addresses: Vec<(String, Address)>,
}

impl Setup {
    /// A cluster that listens nowhere yet.
    pub fn new(options: Options) -> Self {
        Self { options, addresses: Vec::new() }
    }

    /// Listens on `address`. Workers know it by `name`. Port 0 has the system choose one, the same for all workers.
    pub fn listen(mut self, name: impl Into<String>, address: SocketAddr) -> Self {
        self.addresses.push((name.into(), Address::tcp(address)));
        self
    }

    /// Listens on a Unix socket. Workers know it by `name`. A file of it that a dead primary left is replaced.
    pub fn listen_unix(mut self, name: impl Into<String>, address: impl Into<UnixAddr>) -> Self {
        self.addresses.push((name.into(), Address::Unix(address.into())));
        self
    }

    /// Listens, and starts the workers. It keeps the loop alive until all of them have ended.
    ///
    /// A worker that can not be started is no error here: [`Event::StartFailed`] tells of it, and it is tried again.
    ///
    /// # Errors
    /// The system's: an address is in use, is not ours, needs a right. `InvalidInput` for two listeners of one name, and for any
    /// listener where the workers are Node programs, which listen by themselves.
    pub fn start(self, lp: &LoopHandle, workers: Workers) -> io::Result<Primary> {
        let mut listenings: Vec<Rc<Listening>> = Vec::new();
        if matches!(workers.0, Kind::Node(_)) && !self.addresses.is_empty() {
            return Err(refused("Node's workers say themselves what they listen on".to_owned()));
        }
        for (name, address) in self.addresses {
            if listenings.iter().any(|known| known.name == name) {
                return Err(refused(format!("two listeners are called {name:?}")));
            }
            let slots = self.options.workers.get();
            let opened =
                Listening::open(lp, name, &address, self.options.policy, slots, &self.options.limits);
            listenings.push(Rc::new(opened?));
        }
        let core = Core::new(lp, self.options, workers, listenings);
        let listenings = core.listenings.borrow().clone();
        listenings.iter().for_each(|listening| core.accept_from(listening));
        // Behind this call, so that whoever sets the event callback next hears of all.
        let started = Rc::clone(&core);
        lp.next_tick(move |_| started.start());
        Ok(Primary::of(&core))
    }
}

fn refused(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}

/// The primary of a cluster: starts workers, watches them, and replaces those that end.
///
/// Cheap to clone; clones are the same cluster. Dropping them all lets it run on.
#[derive(Clone)]
pub struct Primary {
    core: Rc<Core>,
}

impl Primary {
    pub(super) fn of(core: &Rc<Core>) -> Self {
        Self { core: Rc::clone(core) }
    }

    /// The loop it runs on.
    pub fn lp(&self) -> &LoopHandle {
        &self.core.lp
    }

    /// The address of a listener, with the port that was chosen.
    ///
    /// # Errors
    /// `InvalidInput` if there is none of that name, or it is a Unix socket. `NotConnected` once it was closed.
    pub fn local_addr(&self, name: &str) -> io::Result<SocketAddr> {
        let listenings = self.core.listenings.borrow();
        let listening = listenings.iter().find(|listening| listening.name == name);
        listening.ok_or_else(|| refused(format!("no listener is called {name:?}")))?.local_addr()
    }

    /// The workers that there are, those that start and those that end included.
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let members = self.core.members.borrow();
        let info = members.values().map(|member| WorkerInfo {
            id: WorkerId(member.id),
            slot: member.slot,
            pid: member.pid(),
            is_ready: member.is_ready.get(),
            is_ending: member.was_told.get() || member.was_killed.get() || member.is_leaving.get(),
        });
        info.collect()
    }

    /// Calls `on_event` with each event, in a tick of its own. Replaces the callback there was, and silences
    /// [`events`](Self::events).
    pub fn on_event(&self, on_event: impl FnMut(&Self, Event) + 'static) {
        self.core.events.set_callback(on_event);
    }

    /// The events from now on, as a stream, if there is no callback for them. Replaces the stream there was, which ends.
    pub fn events(&self) -> Events {
        self.core.events.open(self.core.options.limits.events_waiting_max)
    }

    /// Sends a value to a worker, as JSON. Does not block.
    ///
    /// # Errors
    /// `Disconnected` if there is no such worker, or no more; `Full` if it takes too little of what waits; `TooLong`; `NotJson`.
    pub fn send(&self, worker: WorkerId, value: &(impl Serialize + ?Sized)) -> Result<(), SendError> {
        match self.core.member(worker.0) {
            Some(member) => self.send_to(&member, value),
            None => Err(SendError::Disconnected(Message::json(value).unwrap_or_else(|_| Message::new([])))),
        }
    }

    fn send_to(&self, member: &Member, value: &(impl Serialize + ?Sized)) -> Result<(), SendError> {
        send_user(&member.channel, value, self.core.options.limits.send_queue_len_max)
    }

    /// Sends a value to all workers, as JSON, and gives the errors there were.
    pub fn broadcast(&self, value: &(impl Serialize + ?Sized)) -> Vec<(WorkerId, SendError)> {
        let members: Vec<_> = self.core.members.borrow().values().cloned().collect();
        let sent = members
            .iter()
            .filter_map(|member| Some((WorkerId(member.id), self.send_to(member, value).err()?)));
        sent.collect()
    }

    /// Replaces each worker by a new one, one after the other, and refuses nobody meanwhile: the new one is ready before the old
    /// one is told to end, and the old one has ended before the next one's turn. Places that were given up are tried again.
    ///
    /// It begins with this call; what it gives is told when it is over, and need not be awaited.
    ///
    /// # Errors
    /// [`RestartError`]. Workers that are not replaced stay as they are.
    ///
    /// # Cancel safety
    /// Dropping what this gives changes nothing.
    pub fn rolling_restart(&self) -> impl Future<Output = Result<RestartReport, RestartError>> + use<> {
        let (done, mut result) = channel::oneshot();
        self.core.roll(done);
        async move { (&mut result).await.unwrap_or(Err(RestartError::Ending)) }
    }

    /// Has the cluster end: nothing new is accepted, workers finish what they do within
    /// [`grace`](Options::grace), and then their connections are cut. [`ended`](Self::ended) tells when it is done.
    ///
    /// Where the primary accepts, what it has accepted and what waits in the backlog, up to 4,096 connections, is handed on before workers
    /// are told: to any that is there, however much it has not confirmed, without waiting for a first line. What can not be within 1 s,
    /// and what no worker is left for, is closed and counted: [`EndReport::unserved`].
    pub fn end(&self) {
        self.core.end_all();
    }

    /// Ends all workers at once.
    pub fn kill(&self) {
        self.core.kill_all();
    }

    /// Waits until no worker is left and none will come: after [`end`](Self::end), or when all places were given up.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn ended(&self) -> impl Future<Output = EndReport> + use<> {
        let core = Rc::clone(&self.core);
        poll_fn(move |cx| {
            if core.is_over() || core.lp.is_closed() {
                let given_up = core.given_up.borrow().clone();
                let (workers, unserved) = (core.ends(), core.unserved.get());
                return Poll::Ready(EndReport { workers, given_up, unserved });
            }
            core.wait_for_end(cx.waker());
            Poll::Pending
        })
    }

    /// Serves until the end: SIGINT and SIGTERM [end](Self::end) the cluster, a second one ends this process at once, and
    /// SIGHUP has a [rolling restart](Self::rolling_restart), whose outcome the events tell.
    ///
    /// # Errors
    /// The system's, when no descriptor is left for watching signals.
    ///
    /// # Cancel safety
    /// Signals are not watched any more; the cluster runs on.
    pub async fn run_until_ended(&self) -> io::Result<EndReport> {
        let mut shutdown = shutdown_signal(&self.core.lp, SecondSignal::Ends)?;
        let mut hang_ups = self.core.lp.signals(&[Signal::HUP])?;
        let mut ended = pin!(self.ended());
        Ok(poll_fn(|cx| {
            while pin!(&mut shutdown).poll(cx).is_ready() {
                self.end();
            }
            while let Poll::Ready(Some(_)) = pin!(hang_ups.next()).poll(cx) {
                // Begun by the call; one that is under way goes on.
                drop(self.rolling_restart());
            }
            ended.as_mut().poll(cx)
        })
        .await)
    }
}

impl fmt::Debug for Primary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primary").field("workers", &self.workers()).finish_non_exhaustive()
    }
}

/// A worker, as its primary sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerInfo {
    /// Its number.
    pub id: WorkerId,
    /// Its place, from 0 on.
    pub slot: usize,
    /// Its process; `None` for a thread.
    pub pid: Option<u32>,
    /// It serves what it is to serve.
    pub is_ready: bool,
    /// It was told to end, or does so by itself.
    pub is_ending: bool,
}
