//! Word between the workers of one primary, which passes it on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::ipc::SendError;
use phaseloop_server::cluster::{Event, Primary, Worker, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Hub, Later, LocalHub, ROOMS};
use crate::refusal::Refusal;

/// How often it is tried to tell somebody who had no room for more.
const PAUSE: Duration = Duration::from_millis(200);

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
    /// The answer of one of them: some people, and how many more there are.
    These { number: u64, people: Vec<Person>, more: usize },
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
    /// Whether the others have missed something, and were not told so yet.
    owes: Rc<Cell<bool>>,
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
        Rc::new(Self { worker: worker.clone(), readers, owes: Rc::default() })
    }

    /// Has all letters read, also by this one.
    pub(super) fn read_by(&self, read: impl Fn(&Letter) + 'static) {
        self.readers.borrow_mut().push(Rc::new(read));
    }

    /// Says something to one, or to all others.
    pub(super) fn send(&self, to: Option<u32>, word: Word) -> Result<(), SendError> {
        self.worker.send(&Letter { from: self.worker.id().number(), to, word })
    }

    /// Says something to all others. What does not fit they have missed, and are told so once there is room.
    pub(super) fn say(&self, word: Word) -> Result<(), SendError> {
        let is_missed = word.is_missed();
        let sent = self.send(None, word);
        if is_missed && matches!(sent, Err(SendError::Full { .. })) && !self.owes.replace(true) {
            let (worker, owes) = (self.worker.clone(), Rc::clone(&self.owes));
            let telling = async move {
                let news =
                    || Letter { from: worker.id().number(), to: None, word: Word::News(ROOMS.to_owned()) };
                until_there_is_room(|| worker.send(&news())).await;
                owes.set(false);
            };
            phaseloop::spawn(telling).unref();
        }
        sent
    }
}

/// The primary's part: passes letters on.
#[derive(Default)]
pub(crate) struct PostOffice {
    /// Workers that have missed something, and were not told so yet.
    behind: Rc<RefCell<BTreeSet<WorkerId>>>,
}

impl PostOffice {
    pub(crate) fn pass_on(&self, primary: &Primary, event: &Event) {
        let Event::Message { worker, message } = event else { return };
        let Ok(letter) = message.parse::<Letter>() else { return };
        let mut others = 0;
        for other in primary.workers() {
            if !letter.is_for(other.id.number(), other.is_ready) {
                continue;
            }
            match primary.send(other.id, &letter) {
                Ok(()) => others += 1,
                Err(SendError::Full { .. }) if letter.word.is_missed() => self.is_behind(primary, other.id),
                // One that is gone hears nothing; one that is too busy hears less.
                Err(_) => {}
            }
        }
        if let Word::Who { number, .. } = letter.word {
            let word = Word::Asked { number, others };
            // As above: then the question ends by its own time.
            let _ = primary.send(*worker, &Letter { from: 0, to: Some(letter.from), word });
        }
    }

    /// Tells a worker that it has missed something, once there is room for that.
    fn is_behind(&self, primary: &Primary, worker: WorkerId) {
        if !self.behind.borrow_mut().insert(worker) {
            return;
        }
        let (behind, primary) = (Rc::clone(&self.behind), primary.clone());
        let telling = async move {
            let news = Letter { from: 0, to: Some(worker.number()), word: Word::News(ROOMS.to_owned()) };
            until_there_is_room(|| primary.send(worker, &news)).await;
            behind.borrow_mut().remove(&worker);
        };
        phaseloop::spawn(telling).unref();
    }
}

impl Letter {
    /// Whether it is meant for a worker. One that is not ready has nobody yet, and would answer late.
    fn is_for(&self, worker: u32, is_ready: bool) -> bool {
        let is_meant = self.to.map_or(worker != self.from, |to| worker == to);
        is_meant && (is_ready || !matches!(self.word, Word::Who { .. }))
    }
}

impl Word {
    /// Whether who does not get it has missed something for good.
    fn is_missed(&self) -> bool {
        match self {
            Self::Say { volatile, .. } => !volatile,
            Self::News(topic) => topic == ROOMS, // it is the word of something missed
            Self::Who { .. } | Self::Asked { .. } | Self::These { .. } => false,
        }
    }
}

/// Sends until that is taken, or can not be.
async fn until_there_is_room(send: impl Fn() -> Result<(), SendError>) {
    loop {
        // A short word may fit where what was said did not: not at once, since more may be missed meanwhile.
        phaseloop::sleep(PAUSE).await;
        if !matches!(send(), Err(SendError::Full { .. })) {
            return;
        }
    }
}

/// News by post.
pub(crate) struct ClusterHub {
    post: Rc<Post>,
    here: Rc<LocalHub>,
}

impl ClusterHub {
    pub(crate) fn new(post: &Rc<Post>) -> Self {
        let here = Rc::<LocalHub>::default();
        let heard = Rc::clone(&here);
        post.read_by(move |letter| {
            if let Word::News(topic) = &letter.word {
                heard.call(topic);
            }
        });
        Self { post: Rc::clone(post), here }
    }
}

impl Hub for ClusterHub {
    fn kind(&self) -> &'static str {
        "cluster"
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        self.here.check()
    }

    fn tell(&self, topic: &'static str) {
        self.here.tell(topic);
        // A primary that is gone or too busy passes nothing on; the others look by themselves.
        let _ = self.post.send(None, Word::News(topic.to_owned()));
    }

    fn listen(&self, topic: &'static str, on_news: Box<dyn Fn()>) {
        self.here.listen(topic, on_news);
    }
}

#[cfg(test)]
mod tests {
    use super::{Letter, Rooms, Word};

    #[test]
    fn the_word_of_what_was_missed_is_not_missed() {
        let news = |topic: &str| Word::News(topic.to_owned());
        let say = |volatile| {
            let to = Rooms { rooms: vec!["hall".to_owned()], except: Vec::new() };
            Word::Say { to, event: "message".to_owned(), args: Vec::new(), volatile }
        };
        let words = [news(super::ROOMS), news("orders"), say(false), say(true)];
        assert_eq!(words.map(|word| word.is_missed()), [true, false, true, false]);
    }

    #[test]
    fn who_is_there_is_asked_of_those_that_can_answer() {
        let rooms = || Rooms { rooms: vec!["hall".to_owned()], except: Vec::new() };
        let who = Letter { from: 1, to: None, word: Word::Who { number: 7, rooms: rooms() } };
        assert_eq!([1, 2, 3].map(|worker| who.is_for(worker, worker != 3)), [false, true, false]);
        let say = Word::Say { to: rooms(), event: "message".to_owned(), args: Vec::new(), volatile: false };
        let say = Letter { from: 1, to: None, word: say };
        assert_eq!([1, 2, 3].map(|worker| say.is_for(worker, worker != 3)), [false, true, true]);
        let answer =
            Letter { from: 2, to: Some(1), word: Word::These { number: 7, people: Vec::new(), more: 0 } };
        assert_eq!([1, 2, 3].map(|worker| answer.is_for(worker, true)), [true, false, false]);
    }
}
