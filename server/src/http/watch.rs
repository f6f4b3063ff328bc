//! Where a connection stands, and how long it may stay there.
//!
//! ```text
//!            first byte          head complete
//!   Fresh ──────────────▶ Head ───────────────▶ Busy (requests under way)
//!                          ▲                     │ last one ends
//!                          └──────── Idle ◀──────┘
//! ```
//!
//! One timer serves a connection. It is set when a deadline comes nearer and looked at when it is due; a request that comes
//! and goes without waiting touches it not at all.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use phaseloop::{LoopHandle, Sleep};

use super::error::Fault;
use super::limits::Limits;
use crate::joint::cork::Cork;
use crate::joint::wire::{LastWords, Watcher};
use crate::later::later;
use crate::proto::http2_frames::{Flood, FrameCounter, FrameLimits, Rate};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Fresh,
    Head,
    Busy,
    Idle,
    Leaving,
}

/// What a deadline asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// End the connection for this reason.
    End(Fault),
    /// It was silent between requests for long enough: close it in a friendly way.
    Idle,
}

/// Follows one connection. Shared by its stream, its requests and the task that serves it.
pub(crate) struct Watch {
    lp: LoopHandle,
    limits: Rc<Limits>,
    stage: Cell<Stage>,
    since: Cell<Instant>,
    /// It is to end, and has until then to say something first.
    last_chance: Cell<Option<Instant>>,
    under_way: Cell<u32>,
    /// Bodies of requests that are still to come, in part at least.
    bodies: Cell<u32>,
    /// HTTP/1.1: the connection's task, which looks whether the peer is there once no body is to come.
    behind_bodies: RefCell<Option<Waker>>,
    requests: Cell<u64>,
    /// Answers of which a piece was given to hyper and no further one asked for yet, and when one last was.
    unasked: Cell<u32>,
    asked: Cell<Instant>,
    /// HTTP/1.1: bytes of the head so far, and whether its first line is complete.
    head_len: Cell<usize>,
    line_ended: Cell<bool>,
    /// HTTP/2.
    frames: RefCell<Option<Box<FrameCounter>>>,
    fault: Cell<Option<Fault>>,
    /// A box, since whoever takes the connection over has none.
    timer: RefCell<Option<Box<Timer>>>,
}

struct Timer {
    sleep: Sleep,
    /// Until when it sleeps, with the connection's task to wake.
    armed: Option<Instant>,
}

impl Watch {
    pub(crate) fn new(lp: &LoopHandle, limits: &Rc<Limits>) -> Rc<Self> {
        Rc::new(Self {
            lp: lp.clone(),
            limits: Rc::clone(limits),
            stage: Cell::new(Stage::Fresh),
            since: Cell::new(lp.now()),
            last_chance: Cell::new(None),
            under_way: Cell::new(0),
            bodies: Cell::new(0),
            behind_bodies: RefCell::new(None),
            requests: Cell::new(0),
            unasked: Cell::new(0),
            asked: Cell::new(lp.now()),
            head_len: Cell::new(0),
            line_ended: Cell::new(false),
            frames: RefCell::new(None),
            fault: Cell::new(None),
            timer: RefCell::new(None),
        })
    }

    /// Has bytes be taken as frames of HTTP/2 from now on, the preface first.
    pub(crate) fn count_frames(&self) {
        let limits = &*self.limits;
        let frames = FrameLimits {
            control: Rate { burst: limits.control_frames_burst, per_s: limits.control_frames_per_s },
            resets: Rate { burst: limits.resets_burst, per_s: limits.resets_per_s },
        };
        self.frames.replace(Some(Box::new(FrameCounter::new(frames, self.lp.now()))));
    }

    /// A request begins, until the guard is dropped.
    pub(crate) fn begin(self: &Rc<Self>) -> UnderWay {
        self.requests.set(self.requests.get() + 1);
        self.under_way.set(self.under_way.get() + 1);
        self.stage.set(Stage::Busy);
        UnderWay { watch: Rc::clone(self), holders: None }
    }

    /// A piece of an answer was given to hyper. Until the next one is asked for, the peer has something to take.
    pub(crate) fn gave_piece(&self) {
        self.unasked.set(self.unasked.get() + 1);
        self.asked.set(self.lp.now());
    }

    /// The next piece was asked for, or the answer is over.
    pub(crate) fn piece_was_taken(&self) {
        self.unasked.set(self.unasked.get() - 1);
        self.asked.set(self.lp.now());
    }

