//! What other servers were asked, and have answered.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use phaseloop::channel::{Receiver, Sender, oneshot};

use crate::socketio::args::Args;

/// A request and its answers so far.
#[derive(Default)]
pub(super) struct Gathered {
    /// Other servers that were asked, once that is known.
    pub(super) servers: Option<usize>,
    /// Those that have answered; of an event with acknowledgements, that have said how many clients they asked.
    pub(super) answered: usize,
    /// Clients that other servers have asked.
    pub(super) clients: usize,
    pub(super) items: Vec<Args>,
    /// Bytes of the messages that brought them.
    len: usize,
    /// Why it ended before all had answered.
    pub(super) why: Option<String>,
}

struct Pending {
    waits_for_clients: bool,
    gathered: Gathered,
    done: Option<Sender<()>>,
}

/// An answer.
pub(super) enum Answer {
    /// A server's, of any number of items.
    Server(Vec<Args>),
    /// A server has asked so many clients.
    Clients(usize),
    /// One of them has acknowledged.
    Client(Args),
}

/// The requests under way.
pub(super) struct Requests {
    pending: RefCell<HashMap<String, Pending>>,
    /// Bytes of what all of them have gathered.
    len: Cell<usize>,
    bounds: Bounds,
}

/// What requests may gather.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) requests_max: usize,
    pub(super) items_max: usize,
    pub(super) answers_len_max: usize,
}

impl Requests {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { pending: RefCell::default(), len: Cell::new(0), bounds }
    }

    /// Begins a request; what comes ends when all have answered.
    pub(super) fn begin(&self, id: &str, waits_for_clients: bool) -> Result<Receiver<()>, String> {
        let mut pending = self.pending.borrow_mut();
        let max = self.bounds.requests_max;
        if pending.len() >= max {
            return Err(format!("{max} requests are under way, which is requests_max"));
        }
        let (sender, receiver) = oneshot();
        let gathered = Gathered::default();
        pending.insert(id.to_owned(), Pending { waits_for_clients, gathered, done: Some(sender) });
        Ok(receiver)
    }

    /// So many others are there.
    pub(super) fn expect(&self, id: &str, servers: usize) {
        self.change(id, |pending| pending.gathered.servers = Some(servers));
    }

    /// Another server has answered, by a message of so many bytes. What nobody has asked for is nobody's.
    pub(super) fn answered(&self, id: &str, answer: Answer, len: usize) {
        let Bounds { items_max, answers_len_max, .. } = self.bounds;
        self.change(id, |pending| {
            let gathered = &mut pending.gathered;
            if gathered.why.is_some() {
                return; // it is about to be taken
            }
            if len > answers_len_max.saturating_sub(self.len.get()) {
                gathered.why = Some(format!(
                    "more than {answers_len_max} bytes of answers came, which is answers_len_max"
                ));
                return;
            }
            self.len.set(self.len.get() + len);
            gathered.len += len;
            match answer {
                Answer::Server(items) => {
                    gathered.answered += 1;
                    gathered.items.extend(items);
                }
                Answer::Clients(count) => {
                    gathered.answered += 1;
                    gathered.clients = gathered.clients.saturating_add(count);
                }
                Answer::Client(args) => gathered.items.push(args),
            }
            if gathered.items.len().max(gathered.clients) > items_max {
                gathered.items.truncate(items_max);
                gathered.clients = gathered.clients.min(items_max);
                gathered.why = Some(format!("more than {items_max} items came, which is items_max"));
            }
        });
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Pending)) {
        let done = {
            let mut all = self.pending.borrow_mut();
            let Some(pending) = all.get_mut(id) else { return };
            change(pending);
            if pending.is_complete() { pending.done.take() } else { None }
        };
        if let Some(done) = done {
            // Whoever asked may have stopped.
            let _ = done.send(());
        }
    }

    /// The request ends, complete or not.
    pub(super) fn end(&self, id: &str) -> Gathered {
        let ended = self.pending.borrow_mut().remove(id).map(|pending| pending.gathered).unwrap_or_default();
        self.len.set(self.len.get() - ended.len);
        ended
    }
}

impl Pending {
    fn is_complete(&self) -> bool {
        let Gathered { servers, answered, clients, items, why, .. } = &self.gathered;
        let all_servers = servers.is_some_and(|servers| *answered >= servers);
        why.is_some() || (all_servers && (!self.waits_for_clients || items.len() >= *clients))
    }
}
