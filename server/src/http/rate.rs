//! How fast a body comes, while somebody waits for it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use phaseloop::{LoopHandle, Sleep};

use super::limits::Limits;

/// Measures over windows of waiting: the time in which nobody asks for the body does not count, since then it is not the
/// peer who is slow. Whoever waits is woken for each slice of a window. So a longer time between two questions is one in which nobody asked,
/// or the loop stood still, and what came in it, or could have come, may have come at its beginning.
pub(crate) struct Rate {
    lp: LoopHandle,
    window: Duration,
    slice: Duration,
    /// Bytes that a window must bring.
    len_min: u64,
    /// Of the running window: what came, and how long it was waited for.
    len: u64,
    waited: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    /// Due when somebody is to ask again.
    timer: Sleep,
}

/// Slices of a window. More of them tell better who was late, and wake more often.
const SLICES: u32 = 8;

/// What the loop's timers tell apart.
const SLICE_MIN: Duration = Duration::from_millis(1);

impl Rate {
    /// `None` if there is no such limit.
    pub(crate) fn new(lp: &LoopHandle, limits: &Limits) -> Option<Self> {
        let (window, rate) = (limits.body_rate_window, limits.body_rate_min);
        if window.is_zero() || rate == 0 {
            return None;
        }
        let len_min = u128::from(rate).saturating_mul(window.as_millis()) / 1000;
        Some(Self {
            lp: lp.clone(),
            window,
            slice: (window / SLICES).max(SLICE_MIN),
            len_min: u64::try_from(len_min).unwrap_or(u64::MAX).max(1),
            len: 0,
            waited: Duration::ZERO,
            waiting: None,
        })
    }

    /// Bytes came.
    pub(crate) fn count(&mut self, len: usize) {
        self.len = self.len.saturating_add(len as u64);
        self.add_wait();
        if self.waited >= self.window && self.len >= self.len_min {
            self.next_window();
        }
    }

    /// Nothing came. Ready if the peer has been too slow.
    pub(crate) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.add_wait();
        if self.waited >= self.window {
            if self.len < self.len_min {
                return Poll::Ready(());
            }
            self.next_window();
        }
        let left = self.window.saturating_sub(self.waited).clamp(SLICE_MIN, self.slice);
        let mut waiting = Waiting { since: self.lp.now(), timer: self.lp.sleep(left) };
        if Pin::new(&mut waiting.timer).poll(cx).is_ready() {
            cx.waker().wake_by_ref(); // the clock went on meanwhile
        }
        self.waiting = Some(waiting);
        Poll::Pending
    }

    /// Adds the time since somebody asked before.
    fn add_wait(&mut self) {
        let Some(waiting) = self.waiting.take() else { return };
        let waited = self.lp.now().saturating_duration_since(waiting.since);
        if waited <= self.slice.saturating_mul(2) {
            self.waited = self.waited.saturating_add(waited);
        }
    }

    fn next_window(&mut self) {
        (self.len, self.waited) = (0, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use phaseloop::TestLoop;

    use super::{Limits, Rate};

    fn pass(lp: &TestLoop, time: Duration) {
        lp.advance(time);
        lp.turn();
    }

    /// A body that is waited for all the time and brings `len` bytes each second: the second in which it is too slow.
    fn too_slow_after(len: usize) -> Option<usize> {
        let lp = TestLoop::new();
        let limits =
            Limits { body_rate_min: 100, body_rate_window: Duration::from_secs(5), ..Limits::default() };
        let rate = Rc::new(RefCell::new(Rate::new(&lp, &limits).unwrap()));
        let (log, polled) = (lp.clone(), Rc::clone(&rate));
        lp.spawn(async move {
            poll_fn(|cx| polled.borrow_mut().poll_too_slow(cx)).await;
            log.log("too slow");
        });
        lp.turn();
        (1..=20).find(|_| {
            lp.advance(Duration::from_secs(1));
            let found = !lp.turn_log().is_empty();
            rate.borrow_mut().len += len as u64; // as `count`, without waking the task
            found
        })
    }

    #[test]
    fn a_trickle_is_too_slow_once_the_window_is_full() {
        assert_eq!(too_slow_after(0), Some(5));
        assert_eq!(too_slow_after(99), Some(5));
    }

    #[test]
    fn the_least_rate_goes_on() {
        assert_eq!(too_slow_after(126), None);
    }

    #[test]
    fn time_in_which_nobody_asks_is_not_the_peers() {
        let lp = TestLoop::new();
        let mut rate = Rate::new(&lp, &Limits::default()).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let ask = |rate: &mut Rate, cx: &mut Context<'_>| rate.poll_too_slow(cx).is_ready();
        for _ in 0..10 {
            assert!(!ask(&mut rate, &mut cx));
            pass(&lp, Duration::from_secs(60));
            rate.count(1); // it may have come at once
            assert!(!ask(&mut rate, &mut cx));
            pass(&lp, Duration::from_secs(60));
            assert!(!ask(&mut rate, &mut cx), "it may be about to be read");
        }
        // Who asks all the time is not kept waiting for longer than a window.
        let asked = (0..).take_while(|_| {
            pass(&lp, Duration::from_millis(100));
            !ask(&mut rate, &mut cx)
        });
        assert_eq!(asked.count(), 49);
    }

    #[test]
    fn windows_are_of_any_length() {
        let lp = TestLoop::new();
        for (millis, len, goes_on) in
            [(500, 50, true), (500, 49, false), (1900, 190, true), (1900, 189, false), (1, 1, true)]
        {
            let mut limits = Limits { body_rate_min: 100, ..Limits::default() };
            limits.body_rate_window = Duration::from_millis(millis);
            let mut rate = Rate::new(&lp, &limits).unwrap();
            let mut cx = Context::from_waker(Waker::noop());
            assert!(rate.poll_too_slow(&mut cx).is_pending());
            rate.count(len);
            let steps = millis.min(10);
            for _ in 0..steps {
                assert!(rate.poll_too_slow(&mut cx).is_pending());
                pass(&lp, Duration::from_millis(millis) / u32::try_from(steps).unwrap());
            }
            assert_eq!(rate.poll_too_slow(&mut cx).is_pending(), goes_on, "{len} bytes in {millis} ms");
        }
        assert!(Rate::new(&lp, &Limits { body_rate_window: Duration::ZERO, ..Limits::default() }).is_none());
        assert!(Rate::new(&lp, &Limits { body_rate_window: Duration::MAX, ..Limits::default() }).is_some());
    }
}
