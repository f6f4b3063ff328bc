//! A driver without an operating system: a test says what becomes ready, and no wait ever blocks.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::{Alarm, Event, Readiness, Token};

/// Hands out the events that a test put into its script.
pub(crate) struct Scripted {
    script: Script,
}

/// The test's end of a scripted driver.
#[derive(Clone, Default)]
pub(crate) struct Script {
    events: Rc<RefCell<Vec<Event>>>,
}

impl Script {
    /// Has `token` reported by the next wait.
    pub(crate) fn push(&self, token: Token, readiness: Readiness) {
        self.events.borrow_mut().push(Event { token, readiness });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.borrow().is_empty()
    }
}

impl Scripted {
    pub(crate) fn new(script: Script) -> Self {
        Self { script }
    }

    pub(crate) fn register(&mut self, _token: Token) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn wait(&mut self, _timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.append(&mut self.script.events.borrow_mut());
        Ok(())
    }

    pub(crate) fn alarm(&mut self) -> io::Result<Arc<Alarm>> {
        Ok(Arc::new(Alarm::silent()))
    }
}
