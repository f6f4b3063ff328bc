//! A loop's side of a ring: which jobs there are, and what is in the kernel for them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use phaseloop::request::{PortBell, PullPort, Request};
use phaseloop::{LoopHandle, Prepare};
use slab::Slab;

use super::calls::{Calls, Exchange};
use super::jobs::RingJob;
use super::options::{IoUringLimits, IoUringStats};
use super::sys::{Answer, Call, Kernel, Slot};
use crate::request::RequestError;

/// Names one job of a ring: its place, and a number that no earlier job of that place had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fs) struct RingId(u64);

/// A ring of one loop. Clones are the same.
#[derive(Clone)]
pub(in crate::fs) struct Ring {
    front: Rc<Front>,
}

/// What the clones share. Its end means that no more jobs are given.
struct Front {
    core: Rc<Core>,
}

/// What is called when a job has ended, with its result inside.
type Deliver = Box<dyn FnOnce(&LoopHandle)>;

/// A job with whoever hears of its end.
type Running = Pin<Box<dyn Future<Output = Deliver>>>;

/// The state behind a ring. The loop's port owns it; no borrow is held while user code runs or is dropped.
pub(super) struct Core {
    lp: LoopHandle,
    limits: IoUringLimits,
    /// `None` once the loop is gone.
    kernel: RefCell<Option<Kernel>>,
    jobs: RefCell<Slab<Job>>,
    serial: Cell<u32>,
    /// Jobs that have not begun, and some that were given up since.
    queue: RefCell<VecDeque<RingId>>,
    /// How many of the queue were given up.
    queue_dead: Cell<usize>,
    /// Ends that are to be delivered.
    ended: RefCell<Vec<(RingId, Deliver)>>,
    /// Between a job that is polled and the ring.
    pub(super) exchange: Exchange,
    /// Files that nobody has any more.
    unclosed: RefCell<Vec<File>>,
    stats: Cell<IoUringStats>,
    has_front: Cell<bool>,
    is_preparing: Cell<bool>,
    handles: OnceCell<Handles>,
}

struct Handles {
    port: PullPort,
    bell: PortBell,
    prepare: Prepare,
}

struct Job {
    serial: u32,
    /// Not here while it is polled, and once it has ended.
    running: Option<Running>,
    state: State,
    /// Keeps the loop alive until the end is delivered.
    request: Option<Request>,
}

/// What became of a call.
enum Pushed {
    InKernel(Slot),
    /// The kernel takes none at the moment; this is the answer.
    Refused(Answer),
}

#[derive(Clone, Copy)]
enum State {
    Queued,
    InKernel(Slot),
    /// It is polled, or has ended and not been delivered.
    Between,
}

/// The port's hold on the core: dropped with the port, or with the loop.
struct Owner(Rc<Core>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.shut_down();
    }
}

impl Ring {
    /// Makes a ring and joins it with the loop.
    pub(super) fn open(lp: &LoopHandle, limits: IoUringLimits) -> io::Result<Self> {
        let kernel = Kernel::new(limits.entries.max(1))?;
        let descriptor = kernel.descriptor()?;
        let core = Rc::new(Core {
            lp: lp.clone(),
            limits,
            kernel: RefCell::new(Some(kernel)),
            jobs: RefCell::default(),
            serial: Cell::new(0),
            queue: RefCell::default(),
            queue_dead: Cell::new(0),
            ended: RefCell::default(),
            exchange: Exchange::default(),
            unclosed: RefCell::default(),
            stats: Cell::default(),
            has_front: Cell::new(true),
            is_preparing: Cell::new(false),
            handles: OnceCell::new(),
        });
        let (puller, owner) = (Rc::clone(&core), Owner(Rc::clone(&core)));
        let pull = move |into: &mut Vec<_>| puller.pull(into);
        let deliver =
            move |lp: &LoopHandle, (id, deliver): (RingId, Deliver)| owner.0.deliver(lp, id, deliver);
        let port = PullPort::fed_by(lp, descriptor, pull, deliver)?;
        let handles = Handles { bell: port.bell(), port, prepare: Prepare::new(lp) };
        // It cannot fail: the core was made above.
        let _ = core.handles.set(handles);
        Ok(Self { front: Rc::new(Front { core }) })
    }