    /// Requests that came so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// Requests that are under way.
    pub(crate) fn under_way(&self) -> u32 {
        self.under_way.get()
    }

    /// Why the stream was ended, if it was for a limit.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// Looks whether the connection may go on as it stands, and has `cx` woken when it may no more.
    pub(crate) fn poll_due(&self, cx: &mut Context<'_>, cork: &Cork) -> Poll<Due> {
        let Some((deadline, due)) = self.deadline(cork) else { return Poll::Pending };
        let now = self.lp.now();
        if deadline <= now {
            return Poll::Ready(due);
        }
        let mut timer = self.timer.borrow_mut();
        let fresh = || Box::new(Timer { sleep: self.lp.sleep_until(deadline), armed: None });
        let Timer { sleep, armed } = &mut **timer.get_or_insert_with(fresh);
        if armed.is_some_and(|at| now < at && at <= deadline) {
            return Poll::Pending; // it wakes the task soon enough
        }
        *armed = None;
        sleep.reset(deadline);
        if Pin::new(sleep).poll(cx).is_ready() {
            return Poll::Ready(due); // by the clock, which is ahead of the loop's time in a long turn
        }
        *armed = Some(deadline);
        Poll::Pending
    }

    /// The next deadline as things stand, if there is one.
    fn deadline(&self, cork: &Cork) -> Option<(Instant, Due)> {
        let limits = &*self.limits;
        let since = self.since.get();
        if let Some(stalled) = cork.stalled() {
            return Some((later(stalled, limits.write_stall), Due::End(Fault::WriteStall)));
        }
        match self.stage.get() {
            Stage::Fresh => Some(self.sooner(later(since, limits.first_byte), Fault::Silent)),
            Stage::Head => Some(self.sooner(later(since, limits.head), Fault::SlowHead)),
            Stage::Idle => Some((later(since, limits.idle), Due::Idle)),
            Stage::Leaving => Some((later(since, limits.linger), Due::Idle)),
            // The windows of HTTP/2 can be shut while the socket takes everything.
            Stage::Busy if self.unasked.get() > 0 => {
                Some((later(self.asked.get(), limits.write_stall), Due::End(Fault::WriteStall)))
            }
            Stage::Busy => None,
        }
    }

    /// The connection is somebody else's from now on. Wakers would keep the task that served it, and all its memory, until they are due.
    pub(crate) fn retire(&self) {
        self.timer.replace(None);
        self.behind_bodies.replace(None);
    }

    fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        self.since.set(self.lp.now());
    }

    fn fail(&self, fault: Fault, words: Option<[u8; 17]>) -> Result<(), LastWords> {
        self.fault.set(Some(fault));
        Err(LastWords { error: io::Error::new(io::ErrorKind::ConnectionAborted, fault), words })
    }

    /// It is to end. True if no request of it is here: the first one may be on its way, and has a moment to arrive.
    pub(crate) fn has_last_chance(&self) -> bool {
        let may_ask = self.asked_nothing();
        if may_ask && self.last_chance.get().is_none() {
            self.last_chance.set(Some(later(self.lp.now(), self.limits.first_request_at_shutdown)));
        }
        may_ask
    }

    /// True until it has made a request.
    pub(crate) fn asked_nothing(&self) -> bool {
        matches!(self.stage.get(), Stage::Fresh | Stage::Head) && self.requests.get() == 0
    }

    fn sooner(&self, deadline: Instant, fault: Fault) -> (Instant, Due) {
        match self.last_chance.get() {
            Some(at) if at < deadline && self.requests.get() == 0 => (at, Due::Idle),
            _ => (deadline, Due::End(fault)),
        }
    }

    /// It was told to close: it has a moment to do so.
    pub(crate) fn leave(&self) {
        if self.stage.get() != Stage::Busy {
            self.enter(Stage::Leaving);
        }
    }

    /// Bytes of HTTP/1.1 while no request is under way: a head. Between requests hyper may hold the start of the next one
    /// already; its time is then counted from the bytes that follow, or it is idle, so bounded either way.
    fn received_head(&self, bytes: &[u8]) -> Result<(), LastWords> {
        if self.stage.get() != Stage::Head {
            self.enter(Stage::Head);
            self.head_len.set(0);
            self.line_ended.set(false);
        }
        self.head_len.set(self.head_len.get().saturating_add(bytes.len()));
        if !self.line_ended.get() {
            self.line_ended.set(memchr::memchr(b'\n', bytes).is_some());
            if !self.line_ended.get() && self.head_len.get() >= self.limits.head_len_max {
                return self.fail(Fault::LongUri, None);
            }
        }
        Ok(())
    }
}

