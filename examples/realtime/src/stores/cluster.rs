//! Words between the workers of one primary, which passes them on.

use std::cell::RefCell;
use std::rc::Rc;

use phaseloop_server::cluster::{Event, Primary, Worker};
use serde::{Deserialize, Serialize};

use super::{Hub, Later};
use crate::refusal::Refusal;

/// A word, on its way to all workers.
#[derive(Debug, Serialize, Deserialize)]
struct Word {
    news: String,
}

type Listener = (&'static str, Rc<dyn Fn()>);

/// The worker's end.
pub(crate) struct ClusterHub {
    worker: Worker,
    listeners: Rc<RefCell<Vec<Listener>>>,
}

impl ClusterHub {
    pub(crate) fn new(worker: &Worker) -> Self {
        let listeners: Rc<RefCell<Vec<Listener>>> = Rc::default();
        let heard = Rc::clone(&listeners);
        worker.on_message(move |_, message| {
            // What is no word is from a primary of another version: what it tells of is looked for now and then anyway.
            let Ok(word) = message.parse::<Word>() else { return };
            call(&heard, &word.news);
        });
        Self { worker: worker.clone(), listeners }
    }
}

impl Hub for ClusterHub {
    fn kind(&self) -> &'static str {
        "cluster"
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn tell(&self, topic: &'static str) {
        call(&self.listeners, topic);
        // A primary that is gone or too busy passes nothing on; the others look by themselves.
        let _ = self.worker.send(&Word { news: topic.to_owned() });
    }

    fn listen(&self, topic: &'static str, on_news: Box<dyn Fn()>) {
        self.listeners.borrow_mut().push((topic, on_news.into()));
    }
}

fn call(listeners: &RefCell<Vec<Listener>>, topic: &str) {
    let concerned: Vec<_> = listeners
        .borrow()
        .iter()
        .filter(|(name, _)| *name == topic)
        .map(|(_, call)| Rc::clone(call))
        .collect();
    concerned.iter().for_each(|call| call());
}

/// The primary's end: what one worker says all others hear.
pub(crate) fn pass_on(primary: &Primary, event: &Event) {
    let Event::Message { worker, message } = event else { return };
    let Ok(word) = message.parse::<Word>() else { return };
    for other in primary.workers().iter().filter(|other| other.id != *worker) {
        // As above.
        let _ = primary.send(other.id, &word);
    }
}
