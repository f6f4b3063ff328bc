//! All that the loop's parts share, and the one function that runs user code.
//!
//! `call` runs callbacks and drains; `inbox` is the door for other threads; `handles` and `sources` are the tables behind
//! the keys that users hold; `liveness` counts what keeps the loop alive; `context` carries values along, `mode` says until when a
//! run runs, `place` where the loop is, `watch` tells of callbacks, `parking` how a loop sleeps in a host's.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use crate::driver::Driver;
use crate::limits::Limits;
use crate::parker::Parker;
use crate::schedule::{Phase, Schedule};
use crate::task::queue::Queue;
use crate::task::raw::{Task, Thunk};
use crate::time::clock::Clock;
use crate::time::lists::TimerLists;
use crate::time::table::{TimerKey, TimerTable};

pub(crate) mod call;
pub(crate) mod context;
pub(crate) mod current;
pub(crate) mod handles;
pub(crate) mod hooks;
pub(crate) mod immediates;
pub(crate) mod inbox;
#[cfg(all(test, loom))]
mod inbox_loom_tests;
pub(crate) mod liveness;
pub(crate) mod metrics;
pub(crate) mod mode;
pub(crate) mod parking;
pub(crate) mod place;
pub(crate) mod scheduler;
pub(crate) mod sources;
pub(crate) mod time;
pub(crate) mod watch;
pub(crate) mod watchers;

use handles::{HandleKey, HandleTable};
use immediates::Immediates;
use inbox::{Inbox, Message};
use liveness::Liveness;
use sources::Sources;
use watchers::WatcherList;

/// A loop, as user code holds it: cheap to clone, bound to its thread.
///
/// Every callback gets one. It does not keep the loop running, and outlives it: once the [`EventLoop`] is gone, what is
/// given to its handle is dropped unrun.
///
/// [`EventLoop`]: crate::EventLoop
#[derive(Clone)]
pub struct LoopHandle {
    pub(crate) state: Rc<LoopState>,
}

/// User code on a queue of the loop.
pub(crate) type Callback = Thunk<LoopHandle>;

/// User code of a one-shot timer: a word less, so that a timer fits in a cache line.
pub(crate) type TimerCallback = Thunk<LoopHandle, 2>;

/// What a timer does when it is due.
pub(crate) enum TimerAction {
    /// Runs once and is forgotten.
    Once { callback: TimerCallback, referenced: bool },
    /// Calls back into the handle that owns it.
    Handle(HandleKey),
    /// Wakes a task that sleeps.
    Wake(Waker),
    /// Runs the due ones of Node's timer lists.
    Lists,
}

/// The code of a timer on Node's lists.
pub(crate) enum ListedTimer {
    Timeout(TimerCallback),
    Interval(HandleCallback),
    /// Stays after it ran, to be armed again.
    Refreshable(HandleCallback),
}

/// User code that runs again and again.
pub(crate) type HandleCallback = Box<dyn FnMut(&LoopHandle)>;

/// The state of one loop. No borrow of any part is held while user code runs.
pub(crate) struct LoopState {
    pub(crate) schedule: Schedule,
    pub(crate) limits: Limits,
    pub(crate) hooks: hooks::Hooks,

    pub(crate) metrics: Arc<metrics::Counters>,
    pub(crate) watching: watch::Watching,
    pub(crate) clock: Clock,
    pub(crate) time: time::LoopTime,
    pub(crate) timers: RefCell<TimerTable<TimerAction>>,
    pub(crate) lists: RefCell<TimerLists<ListedTimer>>,
    /// The loop timer that stands for the lists.
    pub(crate) lists_timer: Cell<Option<TimerKey>>,
    /// The due time of the list for which that timer was set, in milliseconds.
    pub(crate) lists_due: Cell<u64>,
    /// How deep the timer is nested whose callback runs, its microtasks included; 0 elsewhere.
    pub(crate) timer_nesting: Cell<u8>,

    pub(crate) ticks: Queue<Callback>,
    pub(crate) microtasks: Queue<Callback>,
    pub(crate) immediates: Immediates,
    /// Tasks and due intervals among the immediates that do not keep the loop alive, and yet keep poll from waiting.
    pub(crate) yielded_unreferenced: Cell<usize>,
    pub(crate) pending: Queue<Callback>,
    pub(crate) closing: RefCell<Vec<Closing>>,
    /// What is left of the close list that the phase took.
    pub(crate) close_batch: RefCell<Vec<Closing>>,
    pub(crate) handles: RefCell<HandleTable>,
    pub(crate) idle: WatcherList,
    pub(crate) prepare: WatcherList,
    pub(crate) check: WatcherList,
    pub(crate) sources: Sources,
    /// What brings signals, made and known by `signal` alone.
    pub(crate) signals: RefCell<Option<Rc<dyn std::any::Any>>>,
    pub(crate) tasks: RefCell<slab::Slab<Task<LoopHandle>>>,

    pub(crate) driver: RefCell<Driver>,
    /// Where the loop sleeps, if not in the driver.
    pub(crate) parker: RefCell<Option<Rc<dyn Parker>>>,
    pub(crate) parking: parking::Parking,
    pub(crate) inbox: Arc<Inbox>,
    /// Messages that the poll phase took and has not run yet.
    pub(crate) arrived: Queue<Message>,
    /// What the inbox is swapped into: kept for its memory.
    pub(crate) taken: RefCell<Vec<Message>>,
    /// The buffer that reads borrow while they run; `None` while one does.
    pub(crate) read_buffer: Cell<Option<Box<[u8]>>>,
    /// As `read_buffer`, with room for several datagrams.
    pub(crate) datagram_buffer: Cell<Option<Box<[u8]>>>,

    pub(crate) alive: Liveness,
    /// Requests whose completion is to come from another thread.
    pub(crate) requests: Cell<usize>,
    /// Of these, how many let the loop end.
    pub(crate) requests_unreferenced: Cell<usize>,
    pub(crate) has_alarm: Cell<bool>,
    /// The alarm was rung, and the driver not asked since: until it is, its descriptor stays readable for a host.
    pub(crate) rung: Cell<bool>,
    pub(crate) stop: Cell<bool>,
    /// The exit code, once the program that the loop runs has ended: from then on no callback runs.
    pub(crate) ended: Cell<Option<i32>>,
    pub(crate) running: Cell<bool>,
    /// The phase that was begun last, while phases run.
    pub(crate) phase: Cell<Option<Phase>>,
    /// What the present code was taken from.
    pub(crate) queue: Cell<place::QueueKind>,
    pub(crate) closed: Cell<bool>,
    pub(crate) io_budget: Cell<u32>,
    /// The handle whose callback is out of its place because it runs.
    pub(crate) calling: Cell<Option<HandleKey>>,
    pub(crate) context: RefCell<Option<context::Context>>,
}

/// A close callback that is due, with the handle it releases.
pub(crate) struct Closing {
    pub(crate) release: Option<HandleKey>,
    pub(crate) callback: Option<Callback>,
}

impl Closing {
    /// True if no user code runs when it is closed.
    pub(crate) fn is_silent(&self) -> bool {
        self.release.is_none() && self.callback.is_none()
    }
}