impl Watcher for Rc<Watch> {
    fn received(&self, bytes: &[u8]) -> Result<(), LastWords> {
        if let Some(frames) = &mut *self.frames.borrow_mut() {
            if self.stage.get() == Stage::Fresh {
                self.enter(Stage::Idle);
            }
            return match frames.received(bytes, self.lp.now()) {
                Ok(()) => Ok(()),
                Err(Flood::Control) => self.fail(Fault::ControlFlood, frames.last_words()),
                Err(Flood::Resets) => self.fail(Fault::ResetFlood, frames.last_words()),
            };
        }
        if self.under_way.get() > 0 { Ok(()) } else { self.received_head(bytes) }
    }

    fn sent(&self, bufs: &[IoSlice<'_>], mut len: usize) {
        if self.stage.get() == Stage::Idle {
            self.since.set(self.lp.now()); // the last answer is still on its way
        }
        if let Some(frames) = &mut *self.frames.borrow_mut() {
            for buf in bufs {
                let sent = len.min(buf.len());
                frames.sent(&buf[..sent]);
                len -= sent;
            }
        }
    }

    fn peer_waits(&self, cx: &Context<'_>) -> bool {
        if self.stage.get() != Stage::Busy || self.frames.borrow().is_some() {
            return false;
        }
        let has_body = self.bodies.get() > 0;
        if has_body {
            self.behind_bodies.replace(Some(cx.waker().clone()));
        }
        !has_body
    }

    fn peer_left(&self) {
        self.fault.set(Some(Fault::Left));
    }
}

/// A request that is under way, until the last of those who hold it is gone: its answer, and its body if it has one.
pub(crate) struct UnderWay {
    watch: Rc<Watch>,
    /// Counts them. Most requests have one holder, and no count.
    holders: Option<Rc<()>>,
}

impl UnderWay {
    /// One more holder.
    pub(crate) fn share(&mut self) -> Self {
        let holders = Rc::clone(self.holders.get_or_insert_default());
        Self { watch: Rc::clone(&self.watch), holders: Some(holders) }
    }

    /// It has a body.
    pub(crate) fn body_begins(&self) -> ToCome {
        self.watch.bodies.update(|bodies| bodies + 1);
        ToCome(Rc::clone(&self.watch))
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }
}

/// A body of a request, until it came to its end or nobody reads it any more.
pub(crate) struct ToCome(Rc<Watch>);

impl Drop for ToCome {
    fn drop(&mut self) {
        let Watch { bodies, behind_bodies, .. } = &*self.0;
        bodies.set(bodies.get() - 1);
        if bodies.get() == 0
            && let Some(waker) = behind_bodies.take()
        {
            waker.wake();
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.holders.as_ref().is_some_and(|holders| Rc::strong_count(holders) > 1) {
            return;
        }
        let left = self.watch.under_way.get() - 1;
        self.watch.under_way.set(left);
        if left == 0 {
            self.watch.enter(Stage::Idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};
    use std::time::{Duration, Instant};

    use phaseloop::EventLoop;
    use phaseloop::net::{TcpListener, TcpStream};

    use super::{Due, Fault, Watch};
    use crate::http::Limits;
    use crate::joint::cork::{Cork, Spares};

    #[test]
    fn what_becomes_due_within_a_turn_is_due() {
        let lp = EventLoop::new().unwrap();
        let handle = lp.handle();
        lp.block_on(async {
            let listener = TcpListener::bind(&handle, "127.0.0.1:0".parse().unwrap()).unwrap();
            let stream = TcpStream::connect(&handle, listener.local_addr().unwrap()).await.unwrap();
            let cork = Cork::new(stream, &Spares::default());
            let limits = Limits { first_byte: Duration::from_millis(1), ..Limits::default() };
            let watch = Watch::new(&handle, &Rc::new(limits));
            // A long turn: the loop's time stands still, the clock goes on.
            let due = handle.now() + Duration::from_millis(1);
            while Instant::now() <= due {}
            assert!(handle.now() < due);
            let polled = watch.poll_due(&mut Context::from_waker(Waker::noop()), &cork);
            assert_eq!(polled, Poll::Ready(Due::End(Fault::Silent)));
        })
        .unwrap();
    }
}
