//! Ports: typed completions from other threads, in batches.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;

use super::delivery;
use crate::error::RemoteError;
use crate::handle::wakeup::Signal;
use crate::state::LoopHandle;
use crate::state::handles::HandleKey;

/// Takes completions from other threads and hands each to one callback on the loop's thread.
///
/// A port is active but unreferenced: what keeps the loop alive are the [`Request`](super::Request)s of those who wait.
///
/// # Ordering
/// Completions are delivered in the order of sending, in the poll phase (or where [`Schedule::completions`] says), each
/// with its own checkpoint. A batch wakes the loop once. None is delivered once the port is closed. If a callback
/// panics and the panic leaves `run`, the next run delivers the rest. Source: SEMANTICS W2, M4.
///
/// [`Schedule::completions`]: crate::Schedule::completions
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, RunMode, request::Port};
/// let lp = EventLoop::new()?;
/// let port = Port::new(&lp, |_lp, squared: u64| println!("{squared}"));
/// let (sender, work) = (port.sender(), lp.begin_request());
/// let thread = std::thread::spawn(move || sender.send_batch(&mut vec![1, 4, 9]));
/// assert!(thread.join().expect("it does not panic").is_ok());
/// drop(work);
/// lp.run(RunMode::NoWait)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Port<T> {
    lp: LoopHandle,
    key: HandleKey,
    inbox: Arc<Mutex<Arrived<T>>>,
}

impl<T: Send + 'static> Port<T> {
    /// Opens a port.
    #[track_caller]
    pub fn new(lp: &LoopHandle, on_completion: impl FnMut(&LoopHandle, T) + 'static) -> Self {
        let inbox = Arc::new(Mutex::new(Arrived { completions: Vec::new(), closed: false }));
        let receiver = Receiver(Arc::clone(&inbox));
        let pull = Box::new(move |into: &mut Vec<T>| receiver.take(into));
        let key = delivery::open(lp, pull, Box::new(on_completion), Location::caller());
        Self { lp: lp.clone(), key, inbox }
    }

    /// The end that other threads use.
    pub fn sender(&self) -> PortSender<T> {
        PortSender { signal: self.lp.signal(self.key), inbox: Arc::clone(&self.inbox) }
    }
}

crate::handle::walk::handle_methods!([T] Port<T>);

impl<T> fmt::Debug for Port<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("active", &self.is_active()).finish()
    }
}

/// What was sent and not yet taken.
struct Arrived<T> {
    completions: Vec<T>,
    /// The port is gone, or its loop: whatever is sent is given back.
    closed: bool,
}

/// Sends completions to a [`Port`], from any thread.
pub struct PortSender<T> {
    signal: Signal,
    inbox: Arc<Mutex<Arrived<T>>>,
}

impl<T: Send + 'static> PortSender<T> {
    /// Sends one completion.
    ///
    /// # Errors
    /// `Closed` if the port was closed or the loop is gone; the completion is given back.
    pub fn send(&self, completion: T) -> Result<(), RemoteError<T>> {
        {
            let mut arrived = self.inbox.lock();
            if arrived.closed {
                return Err(RemoteError::Closed(completion));
            }
            arrived.completions.push(completion);
        }
        self.signal();
        Ok(())
    }

    /// Sends all of `batch` with one wake, and leaves it empty.
    ///
    /// # Errors
    /// `Closed` if the port was closed or the loop is gone; `batch` is then as it was.
    pub fn send_batch(&self, batch: &mut Vec<T>) -> Result<(), RemoteError<()>> {
        {
            let mut arrived = self.inbox.lock();
            if arrived.closed {
                return Err(RemoteError::Closed(()));
            }
            arrived.completions.append(batch);
        }
        self.signal();
        Ok(())
    }

    /// Has the loop look, if it is not about to.
    fn signal(&self) {
        // A loop that goes at this very moment drops what arrived.
        let _ = self.signal.send();
    }
}

impl<T> Clone for PortSender<T> {
    fn clone(&self) -> Self {
        Self { signal: self.signal.clone(), inbox: Arc::clone(&self.inbox) }
    }
}

impl<T> fmt::Debug for PortSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PortSender")
    }
}

/// The loop's end of the inbox: closes it when the loop lets go of the port.
struct Receiver<T>(Arc<Mutex<Arrived<T>>>);

impl<T> Receiver<T> {
    fn take(&self, into: &mut Vec<T>) {
        std::mem::swap(into, &mut self.0.lock().completions);
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut arrived = self.0.lock();
        arrived.closed = true;
        let undelivered = std::mem::take(&mut arrived.completions);
        // Dropped once nobody is locked out by it.
        drop(arrived);
        drop(undelivered);
    }
}