    /// Has the kernel do a job. `ended` gets the result, in the poll phase.
    pub(in crate::fs) fn start<T: 'static>(
        &self,
        job: RingJob<T>,
        is_referenced: bool,
        ended: impl FnOnce(&LoopHandle, io::Result<T>) + 'static,
    ) -> io::Result<RingId> {
        let running = async move {
            let result = job.await;
            Box::new(move |lp: &LoopHandle| ended(lp, result)) as Deliver
        };
        self.core().start(Box::pin(running), is_referenced)
    }

    /// Gives a job up: nobody hears of it, and what is in the kernel for it is given up if that can be.
    pub(in crate::fs) fn abandon(&self, id: RingId) {
        self.core().abandon(id);
    }

    /// Lets a job keep the loop alive, or not.
    pub(in crate::fs) fn set_referenced(&self, id: RingId, is_referenced: bool) -> bool {
        self.core().set_referenced(id, is_referenced)
    }

    pub(in crate::fs) fn stats(&self) -> IoUringStats {
        self.core().stats()
    }

    pub(super) fn calls(&self) -> Calls {
        Calls::new(self.core())
    }

    pub(super) fn core(&self) -> &Rc<Core> {
        &self.front.core
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.core.has_front.set(false);
        self.core.close_if_over();
    }
}

impl Core {
    // --- jobs go out ---

    fn start(self: &Rc<Self>, running: Running, is_referenced: bool) -> io::Result<RingId> {
        if self.kernel.borrow().is_none() {
            return Err(RequestError::Closed.into());
        }
        if self.queued() >= self.limits.queue_len_max {
            return Err(RequestError::Full.into());
        }
        self.count(|stats| stats.jobs += 1);
        let mut request = self.lp.begin_request();
        if !is_referenced {
            request.unref();
        }
        let serial = self.serial.get().wrapping_add(1);
        self.serial.set(serial);
        let job = Job { serial, running: Some(running), state: State::Queued, request: Some(request) };
        let id = RingId(u64::from(serial) << 32 | self.jobs.borrow_mut().insert(job) as u64);
        self.queue.borrow_mut().push_back(id);
        if is_referenced {
            self.flush_in_prepare();
        } else {
            self.flush(); // a loop that may end before its next prepare phase must not hold it back
        }
        Ok(id)
    }

    fn flush_in_prepare(self: &Rc<Self>) {
        let Some(Handles { prepare, .. }) = self.handles.get() else { return };
        if self.is_preparing.replace(true) {
            return;
        }
        let core = Rc::clone(self);
        let flush = move |prepare: &Prepare| {
            core.is_preparing.set(false);
            prepare.stop();
            core.flush();
        };
        if prepare.start(flush).is_ok() {
            prepare.unref();
        }
    }

    /// Hands to the kernel what may go there: files to be closed, jobs that begin, and calls that are in line.
    pub(super) fn flush(&self) {
        self.hand_over();
        if !self.ended.borrow().is_empty() {
            self.ring_bell(); // some have ended without the kernel, which will not tell of them
        }
    }

    fn hand_over(&self) {
        self.close_files();
        self.begin_jobs();
        let submitted = self.kernel.borrow_mut().as_mut().map_or(Ok(()), Kernel::submit);
        if submitted.is_err() {
            self.ring_bell(); // the kernel is short of something: it is asked again in the next turn
        }
    }

    fn close_files(&self) {
        loop {
            let Some(file) = self.unclosed.borrow_mut().pop() else { return };
            // One that the kernel does not take is closed all the same.
            self.push(NOBODY, Call::Close(OwnedFd::from(file)));
        }
    }

