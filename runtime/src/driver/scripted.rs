//! A driver without an operating system: a test says what becomes ready, and no wait ever blocks.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{Alarm, Event, Readiness, Token};

/// Hands out the events that a test put into its script.
pub(crate) struct Scripted {
    script: Script,
}

/// The test's end of a scripted driver. Behind a lock only because a driver moves to its thread before it runs.
#[derive(Clone, Default)]
pub(crate) struct Script {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Script {
    /// Has `token` reported by the next wait.
    pub(crate) fn push(&self, token: Token, readiness: Readiness) {
        self.events.lock().push(Event { token, readiness });
    }

    /// Puts the events in an order that `below` chooses: it is given an end and gives a number below it.
    pub(crate) fn shuffle(&self, mut below: impl FnMut(usize) -> usize) {
        let mut events = self.events.lock();
        for end in (2..=events.len()).rev() {
            events.swap(end - 1, below(end));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.lock().is_empty()
    }
}

impl Scripted {
    pub(crate) fn new(script: Script) -> Self {
        Self { script }
    }

    pub(crate) fn register(&mut self, _token: Token) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn wait(
        &mut self,
        _timeout: Option<Duration>,
        events: &mut VecDeque<Event>,
    ) -> io::Result<()> {
        events.extend(self.script.events.lock().drain(..));
        Ok(())
    }

    pub(crate) fn alarm(&mut self) -> io::Result<Arc<Alarm>> {
        Ok(Arc::new(Alarm::silent()))
    }
}
