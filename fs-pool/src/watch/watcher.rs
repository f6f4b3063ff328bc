//! A watcher under way: the descriptor, the scans and the timer that feed the translator, and whoever gets its events.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use phaseloop::request::{PortBell, PullPort, Request};
use phaseloop::{LoopHandle, PollEvents, PollFd, TimerId};

use super::event::{WatchEvent, WatchKind};
use super::options::Watch;
use super::scan::{ScanRequest, Scanned, scan};
use super::sys::Inotify;
use super::translate::{Next, Translator};
use crate::pool::Class;
use crate::request::{JobId, LoopPool, RequestError};

/// A path that is being watched, with a callback. Made by [`Watch::start`].
///
/// Cheap to clone; clones are the same. It goes on when they are dropped: `close` ends it, as does the end of what it
/// watches.
#[derive(Clone)]
pub struct Watcher {
    inner: Rc<Inner>,
}

pub(super) struct Inner {
    options: Watch,
    pool: LoopPool,
    poll: PollFd<Arc<Inotify>>,
    translator: RefCell<Translator>,
    scan: Cell<Option<JobId>>,
    /// Runs while half of a rename waits for the other with this cookie.
    pair: Cell<Option<(u32, TimerId)>>,
    closed: Cell<bool>,
    /// What was watched is gone; the last events are still to be told.
    over: Cell<bool>,
    referenced: Cell<bool>,
    /// Keeps the loop alive while events are on their way to the callback.
    owed: RefCell<Option<Request>>,
    callback: RefCell<Option<Callback>>,
    /// The task that waits for a stream's next event.
    reader: Cell<Option<Waker>>,
}

/// The callback, and how each of its calls gets a checkpoint.
struct Callback {
    port: PullPort,
    bell: PortBell,
    on_event: Option<OnEvent>,
    /// Pulled and not told yet.
    pulled: usize,
}

type OnEvent = Box<dyn FnMut(&Watcher, WatchEvent)>;

/// Buffers that are read in one turn: 64 KiB, so that a busy tree does not starve the rest of the loop.
const READS_PER_TURN: usize = 4;

impl Inner {
    #[track_caller]
    pub(super) fn open(options: Watch, pool: &LoopPool) -> io::Result<Watcher> {
        let lp = pool.lp();
        Watch::checks_loop(lp)?;
        let inotify = Arc::new(Inotify::new()?);
        let root = inotify.add_root(&options.path)?;
        let translator = Translator::new(root, options.path.clone(), options.recursive, !options.precise);
        let poll = PollFd::new(lp, inotify)?;
        if !options.referenced {
            poll.unref();
        }
        let inner = Self {
            pool: pool.clone(),
            poll,
            translator: RefCell::new(translator),
            scan: Cell::new(None),
            pair: Cell::new(None),
            closed: Cell::new(false),
            over: Cell::new(false),
            referenced: Cell::new(options.referenced),
            owed: RefCell::default(),
            callback: RefCell::default(),
            reader: Cell::default(),
            options,
        };
        let watcher = Watcher { inner: Rc::new(inner) };
        watcher.advance();
        Ok(watcher)
    }
}

impl Watcher {
    /// The watched path, as it was given.
    pub fn path(&self) -> &Path {
        &self.inner.options.path
    }

    /// The loop it belongs to.
    pub fn lp(&self) -> &LoopHandle {
        self.inner.pool.lp()
    }

    /// Ends the watch: nothing is called from here on, and what was not told is dropped.
    pub fn close(&self) {
        if self.end() {
            self.inner.poll.close();
        }
    }

    /// As [`close`](Self::close), and calls `on_close` in the close phase. False, and `on_close` is dropped, if it was closed
    /// before or has ended.
    pub fn close_with(&self, on_close: impl FnOnce(&LoopHandle) + 'static) -> bool {
        self.end() && self.inner.poll.close_with(on_close)
    }

    /// True once it was closed, or has ended with what it watched.
    pub fn is_closing(&self) -> bool {
        self.inner.closed.get()
    }

    /// Lets it keep the loop alive, as it does by default.
    pub fn ref_(&self) {
        self.set_referenced(true);
    }

    /// Lets the loop end while it watches.
    pub fn unref(&self) {
        self.set_referenced(false);
    }