    fn begin_jobs(&self) {
        while self
            .kernel
            .borrow()
            .as_ref()
            .is_some_and(|kernel| kernel.len() < self.limits.in_flight_max.max(1))
        {
            let Some(id) = self.queue.borrow_mut().pop_front() else { return };
            match self.with(id, |job| job.state = State::Between) {
                Some(()) => self.go_on(id, None),
                None => self.queue_dead.set(self.queue_dead.get().saturating_sub(1)),
            }
        }
    }

    /// Polls a job until it awaits a call that the kernel has taken, or ends.
    fn go_on(&self, id: RingId, mut answer: Option<Answer>) {
        loop {
            let Some(mut running) = self.with(id, |job| job.running.take()).flatten() else {
                return self.release(answer);
            };
            self.exchange.put(answer.take());
            let polled = running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(deliver) = polled {
                self.with(id, |job| job.state = State::Between);
                return self.ended.borrow_mut().push((id, deliver));
            }
            self.with(id, |job| job.running = Some(running));
            match self.push(id, self.exchange.take_call()) {
                Pushed::InKernel(slot) => {
                    self.with(id, |job| job.state = State::InKernel(slot));
                    return;
                }
                Pushed::Refused(refused) => answer = Some(refused),
            }
        }
    }

    /// Puts a call in line. The answer, if the kernel takes none at the moment.
    fn push(&self, id: RingId, call: Call) -> Pushed {
        self.count(|stats| stats.calls += 1);
        let mut kernel = self.kernel.borrow_mut();
        let Some(kernel) = kernel.as_mut() else {
            return Pushed::Refused(call.refused(RequestError::Closed.into()));
        };
        match kernel.push(id.0, call) {
            Ok(slot) => Pushed::InKernel(slot),
            Err(refused) => {
                let (call, error) = *refused;
                Pushed::Refused(call.refused(error))
            }
        }
    }

    // --- answers come back ---

    /// Fetches answers and goes on with their jobs, as long as the kernel answers at once; gives the jobs that have ended.
    fn pull(&self, into: &mut Vec<(RingId, Deliver)>) {
        for _ in 0..ROUNDS_MAX {
            if !self.reap() {
                break;
            }
            self.hand_over();
        }
        if self.kernel.borrow_mut().as_mut().is_some_and(Kernel::has_answers) {
            self.ring_bell(); // the rest is for the next turn
        }
        into.append(&mut self.ended.borrow_mut());
    }

    /// True if there was an answer.
    fn reap(&self) -> bool {
        let mut has_any = false;
        loop {
            let answered = self.kernel.borrow_mut().as_mut().and_then(Kernel::reap);
            let Some((token, answer)) = answered else { return has_any };
            has_any = true;
            self.go_on(RingId(token), Some(answer));
        }
    }

    fn deliver(self: &Rc<Self>, lp: &LoopHandle, id: RingId, deliver: Deliver) {
        let Some(job) = self.remove(id) else {
            drop(deliver); // it was given up meanwhile; what it has opened is closed
            return self.flush();
        };
        drop(job);
        self.close_if_over();
        deliver(lp);
    }

    /// Lets go of what an answer brings that nobody waits for.
    fn release(&self, answer: Option<Answer>) {
        match answer {
            Some(Answer::Opened(Ok(fd))) => self.unclosed.borrow_mut().push(fd.into()),
            Some(Answer::Read { file, .. } | Answer::Wrote { file, .. } | Answer::Done { file, .. }) => {
                self.let_go(file);
            }
            Some(Answer::Stat { file: Some(file), .. }) => self.let_go(file),
            _ => {}
        }
    }

    /// Closes a file by the ring if nobody else has it. The next `flush` does so.
    pub(super) fn let_go(&self, file: std::sync::Arc<File>) {
        // Whoever else has it closes it.
        if let Some(file) = std::sync::Arc::into_inner(file)
            && self.lp_is_there()
        {
            self.unclosed.borrow_mut().push(file);
        }
    }

