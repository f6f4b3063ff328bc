//! How fast a body comes, while somebody waits for it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use phaseloop::{LoopHandle, Sleep};

use super::limits::Limits;

/// Measures over windows of waiting: the time in which nobody asks for the body does not count, since then it is not the
/// peer who is slow.
pub(crate) struct Rate {
    lp: LoopHandle,
    window: Duration,
    /// Bytes that a window must bring.
    len_min: u64,
    /// Of the running window: what came, and how long it was waited for.
    len: u64,
    waited: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    /// Due when the running window is full.
    full: Sleep,
}

impl Rate {
    /// `None` if there is no such limit.
    pub(crate) fn new(lp: &LoopHandle, limits: &Limits) -> Option<Self> {
        let window = limits.body_rate_window;
        let len_min = u64::from(limits.body_rate_min).saturating_mul(window.as_secs().max(1));
        (len_min > 0).then(|| Self {
            lp: lp.clone(),
            window,
            len_min,
            len: 0,
            waited: Duration::ZERO,
            waiting: None,
        })
    }

    /// Bytes came.
    pub(crate) fn count(&mut self, len: usize) {
        self.len = self.len.saturating_add(len as u64);
        if let Some(waiting) = self.waiting.take() {
            self.waited += self.lp.now().saturating_duration_since(waiting.since);
            if self.waited >= self.window && self.len >= self.len_min {
                self.next_window();
            }
        }
    }

    /// Nothing came. Ready if the peer has been too slow.
    pub(crate) fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let (lp, left) = (&self.lp, self.window.saturating_sub(self.waited));
            let waiting =
                self.waiting.get_or_insert_with(|| Waiting { since: lp.now(), full: lp.sleep(left) });
            ready!(Pin::new(&mut waiting.full).poll(cx));
            if self.len < self.len_min {
                return Poll::Ready(());
            }
            self.waiting = None;
            self.next_window();
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
    use std::time::Duration;

    use phaseloop::TestLoop;

    use super::{Limits, Rate};

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
}
