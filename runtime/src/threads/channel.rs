//! The queue between two threads, one each way.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::port::Port;
use crate::handle::wakeup::WakeupSender;
use crate::state::LoopHandle;
use crate::task::waiters::Waiters;

/// Makes a channel: two ends, which may go to any thread. What `A` sends the other end receives, and the other way round with `B`. Each
/// way holds at most `len_max` messages that were sent and not taken.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, threads};
/// let lp = EventLoop::new()?;
/// let (ours, theirs) = threads::channel::<u32, String>(8.try_into().expect("not zero"));
/// let thread = std::thread::spawn(move || {
///     let lp = EventLoop::new().expect("there are descriptors");
///     let port = theirs.open(&lp);
///     lp.block_on(async {
///         let number = port.recv().await.expect("the other end sends one");
///         port.send(format!("got {number}")).expect("there is room for one");
///     })
/// });
/// let port = ours.open(&lp);
/// port.send(7).expect("there is room for one");
/// assert_eq!(lp.block_on(port.recv())?.as_deref(), Some("got 7"));
/// # thread.join().expect("it does not panic")?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn channel<A: Send, B: Send>(len_max: NonZeroUsize) -> (PortEnd<A, B>, PortEnd<B, A>) {
    let (there, back) = (Lane::new(len_max.get()), Lane::new(len_max.get()));
    let end = PortEnd { out: Arc::clone(&there), back: Arc::clone(&back) };
    (end, PortEnd { out: back, back: there })
}

/// One end of a [`channel`], on no loop yet. Dropping it closes the channel.
pub struct PortEnd<S, R> {
    pub(super) out: Arc<Lane<S>>,
    pub(super) back: Arc<Lane<R>>,
}

impl<S: Send + 'static, R: Send + 'static> PortEnd<S, R> {
    /// Makes it a port of the loop, which runs on this thread.
    #[track_caller]
    pub fn open(self, lp: &LoopHandle) -> Port<S, R> {
        Port::open(lp, self)
    }
}

impl<S, R> Drop for PortEnd<S, R> {
    fn drop(&mut self) {
        self.out.close();
        self.back.abandon();
    }
}

impl<S, R> fmt::Debug for PortEnd<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortEnd")
    }
}

/// Why a port did not take a message. It is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortError<T> {
    /// One of the ends is gone.
    Closed(T),
    /// As many messages as this wait already.
    Full(T, usize),
}

impl<T> PortError<T> {
    /// What was sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(message) | Self::Full(message, _) => message,
        }
    }
}

impl<T> fmt::Debug for PortError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("Closed(..)"),
            Self::Full(_, limit) => write!(f, "Full(.., {limit})"),
        }
    }
}

impl<T> fmt::Display for PortError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the port is closed, or its peer"),
            Self::Full(_, limit) => write!(f, "{limit} messages wait already, which is the limit"),
        }
    }
}

impl<T> Error for PortError<T> {}

/// One way of a channel.
pub(super) struct Lane<T> {
    queue: Mutex<Queue<T>>,
    len_max: usize,
}

struct Queue<T> {
    messages: VecDeque<T>,
    /// Either end is gone: nothing is taken any more.
    closed: bool,
    /// Tasks that wait to receive, or to send. Wakers go over threads by themselves.
    readers: Waiters,
    writers: Waiters,
    /// Has the receiver's callback look.
    bell: Option<WakeupSender>,
}

impl<T> Lane<T> {
    fn new(len_max: usize) -> Arc<Self> {
        let queue = Queue {
            messages: VecDeque::new(),
            closed: false,
            readers: Waiters::default(),
            writers: Waiters::default(),
            bell: None,
        };
        Arc::new(Self { queue: Mutex::new(queue), len_max })
    }

    pub(super) fn send(&self, message: T) -> Result<(), PortError<T>> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(PortError::Closed(message));
        }
        if queue.messages.len() >= self.len_max {
            return Err(PortError::Full(message, self.len_max));
        }
        queue.messages.push_back(message);
        let (readers, bell) = (queue.readers.take(), queue.bell.clone());
        drop(queue);
        wake(readers, bell);
        Ok(())
    }

    /// Ready once there is room. `turn` is that of the loop which sends.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>, turn: u64) -> Poll<()> {
        let mut queue = self.queue.lock();
        if queue.closed || queue.messages.len() < self.len_max {
            return Poll::Ready(());
        }
        let asked = queue.writers.join(cx.waker(), turn);
        drop(queue);
        wake(asked, None);
        Poll::Pending
    }

    /// The next message; `None` if none is there.
    pub(super) fn take(&self) -> Option<T> {
        let mut queue = self.queue.lock();
        let message = queue.messages.pop_front()?;
        let writers = queue.writers.take();
        drop(queue);
        wake(writers, None);
        Some(message)
    }

    /// As `take`, and waits. `turn` is that of the loop which receives.
    pub(super) fn poll_take(&self, cx: &mut Context<'_>, turn: u64) -> Poll<Option<T>> {
        let mut queue = self.queue.lock();
        match queue.messages.pop_front() {
            None if !queue.closed => {
                let asked = queue.readers.join(cx.waker(), turn);
                drop(queue);
                wake(asked, None);
                Poll::Pending
            }
            message => {
                let writers = queue.writers.take();
                drop(queue);
                wake(writers, None);
                Poll::Ready(message)
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.lock().messages.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.queue.lock().closed
    }

    /// Has `bell` rung for each message from now on, and at once if something is there.
    pub(super) fn hang(&self, bell: WakeupSender) {
        let mut queue = self.queue.lock();
        let rings = queue.closed || !queue.messages.is_empty();
        queue.bell = Some(bell.clone());
        drop(queue);
        wake([], rings.then_some(bell));
    }

    /// Ends the lane. What was sent can still be taken.
    pub(super) fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let wakers = queue.readers.take().chain(queue.writers.take());
        let bell = queue.bell.clone();
        drop(queue);
        wake(wakers, bell);
    }

    /// Ends the lane as its receiver: nobody will take what is left.
    pub(super) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut self.queue.lock().messages);
        drop(left); // without the lock: a message may own anything
    }
}

/// Without the lock: a waker may do anything.
fn wake(wakers: impl IntoIterator<Item = Waker>, bell: Option<WakeupSender>) {
    wakers.into_iter().for_each(Waker::wake);
    if let Some(bell) = bell {
        // A loop that is gone has closed its port, or is about to.
        let _ = bell.send();
    }
}