    fn set_referenced(&self, referenced: bool) {
        let inner = &self.inner;
        inner.referenced.set(referenced);
        if referenced {
            inner.poll.ref_()
        } else {
            inner.poll.unref()
        }
        if let Some(job) = inner.scan.get() {
            // False is for a job that has ended: its completion is on its way.
            let _ = if referenced { inner.pool.ref_(job) } else { inner.pool.unref(job) };
        }
        if !referenced {
            inner.owed.take();
        }
    }

    /// Has the callback called from here on.
    #[track_caller]
    pub(super) fn call(&self, on_event: OnEvent) {
        let (puller, teller) = (self.clone(), self.clone());
        let pull = move |into: &mut Vec<WatchEvent>| puller.pull(into);
        let port = PullPort::new(self.lp(), pull, move |_, event| teller.tell(event));
        let bell = port.bell();
        let callback = Callback { port, bell, on_event: Some(on_event), pulled: 0 };
        self.inner.callback.replace(Some(callback));
        self.deliver();
    }

    /// The next event for a stream.
    pub(super) fn take(&self) -> Option<WatchEvent> {
        let event = self.inner.translator.borrow_mut().out.pop_front();
        if event.is_some() && !self.inner.poll.is_active() {
            self.listen();
        }
        event
    }

    pub(super) fn waiting(&self) -> usize {
        self.inner.translator.borrow().out.len()
    }

    /// Has the task woken when there is something to take.
    pub(super) fn wait(&self, cx: &Context<'_>) {
        drop(self.inner.reader.replace(Some(cx.waker().clone())));
    }

    /// True if no more events come but those that wait.
    pub(super) fn is_over(&self) -> bool {
        self.inner.closed.get() || self.inner.over.get() || self.lp().is_closed()
    }

    /// Reads what the kernel has, up to the budget.
    fn read(&self) {
        let mut drained = false;
        for _ in 0..READS_PER_TURN {
            let read = self.inner.poll.get_ref().read(self.inner.translator.borrow_mut().waiting());
            match read {
                Ok(true) => {}
                Ok(false) => {
                    drained = true;
                    break;
                }
                Err(error) => return self.fail(error),
            }
        }
        self.advance();
        if drained {
            self.inner.translator.borrow_mut().drained();
        }
    }

    /// Has the translator do what it can, and then what it says.
    fn advance(&self) {
        loop {
            let mut translator = self.inner.translator.borrow_mut();
            let next = translator.next();
            let unwatch = std::mem::take(&mut translator.unwatch);
            drop(translator);
            for id in unwatch {
                self.inner.poll.get_ref().remove(id);
            }
            match next {
                Next::Scan(request) => {
                    self.stop_pair_timer();
                    if self.start_scan(request) {
                        // What comes meanwhile waits in the kernel: its folders may not be known yet.
                        self.inner.poll.stop();
                        break;
                    }
                }
                Next::AwaitPair(cookie) => {
                    self.start_pair_timer(cookie);
                    self.listen();
                    break;
                }
                Next::Read => {
                    self.stop_pair_timer();
                    self.listen();
                    break;
                }
                Next::Over => {
                    self.stop_pair_timer();
                    self.inner.poll.stop();
                    self.inner.over.set(true);
                    break;
                }
            }
        }
        self.deliver();
    }

    /// Listens to the kernel, unless too much waits for the reader.
    fn listen(&self) {
        let inner = &self.inner;
        if inner.closed.get() || inner.over.get() || inner.scan.get().is_some() {
            return;
        }
        if inner.translator.borrow().out.len() >= inner.options.queue_len_max {
            inner.poll.stop();
        } else if !inner.poll.is_active() {
            let watcher = self.clone();
            let started = inner.poll.start(PollEvents::READABLE, move |_, found| match found {
                Ok(_) => watcher.read(),
                Err(error) => watcher.fail(error),
            });
            if let Err(error) = started {
                self.fail(error);
            }
        }
    }

    /// False if the pool did not take the job; then what that means is known to the translator.
    fn start_scan(&self, request: ScanRequest) -> bool {
        let inner = &self.inner;
        let (watcher, inotify) = (self.clone(), Arc::clone(inner.poll.get_ref()));
        let path = request.path.clone();
        let again = path.clone();
        let mut job = inner.pool.request(Class::FS);
        if !inner.referenced.get() {
            job = job.unref();
        }
        let submitted = job.run(
            move |cx| scan(&inotify, request, cx),
            move |_, scanned| {
                watcher.inner.scan.set(None);
                let scanned = scanned.unwrap_or_else(|error| not_scanned(again, error));
                watcher.inner.translator.borrow_mut().scanned(scanned);
                watcher.read();
            },
        );
        match submitted {
            Ok(id) => inner.scan.set(Some(id)),
            Err(refused) => inner.translator.borrow_mut().scanned(not_scanned(path, refused.into())),
        }
        inner.scan.get().is_some()
    }

