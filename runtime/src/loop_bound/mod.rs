//! Values of one loop, for libraries that ask for `Send` without using it.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use crate::state::LoopHandle;
use crate::state::inbox::{Inbox, Message};

mod sys;

use sys::Homed;

/// Makes a value of the loop's thread `Send + Sync`: it can be touched on that thread only, and is always dropped there.
///
/// Some libraries ask for `Send` values and never leave the thread, such as timers given to hyper. This is the one
/// answer to them. An access compares a thread's number; it costs neither a lock nor an atomic operation.
///
/// It is a future, a reader or a writer if the value is one.
///
/// # Ordering
/// Dropped on another thread, the value goes home: it is dropped in the loop's poll phase, with a checkpoint of its own.
/// If the loop is gone by then it is leaked, since there is no place left where dropping it would be right. What is on its way
/// home does not keep the loop alive.
///
/// # Examples
/// ```
/// use std::rc::Rc;
/// use phaseloop::{EventLoop, LoopBound, RunMode};
///
/// let lp = EventLoop::new()?;
/// let shared = Rc::new(7);
/// let bound = LoopBound::new(&lp, Rc::clone(&shared));
/// assert_eq!(**bound.get(), 7);
///
/// let thread = std::thread::spawn(move || bound.try_get().is_none()); // and drops it
/// assert!(thread.join().expect("it does not panic"));
/// lp.set_immediate(|_| {}); // something to run for
/// lp.run(RunMode::Default)?;
/// assert_eq!(Rc::strong_count(&shared), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct LoopBound<T: 'static> {
    /// `None` only once it was taken out or is being dropped.
    value: Option<Homed<Bound<T>>>,
    inbox: Arc<Inbox>,
}

/// The value, with its loop. In this order: a value that is dropped finds its loop's state.
struct Bound<T> {
    value: T,
    lp: LoopHandle,
}

impl<T> Bound<T> {
    /// Whoever runs in the loop's host and touches the value may give the loop something to do.
    fn value(&self) -> &T {
        self.lp.unpark();
        &self.value
    }

    fn value_mut(&mut self) -> &mut T {
        self.lp.unpark();
        &mut self.value
    }
}

impl<T: 'static> LoopBound<T> {
    /// Binds `value` to this thread and its loop.
    pub fn new(lp: &LoopHandle, value: T) -> Self {
        let bound = Bound { value, lp: lp.clone() };
        Self { value: Some(Homed::new(bound)), inbox: Arc::clone(&lp.state.inbox) }
    }

    /// True on the loop's thread, where the value can be touched.
    pub fn is_home(&self) -> bool {
        self.value.as_ref().is_some_and(Homed::is_home)
    }

    /// The value.
    ///
    /// # Panics
    /// On another thread.
    #[track_caller]
    pub fn get(&self) -> &T {
        self.try_get().unwrap_or_else(|| foreign())
    }

    /// The value.
    ///
    /// # Panics
    /// On another thread.
    #[track_caller]
    pub fn get_mut(&mut self) -> &mut T {
        self.try_get_mut().unwrap_or_else(|| foreign())
    }

    /// The value, or `None` on another thread.
    pub fn try_get(&self) -> Option<&T> {
        self.value.as_ref().and_then(Homed::get).map(Bound::value)
    }

    /// The value, or `None` on another thread.
    pub fn try_get_mut(&mut self) -> Option<&mut T> {
        self.value.as_mut().and_then(Homed::get_mut).map(Bound::value_mut)
    }

    /// Takes the value out.
    ///
    /// # Errors
    /// Itself, on another thread.
    pub fn into_inner(mut self) -> Result<T, Self> {
        match self.value.take().map(Homed::into_inner) {
            Some(Ok(bound)) => {
                bound.lp.unpark();
                Ok(bound.value)
            }
            Some(Err(value)) => {
                self.value = Some(value);
                Err(self)
            }
            None => unreachable!("the value is there until it is taken out or dropped"),
        }
    }
}

impl<T: 'static> Drop for LoopBound<T> {
    fn drop(&mut self) {
        match self.value.take() {
            Some(value) if !value.is_home() => {
                // A loop that is gone takes nothing: the message comes back, and what it carries leaks.
                let _ = self.inbox.send(Message::Returned(Box::new(value)));
            }
            Some(value) => {
                // Here, in the loop's host perhaps.
                if let Some(bound) = value.get() {
                    bound.lp.unpark();
                }
            }
            None => {}
        }
    }
}

#[cold]
#[track_caller]
fn foreign() -> ! {
    panic!("this value is bound to the thread of another loop: touch it there, by `Remote::post`")
}

impl<F: Future + Unpin + 'static> Future for LoopBound<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(LoopBound::get_mut(&mut self)).poll(cx)
    }
}

impl<S: AsyncRead + Unpin + 'static> AsyncRead for LoopBound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_read_vectored(cx, bufs)
    }
}

impl<S: AsyncWrite + Unpin + 'static> AsyncWrite for LoopBound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_close(cx)
    }
}

impl<T: fmt::Debug + 'static> fmt::Debug for LoopBound<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_get() {
            Some(value) => f.debug_tuple("LoopBound").field(value).finish(),
            None => f.write_str("LoopBound(of another thread)"),
        }
    }
}