    fn lp_is_there(&self) -> bool {
        // Not to be asked for by a borrow: it may be the kernel's end that drops the file.
        self.kernel.try_borrow().is_ok_and(|kernel| kernel.is_some())
    }

    // --- changing one's mind ---

    fn abandon(&self, id: RingId) {
        let Some(job) = self.remove(id) else { return };
        match job.state {
            State::Queued => self.forget_queued(),
            State::InKernel(slot) => {
                // If it fails the call goes on; its answer finds nobody.
                let _ = self.kernel.borrow_mut().as_mut().map(|kernel| kernel.cancel(slot));
            }
            State::Between => {}
        }
        drop(job);
        self.flush();
        self.close_if_over();
    }

    /// One of the queue was given up. The queue is cleaned when most of it was.
    fn forget_queued(&self) {
        let dead = self.queue_dead.get() + 1;
        self.queue_dead.set(dead);
        let mut queue = self.queue.borrow_mut();
        if dead > 32 && dead > queue.len() / 2 {
            queue.retain(|id| self.with(*id, |_| ()).is_some());
            self.queue_dead.set(0);
        }
    }

    fn set_referenced(&self, id: RingId, is_referenced: bool) -> bool {
        let change = |job: &mut Job| {
            let Some(request) = job.request.as_mut() else { return false };
            if is_referenced {
                request.ref_();
            } else {
                request.unref();
            }
            true
        };
        let is_there = self.with(id, change).unwrap_or(false);
        if is_there && !is_referenced {
            self.flush(); // as in `start`
        }
        is_there
    }

    // --- the end ---

    /// Closes the handles once nobody can give jobs and nobody waits for any.
    fn close_if_over(&self) {
        if self.has_front.get() || !self.jobs.borrow().is_empty() {
            return;
        }
        if let Some(Handles { port, prepare, .. }) = self.handles.get() {
            self.flush(); // files may be unclosed
            port.close();
            prepare.close();
        }
    }

    /// The loop has let go of the port: what the kernel has is given up and waited for, and nobody is called.
    fn shut_down(&self) {
        let kernel = self.kernel.take();
        drop(kernel);
        let (jobs, ended) = (self.jobs.take(), self.ended.take());
        drop((jobs, ended)); // the futures that wait are told by this
        self.queue.take();
        drop(self.unclosed.take());
    }

    // --- what there is ---

    fn stats(&self) -> IoUringStats {
        let in_flight = self.kernel.borrow().as_ref().map_or(0, Kernel::len);
        IoUringStats { queued: self.queued(), in_flight, ..self.stats.get() }
    }

    fn queued(&self) -> usize {
        self.queue.borrow().len() - self.queue_dead.get()
    }

    fn count(&self, count: impl FnOnce(&mut IoUringStats)) {
        let mut stats = self.stats.get();
        count(&mut stats);
        self.stats.set(stats);
    }

    fn ring_bell(&self) {
        if let Some(handles) = self.handles.get() {
            handles.bell.ring();
        }
    }

    fn with<R>(&self, id: RingId, f: impl FnOnce(&mut Job) -> R) -> Option<R> {
        let mut jobs = self.jobs.borrow_mut();
        jobs.get_mut(id.place()).filter(|job| job.serial == id.serial()).map(f)
    }

    fn remove(&self, id: RingId) -> Option<Job> {
        self.with(id, |_| ())?;
        Some(self.jobs.borrow_mut().remove(id.place()))
    }
}

impl RingId {
    fn place(self) -> usize {
        self.0 as u32 as usize // the lower half
    }

    fn serial(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The job of calls that nobody waits for: no table has so many places.
const NOBODY: RingId = RingId(u64::MAX);

/// How often in one poll phase jobs go on with what the kernel answers at once: 16, which is four small files in a row for
/// each that is in the kernel. More would keep the loop from others.
const ROUNDS_MAX: usize = 16;
