//! How a loop sleeps: by itself in its driver, or in somebody else's loop.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How a loop sleeps in the poll phase. The default, without a parker, is to wait in the driver.
///
/// A parker nests the loop in a host on the same thread: while the loop has nothing to run, the host runs, and does so
/// from inside [`park`](Self::park). The loop asks the driver itself, without waiting, once `park` is back.
///
/// With the feature `tokio-host` comes one that sleeps in a tokio runtime, so that tokio's libraries work on the loop.
///
/// # Ordering
/// `park` is called once in every poll phase, also in those that do not wait: then with a timeout of zero, so that the
/// host gets a slice of each turn and neither side starves the other. Tasks that the host's code woke run at a checkpoint
/// right after `park`, before what the driver reports.
///
/// # Examples
/// One that waits with `poll(2)`, as a host would that has descriptors of its own:
///
/// ```
/// use std::io;
/// use std::os::fd::OwnedFd;
/// use std::time::Duration;
/// use phaseloop::{EventLoop, Parker, RunMode};
/// use rustix::event::{PollFd, PollFlags, Timespec, poll};
///
/// #[derive(Default)]
/// struct PollParker {
///     fd: Option<OwnedFd>,
/// }
///
/// impl Parker for PollParker {
///     fn attach(&mut self, fd: OwnedFd) -> io::Result<()> {
///         self.fd = Some(fd);
///         Ok(())
///     }
///
///     fn park(&self, timeout: Option<Duration>) -> io::Result<bool> {
///         let fd = self.fd.as_ref().expect("it is attached before the first park");
///         let timeout = timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
///         Ok(poll(&mut [PollFd::new(fd, PollFlags::IN)], timeout.as_ref())? > 0)
///     }
///
///     fn unpark(&self) {} // nobody runs anything while it waits
/// }
///
/// let lp = EventLoop::builder().parker(PollParker::default()).build()?;
/// lp.set_timeout(Duration::from_millis(1), |_| println!("the host slept a millisecond"));
/// lp.run(RunMode::Default)?;
/// # Ok::<(), io::Error>(())
/// ```
pub trait Parker {
    /// Gives the parker the loop's descriptor, before the first park, and again in a forked child. It is readable while
    /// the loop has I/O or messages from other threads to take.
    ///
    /// # Errors
    /// What hinders the parker, such as its host's: the loop is then not built.
    fn attach(&mut self, fd: OwnedFd) -> io::Result<()>;

    /// Waits until the loop's descriptor is readable, [`unpark`](Self::unpark) is called or `timeout` is over; `None` is
    /// for ever, zero only gives the host its slice. It may come back early, for no reason.
    ///
    /// Gives false only if the descriptor is surely not readable, which spares the loop a system call. A parker that
    /// learns of the descriptor by edges tells of each edge once: what the loop leaves there it takes up by itself.
    ///
    /// # Errors
    /// What the host's wait returned; it leaves the loop's `run`.
    fn park(&self, timeout: Option<Duration>) -> io::Result<bool>;

    /// Ends the park under way, or else the next one. Called on the loop's thread only, by what the host runs in `park`: it
    /// gave the loop something to run. Other threads make the descriptor readable instead.
    fn unpark(&self);

    /// Calls `run`, once, within the context that the host's libraries look for. A run of the loop goes through it, and so
    /// does dropping the loop.
    fn around(&self, run: &mut dyn FnMut()) {
        run();
    }
}
