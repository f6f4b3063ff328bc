//! How a cluster behaves, and what bounds it.

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

/// How a cluster behaves, and what bounds it.
///
/// # Examples
/// ```
/// use phaseloop_server::cluster::{Options, Policy};
///
/// let mut options = Options::default();
/// options.workers = 3.try_into().expect("not zero");
/// options.policy = Policy::RoundRobin;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How many workers there are: as many as the machine runs threads at a time.
    pub workers: NonZeroUsize,
    /// How connections get to workers; [`Policy::Shared`].
    pub policy: Policy,
    /// When a worker that ended is replaced, and when that is given up.
    pub restart: Restart,
    /// How long a worker may take from its start until it [listens](super::Worker::ready), before it is ended and counted as
    /// one that failed; 30 s. `None` for as long as it likes.
    pub start_timeout: Option<Duration>,
    /// How a worker that does not answer any more is noticed. `None` for not at all. Node's workers are not asked.
    pub heartbeat: Option<Heartbeat>,
    /// How long a worker that is to end may take to finish what it does, before its connections are cut; 30 s. One that is still there
    /// 5 s later is killed.
    pub grace: Duration,
    /// What bounds messages and connections on their way.
    pub limits: ClusterLimits,
}

impl Default for Options {
    fn default() -> Self {
        let workers = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self {
            workers,
            policy: Policy::default(),
            restart: Restart::default(),
            start_timeout: Some(Duration::from_secs(30)),
            heartbeat: Some(Heartbeat::default()),
            grace: Duration::from_secs(30),
            limits: ClusterLimits::default(),
        }
    }
}

/// How connections get to workers.
///
/// | | who accepts | load | cost a connection | when a worker dies |
/// | --- | --- | --- | --- | --- |
/// | `Shared` | the workers, from one backlog | whoever is awake first | none | nothing waiting is lost |
/// | `ReusePort` | the workers, each from a backlog of its own | by the kernel's hash | none | its backlog waits for its successor |
/// | `RoundRobin` | the primary | even | a hop over a channel | what it had not confirmed goes to another |
/// | `Sticky` | the primary | as clients are spread | the hop, and the head is read | as `RoundRobin` |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// All workers accept from the one listening socket that the primary opened. The default: the primary is not in the way of any
    /// connection, and the backlog outlives every worker. A worker that is busy accepts less, but idle ones are not served evenly.
    #[default]
    Shared,
    /// Each worker has a listening socket of its own on the same port, and the kernel spreads connections by their addresses. The primary
    /// keeps the sockets, so the successor of a worker finds what waited. Until then, or while a worker is stuck, its share waits.
    /// TCP only: Unix sockets are shared.
    ReusePort,
    /// The primary accepts and hands connections round, as Node does. A worker that does not confirm what it got is passed over.
    RoundRobin,
    /// As `RoundRobin`, but clients come back to the same worker: what Socket.IO's polling needs.
    Sticky(Stickiness),
}

/// By what a client is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stickiness {
    /// By the parameter `sid` of the first request's target, if it begins with the number of a worker and `~`: see
    /// [`Worker::session_prefix`](super::Worker::session_prefix). Others go round. A connection that a proxy uses for several clients
    /// stays where its first request went; and what is encrypted can not be read.
    SessionId,
    /// By the IP address it comes from. Also for what is encrypted; but all clients behind one proxy are one.
    Address,
}

/// When a worker that ended is replaced.
///
/// The first replacement comes at once, the second after `delay_first`, and each further one after twice the time, up to
/// `delay_max`. A worker that lived for `healthy_after` has this forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restart {
    /// Until the second replacement; 100 ms.
    pub delay_first: Duration,
    /// Between replacements at most; 10 s.
    pub delay_max: Duration,
    /// How long a worker must live for its end to be the first one again; 30 s.
    pub healthy_after: Duration,
    /// How many ends within `storm_within` have it given up: no further replacement, until a rolling restart; 10.
    pub storm_exits: NonZeroUsize,
    /// See `storm_exits`; 60 s.
    pub storm_within: Duration,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(10),
            healthy_after: Duration::from_secs(30),
            storm_exits: NonZeroUsize::new(10).expect("not zero"),
            storm_within: Duration::from_secs(60),
        }
    }
}

/// How a worker that does not answer is noticed: each `interval` it is asked for an answer, which its loop gives. One that owes
/// `unanswered_max` answers is killed and replaced.
///
/// It is counted in questions, not in time, so that a primary that was itself stopped for a while kills nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// Between two questions; 1 s.
    pub interval: Duration,
    /// How many may be open; 10.
    pub unanswered_max: u32,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1), unanswered_max: 10 }
    }
}

/// What bounds messages and connections on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterLimits {
    /// Bytes of one message; 1 MiB.
    pub message_len_max: usize,
    /// Bytes of messages that may wait until a worker, or the primary, takes them; 8 MiB.
    pub send_queue_len_max: usize,
    /// Events and messages that wait for a stream that nobody polls; 1024. Later ones are dropped and counted.
    pub events_waiting_max: usize,
    /// Connections that one worker was handed and has not confirmed; 32. It is passed over meanwhile.
    pub unconfirmed_max: usize,
    /// Connections that wait for a worker; 1024. Then nothing is accepted any more, and they wait in the system's backlog. As many may be
    /// about to say their first line; further ones go to any worker.
    pub connections_waiting_max: usize,
    /// How long the first line of a request may take to arrive where the policy reads it; 5 s. After that the connection goes to the
    /// next worker, which has limits of its own; one that has said nothing at all is closed.
    pub first_line_timeout: Duration,
}

impl Default for ClusterLimits {
    fn default() -> Self {
        let mebibyte = 1024 * 1024;
        Self {
            message_len_max: mebibyte,
            send_queue_len_max: 8 * mebibyte,
            events_waiting_max: 1024,
            unconfirmed_max: 32,
            connections_waiting_max: 1024,
            first_line_timeout: Duration::from_secs(5),
        }
    }
}
