//! The place where the completions of one submitter arrive. See README.md, "The way back".

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::guard::call_quietly;
use super::sync::{Condvar, Mutex};
use super::{Completed, Outcome};

pub(crate) type Bell = Arc<dyn Fn() + Send + Sync>;

/// Completions of one submitter, in the order in which the jobs ended, and the bell that says they are there.
///
/// The alignment keeps the reference count, which the submitter's thread changes for each job, off the cache line
/// that the workers lock.
#[repr(align(128))]
pub(crate) struct Port {
    inbox: Mutex<Inbox>,
    arrived: Condvar,
}

struct Inbox {
    done: Vec<Completed>,
    /// `None` once the submitter is gone: what arrives later goes back to who brings it.
    bell: Option<Bell>,
    /// INVARIANT rung: set with the first completion after a take and cleared by the next take. While it is set the
    /// submitter has been told and will look, so the bell rings once a batch.
    rung: bool,
    /// Threads blocked in `wait`: zero or one.
    waiting: bool,
}

impl Port {
    pub(crate) fn new(bell: Bell) -> Self {
        let inbox = Inbox { done: Vec::new(), bell: Some(bell), rung: false, waiting: false };
        Self { inbox: Mutex::new(inbox), arrived: Condvar::new() }
    }

    /// Delivers one completion. If the submitter is gone it is given back: dropping it is the user's code.
    pub(crate) fn push(&self, completed: Completed) -> Pushed {
        let mut inbox = self.inbox.lock();
        if inbox.bell.is_none() {
            return Pushed::Gone(completed);
        }
        inbox.done.push(completed);
        if self.announce(inbox) { Pushed::Rang } else { Pushed::Quietly }
    }

    /// Delivers several completions with one append. They stay in `batch` if the submitter is gone.
    pub(crate) fn append(&self, batch: &mut Vec<Completed>) {
        if batch.is_empty() {
            return;
        }
        let mut inbox = self.inbox.lock();
        if inbox.bell.is_some() {
            inbox.done.append(batch);
            self.announce(inbox);
        }
    }

    /// Rings the bell though nothing arrived: there is room in a class, or the pool closes.
    pub(crate) fn ring(&self) {
        self.announce(self.inbox.lock());
    }

    fn announce(&self, mut inbox: super::sync::MutexGuard<'_, Inbox>) -> bool {
        if inbox.rung {
            return false;
        }
        inbox.rung = true;
        if inbox.waiting {
            self.arrived.notify_one();
        }
        let bell = inbox.bell.clone();
        drop(inbox); // the bell is the user's code
        if let Some(bell) = bell {
            call_quietly(move || bell()); // and drops it, should the submitter be gone meanwhile
        }
        true
    }

    /// Moves what has arrived to the end of `into`.
    pub(crate) fn take(&self, into: &mut Vec<Completed>) {
        let mut inbox = self.inbox.lock();
        inbox.take(into);
    }

    /// Waits until the bell has been rung since the last take, then takes. False if the deadline came first.
    pub(crate) fn wait(&self, into: &mut Vec<Completed>, deadline: Option<Instant>) -> bool {
        let mut inbox = self.inbox.lock();
        inbox.waiting = true;
        while !inbox.rung {
            match deadline {
                None => self.arrived.wait(&mut inbox),
                Some(deadline) => {
                    if self.arrived.wait_until(&mut inbox, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        inbox.waiting = false;
        let rung = inbox.rung;
        inbox.take(into);
        rung
    }

    /// The submitter is gone: drops what has arrived, and the bell. Later completions are given back to who brings them.
    pub(crate) fn close(&self) {
        let mut inbox = self.inbox.lock();
        let bell = inbox.bell.take();
        // A completion owns its job, which refers to this port: emptying the inbox is what breaks the circle.
        let done = std::mem::take(&mut inbox.done);
        drop(inbox);
        drop(done);
        drop(bell);
    }
}

impl Inbox {
    fn take(&mut self, into: &mut Vec<Completed>) {
        self.rung = false;
        if into.is_empty() {
            std::mem::swap(&mut self.done, into); // the two buffers change places, so neither is allocated again
        } else {
            into.append(&mut self.done);
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").finish_non_exhaustive()
    }
}

/// What became of a delivery.
pub(crate) enum Pushed {
    /// The submitter had been told of earlier ones.
    Quietly,
    /// The bell was rung, which takes its time.
    Rang,
    /// There is no submitter any more.
    Gone(Completed),
}

/// Has a job that never ran let go of what it holds, and delivers it. That is the user's code: no lock may be held.
pub(crate) fn deliver_cancelled(mut job: super::Job) {
    call_quietly(|| job.cancelled());
    let port = job.header().port.clone();
    let completed = Completed::new(job, Outcome::Cancelled);
    if let Some(port) = port {
        port.push(completed);
    }
}
