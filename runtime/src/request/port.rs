//! Ports: typed completions from other threads, in batches.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::RemoteError;
use crate::handle::wakeup::Signal;
use crate::schedule::Phase;
use crate::state::LoopHandle;
use crate::state::handles::{HandleKey, HandleKind};
use crate::state::inbox::Message;
use crate::task::queue::Queue;

/// Takes completions from other threads and hands each to one callback on the loop's thread.
///
/// A port is active but unreferenced: what keeps the loop alive are the [`Request`](super::Request)s of those who wait.
///
/// # Ordering
/// Completions are delivered in the order of sending, in the poll phase (or where [`Schedule::completions`] says), each
/// with its own checkpoint. A batch wakes the loop once. None is delivered once the port is closed. Source: SEMANTICS W2, M4.
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
        let key = lp.open_signalled(HandleKind::Port, Location::caller());
        lp.update_flags(key, |flags| flags.referenced = false);
        let inbox = Arc::new(Mutex::new(Arrived { completions: Vec::new(), closed: false }));
        let delivery = Rc::new(Delivery {
            key,
            inbox: Arc::clone(&inbox),
            taken: RefCell::default(),
            batch: Queue::new(),
            on_completion: RefCell::new(Box::new(on_completion)),
        });
        let callback = Box::new(move |lp: &LoopHandle| deliver_in_phase(lp, &delivery));
        // It cannot fail: the handle was opened above.
        let _ = lp.update_open(key, |handle| handle.callback = Some(callback));
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

/// The loop's end of a port.
struct Delivery<T> {
    key: HandleKey,
    inbox: Arc<Mutex<Arrived<T>>>,
    /// What the inbox is swapped into: kept for its memory.
    taken: RefCell<Vec<T>>,
    /// Taken and not yet delivered: more than nothing only while a callback runs, or after one panicked.
    batch: Queue<T>,
    on_completion: RefCell<OnCompletion<T>>,
}

type OnCompletion<T> = Box<dyn FnMut(&LoopHandle, T)>;

/// Delivers now, or has the pending phase do it.
fn deliver_in_phase<T: 'static>(lp: &LoopHandle, delivery: &Rc<Delivery<T>>) {
    delivery.take();
    if lp.state.schedule.completions == Phase::Pending {
        let delivery = Rc::clone(delivery);
        lp.defer(move |lp| delivery.run(lp));
    } else {
        delivery.run(lp);
    }
}

impl<T> Delivery<T> {
    fn take(&self) {
        let mut taken = self.taken.borrow_mut();
        std::mem::swap(&mut *taken, &mut self.inbox.lock().completions);
        self.batch.extend(taken.drain(..));
    }

    fn run(&self, lp: &LoopHandle) {
        let left = LeftByPanic { lp, key: self.key };
        while let Some(completion) = self.batch.pop() {
            // A completion may close the port, and so may the checkpoint behind it: what is left is dropped.
            if lp.flags_of(self.key).is_none_or(|flags| flags.closing) {
                drop(completion);
                drop(self.batch.take_all());
                break;
            }
            lp.call(|lp| (self.on_completion.borrow_mut())(lp, completion));
        }
        std::mem::forget(left);
    }
}

/// Signals a port whose callback panicked: the senders of what is left have done so already.
struct LeftByPanic<'a> {
    lp: &'a LoopHandle,
    key: HandleKey,
}

impl Drop for LeftByPanic<'_> {
    fn drop(&mut self) {
        self.lp.state.arrived.push(Message::Signal(self.key));
    }
}

impl<T> Drop for Delivery<T> {
    fn drop(&mut self) {
        let mut arrived = self.inbox.lock();
        arrived.closed = true;
        let undelivered = std::mem::take(&mut arrived.completions);
        // Dropped once nobody is locked out by it.
        drop(arrived);
        drop(undelivered);
    }
}
