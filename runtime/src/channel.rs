//! Channels between tasks of one loop: without atomics, since both ends are on the loop's thread.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Makes a channel for one value.
///
/// # Ordering
/// A send wakes the receiving task as any wake does: it runs at the checkpoint after the callback that sends, or later in
/// the drain that is under way.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, channel};
/// let lp = EventLoop::new()?;
/// let answer = lp.block_on(async {
///     let (sender, receiver) = channel::oneshot();
///     phaseloop::spawn(async move { sender.send(42) });
///     receiver.await
/// })?;
/// assert_eq!(answer, Ok(42));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(RefCell::new(State::Waiting(None)));
    (Sender { shared: Rc::clone(&shared) }, Receiver { shared })
}

enum State<T> {
    /// Nothing was sent; the receiver's waker, if it waits.
    Waiting(Option<Waker>),
    Sent(T),
    /// One end is gone, or the value was taken.
    Closed,
}

/// Sends the value of a [`oneshot`] channel.
pub struct Sender<T> {
    shared: Rc<RefCell<State<T>>>,
}

/// Awaits the value of a [`oneshot`] channel.
///
/// # Errors
/// The output is [`Unsent`] if the sender was dropped.
///
/// # Cancel safety
/// Dropping the receiver drops a value that was sent. Await `&mut receiver` to keep it.
pub struct Receiver<T> {
    shared: Rc<RefCell<State<T>>>,
}

/// The sender was dropped without sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent;

impl<T> Sender<T> {
    /// Sends `value`.
    ///
    /// # Errors
    /// Gives it back if the receiver is gone.
    pub fn send(self, value: T) -> Result<(), T> {
        let waker = {
            let mut state = self.shared.borrow_mut();
            let State::Waiting(waker) = &mut *state else { return Err(value) };
            let waker = waker.take();
            *state = State::Sent(value);
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// True if the receiver is gone, so that nobody waits for the value.
    pub fn is_closed(&self) -> bool {
        matches!(*self.shared.borrow(), State::Closed)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut state = self.shared.borrow_mut();
            let State::Waiting(waker) = &mut *state else { return };
            let waker = waker.take();
            *state = State::Closed;
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// Takes the value if it was sent.
    pub fn try_receive(&mut self) -> Option<T> {
        let mut state = self.shared.borrow_mut();
        match std::mem::replace(&mut *state, State::Closed) {
            State::Sent(value) => Some(value),
            other => {
                *state = other;
                None
            }
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Unsent>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.borrow_mut();
        match &mut *state {
            State::Waiting(Some(known)) if known.will_wake(cx.waker()) => Poll::Pending,
            State::Waiting(waker) => {
                let old = waker.replace(cx.waker().clone());
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Sent(_) | State::Closed => match std::mem::replace(&mut *state, State::Closed) {
                State::Sent(value) => Poll::Ready(Ok(value)),
                _ => Poll::Ready(Err(Unsent)),
            },
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = self.shared.replace(State::Closed);
        // Dropped here, while nothing is borrowed: the value may own anything.
        drop(left);
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender was dropped without sending")
    }
}

impl Error for Unsent {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("closed", &self.is_closed()).finish()
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::{Unsent, oneshot};
    use crate::EventLoop;

    #[test]
    fn a_value_is_given_back_when_the_receiver_is_gone() {
        let (sender, receiver) = oneshot();
        drop(receiver);
        assert!(sender.is_closed());
        assert_eq!(sender.send(7), Err(7));
    }

    #[test]
    fn a_dropped_sender_ends_the_wait() {
        let lp = EventLoop::new().unwrap();
        let (sender, receiver) = oneshot::<()>();
        lp.next_tick(move |_| drop(sender));
        assert_eq!(lp.block_on(receiver).unwrap(), Err(Unsent));
    }

    #[test]
    fn a_receiver_runs_behind_the_microtasks_that_were_queued_before_the_send() {
        let lp = EventLoop::new().unwrap();
        let log = Rc::new(RefCell::new(Vec::new()));
        let (sender, receiver) = oneshot();
        let received = Rc::clone(&log);
        lp.spawn(async move {
            let value = receiver.await.unwrap();
            received.borrow_mut().push(value);
        });
        let before = Rc::clone(&log);
        lp.queue_microtask(move |lp| {
            let behind = Rc::clone(&before);
            lp.queue_microtask(move |_| behind.borrow_mut().push("microtask"));
            sender.send("received").unwrap();
        });
        lp.block_on(async {}).unwrap();
        assert_eq!(*log.borrow(), ["microtask", "received"]);
    }
}
