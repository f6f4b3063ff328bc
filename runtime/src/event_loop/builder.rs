//! Making a loop.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::EventLoop;
use crate::driver::Driver;
use crate::limits::Limits;
use crate::parker::Parker;
use crate::remote::Remote;
use crate::schedule::Schedule;
use crate::state::handles::HandleTable;
use crate::state::hooks::Hooks;
use crate::state::immediates::Immediates;
use crate::state::inbox::{Inbox, OnPending};
use crate::state::liveness::Liveness;
use crate::state::parking::Parking;
use crate::state::sources::Sources;
use crate::state::time::LoopTime;
use crate::state::watch::Watching;
use crate::state::watchers::WatcherList;
use crate::state::{LoopHandle, LoopState};
use crate::task::queue::Queue;
use crate::time::clock::Clock;
use crate::time::lists::TimerLists;
use crate::time::table::TimerTable;

/// Makes an [`EventLoop`] that differs from the default.
#[must_use = "a builder does nothing until it builds"]
pub struct Builder {
    schedule: Schedule,
    limits: Limits,
    on_pending: Option<OnPending>,
    virtual_time: bool,
    parker: Option<Box<dyn Parker + Send>>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            schedule: Schedule::default(),
            limits: Limits::default(),
            on_pending: None,
            virtual_time: false,
            parker: None,
        }
    }

    /// The order and the rules of the turn. The default is [`Schedule::node26`].
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// What bounds queues, buffers and batches.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Calls `hook`, from any thread, when a loop that sleeps or does not run gets work from another thread, or has a task woken
    /// by the host's own code: for hosts that sleep elsewhere and have to be told. It is called once until the loop runs again.
    pub fn on_pending(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_pending = Some(Arc::new(hook));
        self
    }

    /// Has time stand still but for what the loop would wait for, which passes at once.
    ///
    /// Where a request is under way, or no timer is running, the loop waits in real time. What a source may still bring
    /// is looked for once before time passes.
    pub fn virtual_time(mut self, virtual_time: bool) -> Self {
        self.virtual_time = virtual_time;
        self
    }

    /// Has the loop sleep where `parker` says, instead of in its driver.
    ///
    /// A loop sleeps in real time there: [`prepare`](Self::prepare) refuses a parker with virtual time.
    pub fn parker(mut self, parker: impl Parker + Send + 'static) -> Self {
        self.parker = Some(Box::new(parker));
        self
    }

    /// Makes the loop on this thread.
    ///
    /// # Errors
    /// The system's, when no descriptor is left; the parker's; `InvalidInput` for a parker in virtual time.
    pub fn build(self) -> io::Result<EventLoop> {
        Ok(self.prepare()?.into_loop())
    }

    /// Makes all of a loop that may still move to another thread.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, RunMode};
    /// let prepared = EventLoop::builder().prepare()?;
    /// let remote = prepared.remote();
    /// let thread = std::thread::spawn(move || {
    ///     let lp = prepared.into_loop();
    ///     let _stays_alive = lp.begin_request();
    ///     lp.run(RunMode::Default)
    /// });
    /// remote.post(|lp| lp.stop()).expect("the loop is there");
    /// thread.join().expect("it does not panic")?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn prepare(mut self) -> io::Result<PreparedLoop> {
        let driver = Driver::system(self.limits.events_per_wait.get())?;
        if let Some(parker) = &mut self.parker {
            if self.virtual_time {
                let message = "a loop with a parker can not be in virtual time: its host sleeps in real time";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            attach(parker.as_mut(), &driver)?;
        }
        Ok(self.prepare_with(driver))
    }

    pub(crate) fn prepare_with(self, driver: Driver) -> PreparedLoop {
        let inbox = Arc::new(Inbox::new(self.limits.remote_queue_len_max, self.on_pending));
        PreparedLoop {
            schedule: self.schedule,
            limits: self.limits,
            driver,
            door: Door(Some(inbox)),
            virtual_time: self.virtual_time,
            parker: self.parker,
        }
    }
}

