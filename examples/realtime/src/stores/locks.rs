//! Locks by name, each for a while, so that one who dies holds none for ever.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Later;
use crate::refusal::Refusal;

/// Gives locks.
pub(crate) trait Locks {
    /// The lock of this name for up to `ttl`; none while somebody else holds it.
    fn try_lock<'a>(&'a self, name: &'a str, ttl: Duration) -> Later<'a, Result<Option<Lock>, Refusal>>;
}

/// A lock. Dropping it gives it back, if it is still ours.
pub(crate) struct Lock(Option<Box<dyn FnOnce()>>);

impl Lock {
    pub(crate) fn new(release: impl FnOnce() + 'static) -> Self {
        Self(Some(Box::new(release)))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

/// Locks among the requests of one process.
#[derive(Clone, Default)]
pub(crate) struct LocalLocks {
    held: Rc<RefCell<HashMap<String, (u64, Instant)>>>,
    next: Rc<Cell<u64>>,
}

impl Locks for LocalLocks {
    fn try_lock<'a>(&'a self, name: &'a str, ttl: Duration) -> Later<'a, Result<Option<Lock>, Refusal>> {
        Box::pin(async move {
            let now = phaseloop::current().now();
            let mut held = self.held.borrow_mut();
            if held.get(name).is_some_and(|(_, until)| *until > now) {
                return Ok(None);
            }
            let token = self.next.get();
            self.next.set(token + 1);
            held.insert(name.to_owned(), (token, now + ttl));
            let (all, name) = (Rc::clone(&self.held), name.to_owned());
            Ok(Some(Lock::new(move || {
                let mut held = all.borrow_mut();
                if held.get(&name).is_some_and(|(holder, _)| *holder == token) {
                    held.remove(&name);
                }
            })))
        })
    }
}
