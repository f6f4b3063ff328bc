//! Futures that wait for time, or let others go first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::timer::next_due;
use crate::error::Elapsed;
use crate::state::handles::MissedTicks;
use crate::state::{LoopHandle, TimerAction};
use crate::time::clock::{Nanos, nanos};
use crate::time::table::TimerKey;

impl LoopHandle {
    /// Waits for `delay`, counted from now and never shorter. Late by up to the driver's millisecond.
    ///
    /// # Ordering
    /// The task that awaits it is woken in the timers phase, in the order of deadlines and then of starts among all
    /// loop timers, and runs at the checkpoint right after.
    ///
    /// # Cancel safety
    /// Dropping it stops the timer.
    pub fn sleep(&self, delay: Duration) -> Sleep {
        let deadline = self.state.clock.read().saturating_add(nanos(delay));
        Sleep::new(self, deadline)
    }

    /// Waits until `instant`. One that has passed is ready at once.
    ///
    /// # Cancel safety
    /// Dropping it stops the timer.
    pub fn sleep_until(&self, instant: Instant) -> Sleep {
        Sleep::new(self, self.state.clock.nanos_at(instant))
    }

    /// Waits for `future`, but no longer than `limit`.
    ///
    /// # Errors
    /// The output is [`Elapsed`] if the time was up first.
    ///
    /// # Cancel safety
    /// Dropping it drops `future`.
    ///
    /// # Examples
    /// ```
    /// # use std::time::Duration;
    /// # use phaseloop::EventLoop;
    /// let lp = EventLoop::new()?;
    /// let ms = Duration::from_millis;
    /// let result = lp.block_on(lp.timeout(ms(1), std::future::pending::<()>()))?;
    /// assert!(result.is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + use<F> {
        let mut sleep = self.sleep(limit);
        async move {
            let mut future = std::pin::pin!(future);
            std::future::poll_fn(|cx| {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready(Ok(output));
                }
                Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed))
            })
            .await
        }
    }

    /// Ticks every `period`, for the first time after one period. A period of zero is one nanosecond.
    ///
    /// What happens to ticks that a late task missed is [`Interval::set_missed_ticks`]'s to say.
    pub fn interval(&self, period: Duration) -> Interval {
        let period = nanos(period).max(1);
        let sleep = Sleep::new(self, self.state.clock.read().saturating_add(period));
        Interval { sleep, period, missed: MissedTicks::default() }
    }
}

/// Waits for an instant. Made by [`LoopHandle::sleep`].
#[derive(Debug)]
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    lp: LoopHandle,
    deadline: Nanos,
    /// Set from the first poll on.
    timer: Option<TimerKey>,
}

impl Sleep {
    fn new(lp: &LoopHandle, deadline: Nanos) -> Self {
        Self { lp: lp.clone(), deadline, timer: None }
    }

    /// When it is due.
    pub fn deadline(&self) -> Instant {
        self.lp.state.clock.instant(self.deadline)
    }

    /// Has it count anew, until `instant`. Whoever awaited it still does.
    pub fn reset(&mut self, instant: Instant) {
        self.restart(self.lp.state.clock.nanos_at(instant));
    }

    fn restart(&mut self, deadline: Nanos) {
        self.deadline = deadline;
        if let Some(timer) = self.timer {
            let mut timers = self.lp.state.timers.borrow_mut();
            if !timers.restart(timer, deadline) {
                drop(timers);
                self.stop();
            }
        }
    }

    fn stop(&mut self) {
        if let Some(timer) = self.timer.take() {
            let action = self.lp.state.timers.borrow_mut().remove(timer);
            drop(action);
        }
    }

    fn start(&mut self, waker: &Waker) {
        let mut timers = self.lp.state.timers.borrow_mut();
        let timer = timers.insert(Some(TimerAction::Wake(waker.clone())));
        timers.start(timer, self.deadline);
        self.timer = Some(timer);
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = self.timer else {
            // A loop that is gone wakes nobody.
            if self.deadline <= self.lp.state.clock.read() || self.lp.is_closed() {
                return Poll::Ready(());
            }
            self.start(cx.waker());
            return Poll::Pending;
        };
        let mut timers = self.lp.state.timers.borrow_mut();
        if timers.deadline(timer).is_none() {
            return Poll::Ready(()); // the timers phase took it, or the loop was closed
        }
        let old = match timers.action_mut(timer) {
            Some(Some(TimerAction::Wake(waker))) if waker.will_wake(cx.waker()) => None,
            Some(action) => action.replace(TimerAction::Wake(cx.waker().clone())),
            None => None,
        };
        drop(timers);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ticks again and again. Made by [`LoopHandle::interval`]; also a [`Stream`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: Nanos,
    missed: MissedTicks,
}

impl Interval {
    /// Waits for the next tick and gives the instant at which it was due.
    ///
    /// # Cancel safety
    /// Dropping the future loses no tick.
    pub async fn tick(&mut self) -> Instant {
        std::future::poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// As [`tick`](Self::tick), for use in a `poll` function.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        std::task::ready!(Pin::new(&mut self.sleep).poll(cx));
        // A period shorter than what is done between two ticks is always over: let others run all the same.
        if !self.sleep.lp.spend_budget() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let due = self.sleep.deadline;
        let now = self.sleep.lp.state.clock.read(); // by which the sleep was due; the loop's time may lag behind
        self.sleep.restart(next_due(due, self.period, now.max(due), self.missed));
        Poll::Ready(self.sleep.lp.state.clock.instant(due))
    }

    /// Says what becomes of ticks that a late task missed.
    pub fn set_missed_ticks(&mut self, policy: MissedTicks) {
        self.missed = policy;
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}

/// Lets everything else that is ready go first, I/O included: the task goes on in the next check phase.
///
/// # Cancel safety
/// Dropping it does nothing.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