/// Gives the parker what tells of the driver.
pub(super) fn attach(parker: &mut dyn Parker, driver: &Driver) -> io::Result<()> {
    let fd = driver.fd().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    parker.attach(fd.try_clone_to_owned()?)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("schedule", &self.schedule.name).finish_non_exhaustive()
    }
}

/// A loop that has not begun: it can be sent to the thread it is to run on, and posted to before.
pub struct PreparedLoop {
    schedule: Schedule,
    limits: Limits,
    driver: Driver,
    door: Door,
    virtual_time: bool,
    parker: Option<Box<dyn Parker + Send>>,
}

/// The inbox of a loop that has not begun. It closes with the loop that never was.
struct Door(Option<Arc<Inbox>>);

impl Door {
    fn inbox(&self) -> &Arc<Inbox> {
        self.0.as_ref().expect("the inbox is there until the loop begins")
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(inbox) = self.0.take() {
            drop(inbox.close());
        }
    }
}

impl PreparedLoop {
    /// The door into the loop for other threads. What is posted runs once the loop does.
    pub fn remote(&self) -> Remote {
        Remote::new(Arc::clone(self.door.inbox()))
    }

    /// Makes the loop on this thread, where it stays.
    pub fn into_loop(mut self) -> EventLoop {
        let inbox = self.door.0.take().expect("a loop begins once");
        let brand = brand();
        let state = LoopState {
            io_budget: Cell::new(self.limits.task_io_budget.get()),
            lists: RefCell::new(TimerLists::new(self.schedule.list_timers, brand)),
            schedule: self.schedule,
            limits: self.limits,
            hooks: Hooks::new(),
            metrics: Arc::default(),
            watching: Watching::default(),
            clock: if self.virtual_time { Clock::virtual_time() } else { Clock::system() },
            time: LoopTime::new(),
            timers: RefCell::new(TimerTable::new(brand)),
            lists_timer: Cell::new(None),
            timer_nesting: Cell::new(0),
            lists_due: Cell::new(0),
            ticks: Queue::new(),
            microtasks: Queue::new(),
            immediates: Immediates::new(u64::from(brand) << 24),
            yielded_unreferenced: Cell::new(0),
            pending: Queue::new(),
            closing: RefCell::default(),
            close_batch: RefCell::default(),
            handles: RefCell::new(HandleTable::new()),
            idle: WatcherList::new(),
            prepare: WatcherList::new(),
            check: WatcherList::new(),
            sources: Sources::new(),
            signals: RefCell::new(None),
            tasks: RefCell::default(),
            driver: RefCell::new(self.driver),
            parker: RefCell::new(self.parker.map(|parker| Rc::from(parker as Box<dyn Parker>))),
            parking: Parking::default(),
            inbox,
            arrived: Queue::new(),
            taken: RefCell::default(),
            read_buffer: Cell::default(),
            datagram_buffer: Cell::default(),
            alive: Liveness::new(),
            requests: Cell::new(0),
            requests_unreferenced: Cell::new(0),
            has_alarm: Cell::new(false),
            rung: Cell::new(false),
            stop: Cell::new(false),
            ended: Cell::new(None),
            running: Cell::new(false),
            phase: Cell::default(),
            queue: Cell::default(),
            closed: Cell::new(false),
            calling: Cell::new(None),
            context: RefCell::new(None),
        };
        EventLoop { handle: LoopHandle { state: Rc::new(state) } }
    }
}

impl fmt::Debug for PreparedLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedLoop").field("schedule", &self.schedule.name).finish_non_exhaustive()
    }
}

/// A number that another loop has only by chance: where the ids of timers and immediates begin, so that an id which is shown to
/// the wrong loop finds nobody there.
fn brand() -> u32 {
    RandomState::new().hash_one(0) as u32
}
