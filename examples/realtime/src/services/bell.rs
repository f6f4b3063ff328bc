//! A bell that many wait for.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Counts how often it was rung, and wakes who waits.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rings: Cell<u64>,
    next: Cell<u64>,
    waiting: RefCell<HashMap<u64, Waker>>,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.rings.set(self.rings.get() + 1);
        let waiting = self.waiting.take();
        waiting.into_values().for_each(Waker::wake);
    }

    /// How often it was rung.
    pub(crate) fn rings(&self) -> u64 {
        self.rings.get()
    }

    /// Waits until it is rung again after it was rung `seen` times.
    pub(crate) fn rung_since(&self, seen: u64) -> Waiting<'_> {
        let number = self.next.get();
        self.next.set(number + 1);
        Waiting { bell: self, seen, number }
    }
}

/// The future of [`Bell::rung_since`].
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    bell: &'a Bell,
    seen: u64,
    number: u64,
}

impl Future for Waiting<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.bell.rings() != self.seen {
            return Poll::Ready(());
        }
        self.bell.waiting.borrow_mut().insert(self.number, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.bell.waiting.borrow_mut().remove(&self.number);
    }
}
