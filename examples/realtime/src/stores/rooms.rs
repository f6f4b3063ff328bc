//! Rooms of the chat that the workers of one primary share: what is said in them, and who is there.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::channel::{Sender, oneshot};
use phaseloop_server::socketio::{
    AckError, Adapter, Args, Asking, Broadcast, Namespace, Operator, Partial, RemoteSocket, Target,
};
use serde_json::{Map, Value};

use super::cluster::{Letter, Person, Post, Rooms, Word};
use crate::log::Log;

/// How long an answer may take: a worker that stands still is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// People whose names are told, of a room and of a worker; more are counted, exactly. A letter has its limit.
pub(crate) const PEOPLE_MAX: usize = 100;
/// Questions that may be open at once: one for each room that somebody enters or leaves.
const QUESTIONS_MAX: usize = 1_000;

/// Shares what the chat needs, which are events and members.
pub(crate) struct ClusterRooms {
    post: Rc<Post>,
    questions: Rc<Questions>,
    log: Log,
}

impl ClusterRooms {
    pub(crate) fn new(post: &Rc<Post>, namespace: &Namespace, log: &Log) -> Self {
        let questions = Rc::<Questions>::default();
        let (own, answering, reading, told) =
            (Rc::clone(&questions), Rc::downgrade(post), namespace.clone(), log.clone());
        post.read_by(move |letter| match &letter.word {
            Word::Say { to, event, args, volatile } => {
                let to = among(&reading, to);
                let to = if *volatile { to.volatile() } else { to };
                let mut values = Args::new();
                args.iter().for_each(|value| values.push(value.clone()));
                to.emit(event, values);
            }
            Word::Who { number, rooms } => {
                let there = among(&reading, rooms).sockets();
                let people: Vec<_> = there.iter().take(PEOPLE_MAX).map(person).collect();
                let more = there.len() - people.len();
                let Some(post) = answering.upgrade() else { return };
                if let Err(error) =
                    post.send(Some(letter.from), Word::These { number: *number, people, more })
                {
                    told.warn("rooms", &[("error", &error)]);
                }
            }
            Word::Asked { .. } | Word::These { .. } => own.hear(letter),
            Word::News(_) => {}
        });
        Self { post: Rc::clone(post), questions, log: log.clone() }
    }
}

/// Those of this worker.
fn among(namespace: &Namespace, rooms: &Rooms) -> Operator {
    let some = rooms.rooms.iter().fold(namespace.local(), Operator::to);
    rooms.except.iter().fold(some, Operator::except)
}

fn person(socket: &phaseloop_server::socketio::Socket) -> Person {
    let data = ["room", "name"].into_iter().filter_map(|key| Some((key.to_owned(), socket.data(key)?)));
    Person { id: socket.id().to_owned(), rooms: socket.rooms(), data: data.collect() }
}

fn rooms(target: &Target) -> Rooms {
    Rooms { rooms: target.rooms.clone(), except: target.except.clone() }
}

impl Adapter for ClusterRooms {
    fn broadcast(&self, what: &Broadcast<'_>) {
        let (to, args) = (rooms(what.target), what.args.values().to_vec());
        let say = Word::Say { to, event: what.event.to_owned(), args, volatile: what.volatile };
        if let Err(error) = self.post.say(say) {
            self.log.warn("rooms", &[("error", &error)]);
        }
    }

    fn fetch(&self, target: &Target) -> Asking<RemoteSocket> {
        let Some((question, answered)) = self.questions.open() else {
            return Box::pin(ready(Err(Partial::new(Vec::new(), "too many questions are open"))));
        };
        if let Err(error) = self.post.send(None, Word::Who { number: question.number, rooms: rooms(target) })
        {
            return Box::pin(ready(Err(Partial::new(Vec::new(), error.to_string()))));
        }
        Box::pin(async move {
            let in_time = phaseloop::timeout(PATIENCE, answered).await.is_ok();
            let people = question.people();
            let found =
                people.into_iter().map(|Person { id, rooms, data }| RemoteSocket::new(id, rooms, data));
            match in_time {
                true => Ok(found.collect()),
                false => Err(Partial::new(found.collect(), format!("not within {PATIENCE:?}"))),
            }
        })
    }

