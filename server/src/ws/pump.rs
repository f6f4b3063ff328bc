//! The task of a connection: it reads, writes, and looks after the time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use phaseloop::Sleep;

use super::close::{Close, CloseCode, Lost};
use super::connection::{Connection, Core, Stage, Work};
use super::front::Front;
use super::link::Link;
use super::options::WhenFull;
use super::outbox::Outbox;
use crate::later::later;
use crate::proto::websocket::encode;

/// Reads in one go, so that one peer that talks without a pause does not hold up the others.
const READS_MAX: usize = 8;

/// Serves a connection until its stream is closed.
pub(crate) struct Pump {
    connection: Rc<Connection>,
    front: Front,
    alarm: Option<Alarm>,
}

/// Wakes the task when something is due. It is not moved when that is put off, which it is by every message.
struct Alarm {
    at: Instant,
    timer: Sleep,
}

/// How far reading came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    /// The stream has nothing now.
    Waits,
    /// Nobody has room for more.
    Paused,
    /// There may be more, but it is the others' turn.
    More,
}

impl Pump {
    pub(crate) fn new(connection: Rc<Connection>, front: Front) -> Self {
        Self { connection, front, alarm: None }
    }

    /// Serves the connection in a task of its own.
    pub(crate) fn spawn(mut self) {
        self.alarm = None; // it would wake the task that this comes from, if it comes from one
        let lp = self.connection.lp.clone();
        lp.spawn(self).detach();
    }

