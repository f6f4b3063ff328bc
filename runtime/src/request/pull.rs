//! Pull ports: completions that wait elsewhere until the loop fetches them.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::panic::Location;

use super::delivery;
use crate::handle::wakeup::Signal;
use crate::state::LoopHandle;
use crate::state::handles::HandleKey;

/// Fetches completions when a bell rings, and hands each to one callback on the loop's thread.
///
/// For a pool that keeps an inbox of its own and rings once a batch: nothing is copied under a second lock, as a
/// [`Port`](super::Port) would do. Active but unreferenced, like a port: what keeps the loop alive are the
/// [`Request`](super::Request)s.
///
/// # Ordering
/// Completions are delivered in the order in which they were pulled, in the poll phase (or where
/// [`Schedule::completions`](crate::Schedule::completions) says), each with its own checkpoint. If a callback panics and
/// the panic leaves `run`, the next run delivers the rest. Source: SEMANTICS W2, M4.
///
/// # Examples
/// ```
/// # use std::sync::{Arc, Mutex};
/// # use phaseloop::{EventLoop, RunMode, request::PullPort};
/// let lp = EventLoop::new()?;
/// let inbox = Arc::new(Mutex::new(Vec::new()));
/// let theirs = Arc::clone(&inbox);
/// let port = PullPort::new(
///     &lp,
///     move |into| into.append(&mut inbox.lock().expect("nobody panics with it")),
///     |_lp, squared: u64| println!("{squared}"),
/// );
/// let (bell, work) = (port.bell(), lp.begin_request());
/// let thread = std::thread::spawn(move || {
///     theirs.lock().expect("nobody panics with it").extend([1, 4, 9]);
///     bell.ring();
/// });
/// thread.join().expect("it does not panic");
/// drop(work);
/// lp.run(RunMode::NoWait)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct PullPort {
    lp: LoopHandle,
    key: HandleKey,
}

impl PullPort {
    /// Opens a port.
    ///
    /// `pull` moves what has arrived to the end of the list, which is empty. It runs on the loop's thread after the bell
    /// rang, once or more, and outside of any callback: it must not block or panic.
    #[track_caller]
    pub fn new<T: 'static>(
        lp: &LoopHandle,
        pull: impl FnMut(&mut Vec<T>) + 'static,
        on_completion: impl FnMut(&LoopHandle, T) + 'static,
    ) -> Self {
        let key = delivery::open(lp, Box::new(pull), Box::new(on_completion), Location::caller());
        Self { lp: lp.clone(), key }
    }

    /// As [`new`](Self::new), and pulls too whenever `io` becomes readable: for completions that the kernel leaves there.
    ///
    /// The port keeps `io` until it is closed. The driver reports edges: `pull` must take all that has arrived, or ring the
    /// bell for the rest.
    ///
    /// # Ordering
    /// As of a port; completions of one pull stand where the driver reports the descriptor among the sources.
    ///
    /// # Errors
    /// The system's, if the descriptor can not be waited for. `NotConnected` if the loop is gone.
    #[track_caller]
    pub fn fed_by<T: 'static>(
        lp: &LoopHandle,
        io: impl AsFd + 'static,
        pull: impl FnMut(&mut Vec<T>) + 'static,
        on_completion: impl FnMut(&LoopHandle, T) + 'static,
    ) -> io::Result<Self> {
        let (pull, on_completion) = (Box::new(pull), Box::new(on_completion));
        let key = delivery::open_fed(lp, Box::new(io), pull, on_completion, Location::caller())?;
        Ok(Self { lp: lp.clone(), key })
    }

    /// The end that other threads use.
    pub fn bell(&self) -> PortBell {
        PortBell(self.lp.signal(self.key))
    }
}

crate::handle::walk::handle_methods!([] PullPort);

impl fmt::Debug for PullPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullPort").field("active", &self.is_active()).finish()
    }
}

/// Has a [`PullPort`] fetch its completions, from any thread.
#[derive(Clone)]
pub struct PortBell(Signal);

impl PortBell {
    /// Has the port pull, at least once from now on. Rings coalesce, and never block for longer than a short lock.
    ///
    /// A port that was closed, or whose loop is gone, hears nothing.
    pub fn ring(&self) {
        // What waits to be pulled belongs to whoever rings: nothing is lost here if nobody comes.
        let _ = self.0.send();
    }
}

impl fmt::Debug for PortBell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortBell")
    }
}