    fn broadcast_with_ack(&self, _: &Broadcast<'_>, _: Duration) -> Asking<Result<Args, AckError>> {
        not_shared()
    }

    fn join(&self, _: &Target, _: &[String]) {
        unreachable!("people of other workers join and leave there")
    }

    fn leave(&self, _: &Target, _: &[String]) {
        unreachable!("people of other workers join and leave there")
    }

    fn disconnect(&self, _: &Target, _: bool) {
        unreachable!("people of other workers are disconnected there")
    }

    fn rooms(&self) -> Asking<String> {
        not_shared()
    }

    fn server_side_emit(&self, _: &str, _: &Args) {
        unreachable!("the workers' own word goes by post")
    }

    fn server_side_emit_with_ack(&self, _: &str, _: &Args) -> Asking<Value> {
        not_shared()
    }

    fn server_count(&self) -> Pin<Box<dyn Future<Output = Result<usize, String>>>> {
        Box::pin(ready(Err(NOT_SHARED.to_owned())))
    }
}

const NOT_SHARED: &str = "the workers share events and members of rooms alone";

fn not_shared<T: 'static>() -> Asking<T> {
    Box::pin(ready(Err(Partial::new(Vec::new(), NOT_SHARED))))
}

/// What this worker has asked the others.
#[derive(Default)]
struct Questions {
    next: Cell<u64>,
    open: RefCell<HashMap<u64, Answers>>,
}

struct Answers {
    /// Workers that were asked, once that is known.
    others: Option<usize>,
    answered: usize,
    people: Vec<Person>,
    done: Option<Sender<()>>,
}

/// A question, until it is dropped.
struct Question {
    number: u64,
    all: Rc<Questions>,
}

impl Questions {
    fn open(self: &Rc<Self>) -> Option<(Question, phaseloop::channel::Receiver<()>)> {
        if self.open.borrow().len() >= QUESTIONS_MAX {
            return None;
        }
        let number = self.next.get();
        self.next.set(number + 1);
        let (sender, receiver) = oneshot();
        let answers = Answers { others: None, answered: 0, people: Vec::new(), done: Some(sender) };
        self.open.borrow_mut().insert(number, answers);
        Some((Question { number, all: Rc::clone(self) }, receiver))
    }

    fn hear(&self, letter: &Letter) {
        let mut open = self.open.borrow_mut();
        let done = match &letter.word {
            Word::Asked { number, others } => open.get_mut(number).and_then(|answers| {
                answers.others = Some(*others);
                answers.done_if_whole()
            }),
            Word::These { number, people, more } => open.get_mut(number).and_then(|answers| {
                answers.answered += 1;
                let nameless = || Person { id: String::new(), rooms: Vec::new(), data: Map::new() };
                answers.people.extend(people.iter().cloned().chain((0..*more).map(|_| nameless())));
                answers.done_if_whole()
            }),
            _ => None,
        };
        drop(open);
        if let Some(done) = done {
            // Whoever asked may have stopped.
            let _ = done.send(());
        }
    }
}

impl Answers {
    fn done_if_whole(&mut self) -> Option<Sender<()>> {
        let is_whole = self.others.is_some_and(|others| self.answered >= others);
        if is_whole { self.done.take() } else { None }
    }
}

impl Question {
    /// What was answered so far.
    fn people(&self) -> Vec<Person> {
        self.all
            .open
            .borrow_mut()
            .get_mut(&self.number)
            .map(|answers| std::mem::take(&mut answers.people))
            .unwrap_or_default()
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.all.open.borrow_mut().remove(&self.number);
    }
}
