//! Word between the workers of one primary, which passes it on.

use std::cell::RefCell;
use std::rc::Rc;

use phaseloop::ipc::SendError;
use phaseloop_server::cluster::{Event, Primary, Worker};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Hub, Later};
use crate::refusal::Refusal;

/// What one worker says, on its way to another or to all others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) from: u32,
    to: Option<u32>,
    pub(super) word: Word,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// This topic has something new.
    News(String),
    /// An event for people in rooms.
    Say { to: Rooms, event: String, args: Vec<Value>, volatile: bool },
    /// Who is in rooms? By the question's number, of which each worker has its own.
    Who { number: u64, rooms: Rooms },
    /// The primary's, to who has asked: so many others hear of it.
    Asked { number: u64, others: usize },
    /// The answer of one of them.
    These { number: u64, people: Vec<Person> },
}

/// Those in any of the first, and in none of the others.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Rooms {
    pub(super) rooms: Vec<String>,
    pub(super) except: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) rooms: Vec<String>,
    pub(super) data: Map<String, Value>,
}

type Reader = Rc<dyn Fn(&Letter)>;

/// A worker's letters.
pub(crate) struct Post {
    worker: Worker,
    readers: Rc<RefCell<Vec<Reader>>>,
}

impl Post {
    pub(crate) fn new(worker: &Worker) -> Rc<Self> {
        let readers: Rc<RefCell<Vec<Reader>>> = Rc::default();
        let all = Rc::clone(&readers);
        worker.on_message(move |_, message| {
            // What is no letter is from a primary of another version.
            let Ok(letter) = message.parse::<Letter>() else { return };
            let readers = all.borrow().clone();
            readers.iter().for_each(|read| read(&letter));
        });
        Rc::new(Self { worker: worker.clone(), readers })
    }

    /// Has all letters read, also by this one.
    pub(super) fn read_by(&self, read: impl Fn(&Letter) + 'static) {
        self.readers.borrow_mut().push(Rc::new(read));
    }

    /// Says something to one, or to all others.
    pub(super) fn send(&self, to: Option<u32>, word: Word) -> Result<(), SendError> {
        self.worker.send(&Letter { from: self.worker.id().number(), to, word })
    }
}

/// The primary's part: passes letters on.
pub(crate) fn pass_on(primary: &Primary, event: &Event) {
    let Event::Message { worker, message } = event else { return };
    let Ok(letter) = message.parse::<Letter>() else { return };
    let is_meant = |number| letter.to.map_or(number != letter.from, |to| number == to);
    let workers = primary.workers();
    let meant = workers.iter().filter(|other| is_meant(other.id.number()));
    // One that is gone hears nothing; one that is too busy hears less, and looks for news by itself.
    let others = meant.filter(|other| primary.send(other.id, &letter).is_ok()).count();
    if let Word::Who { number, .. } = letter.word {
        let word = Word::Asked { number, others };
        // As above: then the question ends by its own time.
        let _ = primary.send(*worker, &Letter { from: 0, to: Some(letter.from), word });
    }
}

type Listener = (&'static str, Rc<dyn Fn()>);

/// News by post.
pub(crate) struct ClusterHub {
    post: Rc<Post>,
    listeners: Rc<RefCell<Vec<Listener>>>,
}

impl ClusterHub {
    pub(crate) fn new(post: &Rc<Post>) -> Self {
        let listeners: Rc<RefCell<Vec<Listener>>> = Rc::default();
        let heard = Rc::clone(&listeners);
        post.read_by(move |letter| {
            if let Word::News(topic) = &letter.word {
                call(&heard, topic);
            }
        });
        Self { post: Rc::clone(post), listeners }
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
        let _ = self.post.send(None, Word::News(topic.to_owned()));
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
