//! Word to other workers, and from them: that there is something new. What is new stands in the database.

use std::cell::RefCell;
use std::rc::Rc;

use super::Later;
use crate::refusal::Refusal;

/// Passes words around. One that is lost costs time, nothing else: everybody looks by themselves now and then.
pub(crate) trait Hub {
    fn kind(&self) -> &'static str;

    fn check(&self) -> Later<'_, Result<(), Refusal>>;

    /// Tells everybody, this worker included, that `topic` has something new.
    fn tell(&self, topic: &'static str);

    /// Calls `on_news` whenever somebody tells of `topic`.
    fn listen(&self, topic: &'static str, on_news: Box<dyn Fn()>);
}

/// The topic of what was said in rooms of the chat and not heard by all: there is nothing to wait for, but what was missed can be read.
pub(crate) const ROOMS: &str = "rooms";

type Listener = (&'static str, Rc<dyn Fn()>);

/// Among the parts of one process.
#[derive(Default)]
pub(crate) struct LocalHub {
    listeners: RefCell<Vec<Listener>>,
}

impl Hub for LocalHub {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn tell(&self, topic: &'static str) {
        self.call(topic);
    }

    fn listen(&self, topic: &'static str, on_news: Box<dyn Fn()>) {
        self.listeners.borrow_mut().push((topic, on_news.into()));
    }
}

impl LocalHub {
    /// Calls those who listen here.
    pub(super) fn call(&self, topic: &str) {
        let concerned: Vec<_> = self
            .listeners
            .borrow()
            .iter()
            .filter(|(name, _)| *name == topic)
            .map(|(_, call)| call.clone())
            .collect();
        concerned.iter().for_each(|call| call());
    }
}
