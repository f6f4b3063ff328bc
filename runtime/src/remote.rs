//! The one `Send + Sync` door into a loop.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use crate::error::RemoteError;
use crate::state::LoopHandle;
use crate::state::inbox::{Inbox, Message, Posted, Refused};

/// Reaches a loop from any thread: posts closures, spawns futures, wakes.
///
/// It keeps neither the loop alive nor its thread. Once the loop is gone it says so, and gives the work back.
///
/// # Ordering
/// What one thread posts runs in the order of posting, in the poll phase, each closure with its own checkpoint.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, RunMode};
/// let lp = EventLoop::new()?;
/// let remote = lp.remote();
/// let work = lp.begin_request(); // keeps the loop alive until the answer is there
/// let thread = std::thread::spawn(move || {
///     remote.post(|lp| println!("on the loop's thread, {} tasks", lp.task_count()))
/// });
/// assert!(thread.join().expect("it does not panic").is_ok());
/// drop(work);
/// lp.run(RunMode::NoWait)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Remote {
    inbox: Arc<Inbox>,
}

impl LoopHandle {
    /// The door into this loop for other threads.
    pub fn remote(&self) -> Remote {
        Remote { inbox: Arc::clone(&self.state.inbox) }
    }
}

impl Remote {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }

    /// Runs `f` on the loop's thread. Does not block.
    ///
    /// # Errors
    /// `Closed` if the loop is gone, `Full` if [`Limits::remote_queue_len_max`](crate::Limits::remote_queue_len_max)
    /// closures wait. `f` is given back.
    pub fn post<F: FnOnce(&LoopHandle) + Send + 'static>(&self, f: F) -> Result<(), RemoteError<F>> {
        self.send(f, |f| Box::new(f))
    }

    /// Makes a future on the loop's thread and spawns it there. So the future need not be `Send`; only `make` must.
    ///
    /// # Errors
    /// As [`post`](Self::post).
    #[track_caller]
    pub fn spawn<M, F>(&self, make: M) -> Result<(), RemoteError<M>>
    where
        M: FnOnce(&LoopHandle) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let site = Location::caller();
        self.send(make, move |make| {
            Box::new(move |lp: &LoopHandle| {
                let future = make(lp);
                lp.spawn_at(future, site).detach();
            })
        })
    }

    fn send<T>(&self, work: T, pack: impl FnOnce(T) -> Posted) -> Result<(), RemoteError<T>> {
        self.inbox.send_call(work, pack).map_err(|(refused, work)| match refused {
            Refused::Closed => RemoteError::Closed(work),
            Refused::Full => RemoteError::Full(work),
        })
    }

    /// Runs `f` however much was posted, for what is bounded by itself. A loop that is gone drops it.
    pub(crate) fn post_at_any_rate(&self, f: impl FnOnce(&LoopHandle) + Send + 'static) {
        let _ = self.inbox.send(Message::Call(Box::new(f))); // a loop that is gone gives it back
    }

    /// Ends the wait that the loop is in, or else its next one, and has it turn once.
    pub fn wake(&self) {
        // A loop that is gone does not wait.
        let _ = self.inbox.send_wake();
    }

    /// True if the loop is gone.
    pub fn is_closed(&self) -> bool {
        self.inbox.is_closed()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("closed", &self.is_closed()).finish()
    }
}
