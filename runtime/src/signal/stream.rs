//! Signals for tasks: a stream of them, and the request to shut down.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::hub::{Started, Watches};
use super::number::Signal;
use crate::state::LoopHandle;

/// How many signals wait for a task that does not take them. Beyond that, later ones are dropped.
const WAITING_MAX: usize = 1024;

/// The signals that arrive, one after the other. Made by [`LoopHandle::signals`]; watching ends when it is dropped.
///
/// It does not keep the loop alive; the task that waits does. At most 1024 signals wait for a task.
pub struct Signals {
    inbox: Rc<Inbox>,
    starts: Vec<Started>,
}

#[derive(Default)]
struct Inbox {
    arrived: RefCell<VecDeque<Signal>>,
    waker: Cell<Option<Waker>>,
    closed: Cell<bool>,
}

impl LoopHandle {
    /// Watches signals, for a task.
    ///
    /// # Errors
    /// As [`SignalWatcher::start`](super::SignalWatcher::start). No signal is then watched.
    ///
    /// # Examples
    /// ```
    /// # use phaseloop::{EventLoop, signal::Signal};
    /// let lp = EventLoop::new()?;
    /// let mut signals = lp.signals(&[Signal::HUP, Signal::USR2])?;
    /// # let pid = std::process::id().to_string();
    /// std::process::Command::new("kill").args(["-USR2", &pid]).status()?;
    /// assert_eq!(lp.block_on(signals.next())?, Some(Signal::USR2));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn signals(&self, signals: &[Signal]) -> io::Result<Signals> {
        let (inbox, site) = (Rc::new(Inbox::default()), Location::caller());
        let start = |signal: &Signal| Started::new(self, *signal, Rc::clone(&inbox) as Rc<dyn Watches>, site);
        let starts = signals.iter().map(start).collect::<io::Result<Vec<_>>>()?;
        Ok(Signals { inbox, starts })
    }
}

impl Signals {
    /// The next signal; `None` once the loop is gone.
    ///
    /// # Cancel safety
    /// No signal is lost.
    pub async fn next(&mut self) -> Option<Signal> {
        poll_fn(|cx| self.poll_signal(cx)).await
    }

    fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        if let Some(signal) = self.inbox.arrived.borrow_mut().pop_front() {
            return Poll::Ready(Some(signal));
        }
        if self.inbox.closed.get() {
            return Poll::Ready(None);
        }
        self.inbox.waker.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl Stream for Signals {
    type Item = Signal;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Signal>> {
        self.poll_signal(cx)
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("watched", &self.starts.len()).finish_non_exhaustive()
    }
}

impl Watches for Inbox {
    fn signalled(self: Rc<Self>, lp: &LoopHandle, signal: Signal) {
        let mut arrived = self.arrived.borrow_mut();
        if arrived.len() < WAITING_MAX {
            arrived.push_back(signal);
        }
        drop(arrived);
        if let Some(waker) = self.waker.take() {
            lp.call(|_| waker.wake());
        }
    }

    fn forget(&self) {
        self.closed.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// What a second SIGINT or SIGTERM does, while the first is being answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecondSignal {
    /// It ends the process at once, as if nobody watched, also when the loop is stuck. The first process of a container, which
    /// the system spares that, exits with 128 and the signal's number.
    #[default]
    Ends,
    /// Nothing: the program shuts down in its own time.
    IsIgnored,
}

/// Waits for SIGINT or SIGTERM: the request to shut down.
///
/// Watching begins with this call, not with the first poll, and ends when the future is dropped: keep it, or what it is part
/// of, until the program is done, for `second` to hold.
///
/// # Errors
/// What the system says when no descriptor is left.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, signal::{SecondSignal, Signal, shutdown_signal}};
/// let lp = EventLoop::new()?;
/// let mut shutdown = shutdown_signal(&lp, SecondSignal::Ends)?;
/// # let pid = std::process::id().to_string();
/// # std::process::Command::new("kill").args(["-TERM", &pid]).status()?;
/// assert_eq!(lp.block_on(&mut shutdown)?, Signal::TERM);
/// // finish what was accepted, then let go of `shutdown`
/// # Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn shutdown_signal(lp: &LoopHandle, second: SecondSignal) -> io::Result<ShutdownSignal> {
    let signals = lp.signals(&SHUTDOWN)?;
    if second == SecondSignal::Ends {
        signals.starts[0].end_at_second(&SHUTDOWN, true);
    }
    Ok(ShutdownSignal { signals, second })
}

const SHUTDOWN: [Signal; 2] = [Signal::INT, Signal::TERM];

/// The future of [`shutdown_signal`]. Can be awaited again, for the next one. It is never done once the loop is gone.
#[derive(Debug)]
pub struct ShutdownSignal {
    signals: Signals,
    second: SecondSignal,
}

impl Future for ShutdownSignal {
    type Output = Signal;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Signal> {
        match self.signals.poll_signal(cx) {
            Poll::Ready(Some(signal)) => Poll::Ready(signal),
            _ => Poll::Pending,
        }
    }
}

impl Drop for ShutdownSignal {
    fn drop(&mut self) {
        if self.second == SecondSignal::Ends {
            self.signals.starts[0].end_at_second(&SHUTDOWN, false);
        }
    }
}