    /// Reads, and passes on what came. Until `end`, which must follow, nothing that is sent wakes this task.
    pub(crate) fn begin(&self, cx: &mut Context<'_>) -> Read {
        let connection = &*self.connection;
        let mut wakers = connection.wakers.borrow_mut();
        if !wakers.pump.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            wakers.pump = Some(cx.waker().clone());
        }
        drop(wakers);
        connection.work.set(Work::Reads);
        let read = self.read(cx).unwrap_or_else(|error| {
            connection.lose(Lost::Io(error));
            Read::Waits
        });
        if connection.core.borrow().link.is_draining() {
            connection.close(Some(&Close::new(CloseCode::GOING_AWAY, "the server shuts down")));
        }
        connection.work.set(Work::Serves);
        read
    }

    /// Writes, and looks after the time. Ready when the connection is over.
    pub(crate) fn end(&mut self, cx: &mut Context<'_>, read: Read) -> Poll<()> {
        let connection = &*self.connection;
        connection.work.set(Work::Waits);
        if let Err(error) = self.write(cx) {
            connection.lose(Lost::Io(error));
        }
        if read == Read::More || (read == Read::Paused && !self.is_paused()) {
            cx.waker().wake_by_ref();
        }
        self.look_at_the_time(cx);
        self.front.maybe_closed(&self.connection);
        if self.connection.core.borrow().stage == Stage::Over { Poll::Ready(()) } else { Poll::Pending }
    }

    /// True if messages that come would only pile up.
    fn is_paused(&self) -> bool {
        let connection = &*self.connection;
        match &self.front {
            Front::Inbox => connection.inbox_is_full(),
            Front::Callbacks(_) => connection.options.when_full == WhenFull::Wait && connection.is_full(),
        }
    }

    /// Decodes `input` and passes on what is in it. What a full inbox has no room for is kept.
    fn take_in(&self, mut input: &[u8]) {
        let connection = &*self.connection;
        while !input.is_empty() {
            if self.is_paused() {
                connection.core.borrow_mut().rest = input.to_vec();
                return;
            }
            let mut core = connection.core.borrow_mut();
            if matches!(core.stage, Stage::Leaving(_) | Stage::Over) {
                return; // what follows a goodbye is nobody's business
            }
            let event = core.reader.read(&mut input);
            drop(core);
            match event {
                Ok(None) => return,
                Ok(Some(event)) => {
                    if let Some(message) = connection.take(event) {
                        self.front.message(connection, message);
                    }
                }
                Err(fault) => connection.fail_with(fault),
            }
        }
    }

    fn read(&self, cx: &mut Context<'_>) -> io::Result<Read> {
        let connection = &*self.connection;
        let rest = std::mem::take(&mut connection.core.borrow_mut().rest);
        self.take_in(&rest);
        for _ in 0..READS_MAX {
            if self.is_paused() || !connection.core.borrow().rest.is_empty() {
                return Ok(Read::Paused);
            }
            let read = connection.scratch.with(|scratch| {
                let read = Pin::new(&mut connection.core.borrow_mut().link).poll_read(cx, scratch);
                if let Poll::Ready(Ok(len @ 1..)) = read {
                    self.heard();
                    self.take_in(&scratch[..len]);
                }
                read
            });
            match read {
                Poll::Pending => return Ok(Read::Waits),
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(0)) => {
                    self.ended();
                    return Ok(Read::Waits);
                }
                Poll::Ready(Ok(_)) => {}
            }
        }
        Ok(Read::More)
    }

    fn heard(&self) {
        let core = &mut *self.connection.core.borrow_mut();
        core.heard = self.connection.lp.now();
        core.asked = None;
    }

    /// The peer closed its direction.
    fn ended(&self) {
        let stage = self.connection.core.borrow().stage;
        match stage {
            Stage::Open | Stage::Closing(_) => self.connection.lose(Lost::NoGoodbye),
            Stage::Leaving(_) | Stage::Over => self.connection.core.borrow_mut().stage = Stage::Over,
        }
    }

    fn write(&self, cx: &mut Context<'_>) -> io::Result<()> {
        let was_full = self.connection.is_full();
        let mut core = self.connection.core.borrow_mut();
        let Core { outbox, link, .. } = &mut *core;
        let mut wrote = 0;
        let mut written = outbox.poll_write(link, cx, &mut wrote);
        let is_leaving = matches!(core.stage, Stage::Leaving(_));
        if is_leaving && matches!(written, Poll::Ready(Ok(()))) {
            written = Pin::new(&mut core.link).poll_close(cx);
        }
        match written {
            Poll::Ready(result) => {
                core.stalled = None;
                result?;
            }
            Poll::Pending if wrote > 0 || core.stalled.is_none() => {
                core.stalled = Some(self.connection.lp.now())
            }
            Poll::Pending => {}
        }
        drop(core);
        if was_full && !self.connection.is_full() {
            self.connection.senders.wake();
        }
        Ok(())
    }

    /// Does what is due, and has the task woken when something will be.
    fn look_at_the_time(&mut self, cx: &mut Context<'_>) {
        while let Some((deadline, due)) = self.deadline() {
            if deadline > self.connection.lp.now() && self.is_woken_at(cx, deadline) {
                return;
            }
            self.act(due);
        }
    }

    /// Has the task be woken at `deadline` or before. False if that has passed.
    fn is_woken_at(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        let lp = &self.connection.lp;
        if self.alarm.as_ref().is_some_and(|alarm| lp.now() < alarm.at && alarm.at <= deadline) {
            return true;
        }
        let alarm = self.alarm.get_or_insert_with(|| Alarm { at: deadline, timer: lp.sleep_until(deadline) });
        alarm.at = deadline;
        alarm.timer.reset(deadline);
        let waits = Pin::new(&mut alarm.timer).poll(cx).is_pending();
        if !waits {
            self.alarm = None;
        }
        waits
    }

    /// The next deadline as things stand.
    fn deadline(&self) -> Option<(Instant, Due)> {
        let options = &self.connection.options;
        let core = self.connection.core.borrow();
        let stalled = core.stalled.map(|since| (later(since, options.write_stall), Due::Stalled));
        let next = match core.stage {
            Stage::Open if options.ping_interval == Duration::ZERO => None,
            Stage::Open => match core.asked {
                Some(asked) => Some((later(asked, options.ping_timeout), Due::Silent)),
                None => Some((later(core.heard, options.ping_interval), Due::Ask)),
            },
            Stage::Closing(since) | Stage::Leaving(since) => {
                Some((later(since, options.close_timeout), Due::Unanswered))
            }
            Stage::Over => return None,
        };
        stalled.into_iter().chain(next).min_by_key(|(deadline, _)| *deadline)
    }

    fn act(&self, due: Due) {
        let connection = &*self.connection;
        match due {
            Due::Ask => {
                let mut core = connection.core.borrow_mut();
                core.asked = Some(connection.lp.now());
                core.outbox.push(encode::ping(connection.role));
                drop(core);
                connection.wake_pump();
            }
            // Its answer may be in what we do not read.
            Due::Silent if self.is_paused() => self.heard(),
            Due::Silent => connection.lose(Lost::NoPong),
            Due::Unanswered => connection.lose(Lost::NoAnswer),
            Due::Stalled => connection.lose(Lost::WriteStall),
        }
    }
}

/// What a deadline asks for.
#[derive(Clone, Copy)]
enum Due {
    Ask,
    Silent,
    Unanswered,
    Stalled,
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let read = self.begin(cx);
        self.end(cx, read)
    }
}

impl Drop for Pump {
    /// The loop ends, or the connection is over: users that wait are told. Senders may be kept for long, and hold nothing
    /// of the stream.
    fn drop(&mut self) {
        self.connection.lose(Lost::NoGoodbye);
        self.connection.wakers.borrow_mut().pump = None;
        let mut core = self.connection.core.borrow_mut();
        let link = std::mem::replace(&mut core.link, Link::Gone);
        (core.outbox, core.deflater, core.rest) = (Outbox::default(), None, Vec::new());
        drop(core);
        drop(link);
    }
}