    fn start_pair_timer(&self, cookie: u32) {
        let inner = &self.inner;
        match inner.pair.get() {
            Some((running, _)) if running == cookie => return,
            _ => self.stop_pair_timer(),
        }
        let watcher = self.clone();
        let timer = self.lp().timer(inner.options.pair_delay, move |_| {
            watcher.inner.pair.set(None);
            // The other half may be in the kernel's queue by now: it is read before the first is given up.
            let read = watcher.inner.poll.get_ref().read(watcher.inner.translator.borrow_mut().waiting());
            if let Err(error) = read {
                return watcher.fail(error);
            }
            watcher.inner.translator.borrow_mut().give_up_pair();
            watcher.advance();
        });
        self.lp().unref_timer(timer); // what keeps the loop alive is the descriptor
        inner.pair.set(Some((cookie, timer)));
    }

    fn stop_pair_timer(&self) {
        if let Some((_, timer)) = self.inner.pair.take() {
            self.lp().stop_timer(timer);
        }
    }

    fn fail(&self, error: io::Error) {
        let event = WatchEvent { kind: WatchKind::Failed(error), path: self.path().to_owned() };
        self.inner.translator.borrow_mut().out.push_back(event);
        self.inner.over.set(true);
        self.inner.poll.stop();
        self.deliver();
    }

    /// Has whoever gets the events fetch them.
    fn deliver(&self) {
        let inner = &self.inner;
        if inner.closed.get() || inner.translator.borrow().out.is_empty() && !inner.over.get() {
            return;
        }
        if let Some(callback) = &*inner.callback.borrow() {
            if inner.referenced.get() && inner.owed.borrow().is_none() {
                inner.owed.replace(Some(self.lp().begin_request()));
            }
            callback.bell.ring();
        }
        inner.reader.take().into_iter().for_each(Waker::wake);
    }

    // --- the callback ---

    fn pull(&self, into: &mut Vec<WatchEvent>) {
        let inner = &self.inner;
        into.extend(inner.translator.borrow_mut().out.drain(..));
        if let Some(callback) = &mut *inner.callback.borrow_mut() {
            callback.pulled += into.len();
        }
        if into.is_empty() {
            inner.owed.take();
        }
        self.listen();
    }

    fn tell(&self, event: WatchEvent) {
        let inner = &self.inner;
        if inner.closed.get() {
            return;
        }
        let (on_event, is_last) = match &mut *inner.callback.borrow_mut() {
            Some(callback) => {
                callback.pulled -= 1;
                (callback.on_event.take(), callback.pulled == 0)
            }
            None => return,
        };
        if is_last && inner.translator.borrow().out.is_empty() {
            inner.owed.take();
        }
        let mut running = PutBack { watcher: self, on_event };
        if let Some(on_event) = &mut running.on_event {
            on_event(self, event);
        }
        drop(running);
        if is_last && inner.over.get() && inner.translator.borrow().out.is_empty() {
            self.close();
        }
    }

    /// Ends all but the descriptor. False if that was done before.
    fn end(&self) -> bool {
        let inner = &self.inner;
        if inner.closed.replace(true) {
            return false;
        }
        self.stop_pair_timer();
        if let Some(job) = inner.scan.take() {
            inner.pool.abandon(job);
        }
        let callback = inner.callback.take();
        if let Some(callback) = &callback {
            callback.port.close();
        }
        inner.translator.borrow_mut().out.clear();
        inner.owed.take();
        inner.reader.take().into_iter().for_each(Waker::wake);
        drop(callback);
        true
    }
}

/// Puts the callback back after its call, also if it panicked, unless the watcher was closed in it.
struct PutBack<'a> {
    watcher: &'a Watcher,
    on_event: Option<OnEvent>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if let Some(callback) = &mut *self.watcher.inner.callback.borrow_mut() {
            callback.on_event = self.on_event.take();
        }
    }
}

fn not_scanned(path: std::path::PathBuf, error: RequestError) -> Scanned {
    Scanned { folders: Vec::new(), failures: vec![(path, error.into())] }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("path", &self.path()).finish_non_exhaustive()
    }
}
