//! One connection: commands in, replies out, in order. It ends once, and tells everybody who waits why.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_io::{AsyncRead, AsyncWrite};
use phaseloop::channel::{Receiver, Sender, oneshot};
use phaseloop::{LoopHandle, Sleep};
use redis::{PushKind, Value};

use super::connect::BoxStream;
use super::error::Error;
use super::frames::{Bounds, Frames};
use super::options::Options;

/// The answer to what was sent: a value for each command.
pub(super) type Replies = Result<Vec<Value>, Error>;

/// What hears pushed messages. It must not block, and may send.
pub(super) type OnPush = Rc<dyn Fn(&PushKind, Vec<Value>)>;

/// The end of a connection that commands are given to. Cheap to clone; clones are the same connection.
#[derive(Clone)]
pub(super) struct Link(Rc<Shared>);

struct Shared {
    lp: LoopHandle,
    in_flight_max: usize,
    queue_len_max: usize,
    /// Commands that were not handed to the driver yet.
    out: RefCell<Vec<u8>>,
    /// What the driver has of them and has not written.
    writing_len: Cell<usize>,
    waiting: RefCell<VecDeque<Waiting>>,
    /// Replies that are owed; commands of `waiting`, counted one by one.
    owed: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    ended: RefCell<Option<Error>>,
}

/// Somebody who waits for replies.
struct Waiting {
    deadline: Instant,
    limit: Duration,
    missing: usize,
    got: Vec<Value>,
    answer: Answer,
}

/// What becomes of replies.
enum Answer {
    /// Somebody awaits them, and may have stopped.
    Await(Sender<Replies>),
    /// It runs where they lie among what is pushed. It must not block, and may send.
    Call(Box<dyn FnOnce(Replies)>),
}

impl Answer {
    fn is_wanted(&self) -> bool {
        matches!(self, Self::Await(sender) if !sender.is_closed()) || matches!(self, Self::Call(_))
    }

    fn give(self, replies: Replies) {
        match self {
            // Whoever waited may have stopped.
            Self::Await(sender) => drop(sender.send(replies)),
            Self::Call(call) => call(replies),
        }
    }
}

impl Link {
    /// A connection and what drives it: a future that ends with the connection, and says why.
    pub(super) fn new(
        lp: &LoopHandle,
        stream: BoxStream,
        options: &Options,
        on_push: OnPush,
    ) -> (Self, impl Future<Output = Error> + use<>) {
        let shared = Rc::new(Shared {
            lp: lp.clone(),
            in_flight_max: options.in_flight_max,
            queue_len_max: options.queue_len_max,
            out: RefCell::default(),
            writing_len: Cell::new(0),
            waiting: RefCell::default(),
            owed: Cell::new(0),
            waker: RefCell::new(None),
            ended: RefCell::new(None),
        });
        let driver = Driver {
            shared: Rc::clone(&shared),
            stream,
            frames: Frames::new(Bounds {
                len_max: options.reply_len_max,
                values_max: options.reply_values_max,
            }),
            writing: Vec::new(),
            written: 0,
            is_flushed: true,
            chunk: vec![0; CHUNK_LEN].into_boxed_slice(),
            overdue: None,
            on_push,
        };
        (Self(shared), driver)
    }

    /// Sends packed commands, whose replies come together. They go out with all else that is sent before the loop polls.
    pub(super) fn send(
        &self,
        commands: &[u8],
        count: usize,
        limit: Duration,
    ) -> Result<Receiver<Replies>, Error> {
        let (answer, receiver) = oneshot();
        self.check(commands, count)?;
        self.submit(commands, count, limit, Answer::Await(answer))?;
        Ok(receiver)
    }

    /// As [`send`](Self::send), and has `then` hear the replies in line with what is pushed.
    pub(super) fn send_with(
        &self,
        commands: &[u8],
        count: usize,
        limit: Duration,
        then: impl FnOnce(Replies) + 'static,
    ) -> Result<(), Error> {
        self.check(commands, count)?;
        self.submit(commands, count, limit, Answer::Call(Box::new(then)))
    }

    /// As [`send_with`](Self::send_with), however much is under way: whoever uses it bounds it.
    pub(super) fn send_beyond(
        &self,
        commands: &[u8],
        count: usize,
        limit: Duration,
        then: impl FnOnce(Replies) + 'static,
    ) -> Result<(), Error> {
        self.submit(commands, count, limit, Answer::Call(Box::new(then)))
    }

    /// What bounds it.
    pub(super) fn bounds(&self) -> (usize, usize) {
        (self.0.in_flight_max, self.0.queue_len_max)
    }

    fn check(&self, commands: &[u8], count: usize) -> Result<(), Error> {
        let shared = &self.0;
        if shared.ended.borrow().is_none() {
            if shared.owed.get() + count > shared.in_flight_max {
                return Err(Error::Full { limit: "in_flight_max", max: shared.in_flight_max });
            }
            let waiting = shared.out.borrow().len() + shared.writing_len.get();
            if waiting + commands.len() > shared.queue_len_max {
                return Err(Error::Full { limit: "queue_len_max", max: shared.queue_len_max });
            }
        }
        Ok(())
    }

    fn submit(&self, commands: &[u8], count: usize, limit: Duration, answer: Answer) -> Result<(), Error> {
        let shared = &self.0;
        if let Some(error) = &*shared.ended.borrow() {
            return Err(Error::Unavailable(error.reason()));
        }
        if count == 0 {
            // No reply would ever take it out of the queue.
            answer.give(Ok(Vec::new()));
            return Ok(());
        }
        shared.out.borrow_mut().extend_from_slice(commands);
        // From this very moment: the loop's time is that of its turn, which may be a long one.
        let deadline = shared.lp.sleep(limit).deadline();
        shared.owed.set(shared.owed.get() + count);
        let got = Vec::with_capacity(count);
        shared.waiting.borrow_mut().push_back(Waiting { deadline, limit, missing: count, got, answer });
        shared.wake();
        Ok(())
    }

    /// Ends the connection.
    pub(super) fn end(&self, why: Error) {
        self.0.end(&why);
        self.0.wake();
    }

    /// Commands that wait for their answers.
    pub(super) fn owed(&self) -> usize {
        self.0.owed.get()
    }
}

impl Shared {
    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The first reason is the reason.
    fn end(&self, why: &Error) -> Error {
        let why = self.ended.borrow_mut().get_or_insert_with(|| why.clone()).clone();
        let waiting = self.waiting.take();
        self.owed.set(0);
        // Whoever waited longest was late, by whatever clock.
        let now = waiting.front().map_or(self.lp.now(), |first| self.lp.now().max(first.deadline));
        for one in waiting {
            let error = match &why {
                Error::Timeout(_) if one.deadline <= now => Error::Timeout(one.limit),
                Error::Protocol(_) => why.clone(),
                other => Error::Lost(other.reason()),
            };
            one.answer.give(Err(error));
        }
        why
    }

    /// A reply belongs to who waits longest.
    fn answered(&self, value: Value) -> Result<(), Error> {
        let done = {
            let mut waiting = self.waiting.borrow_mut();
            let Some(first) = waiting.front_mut() else {
                return Err(Error::Protocol("a reply came that nobody had asked for".into()));
            };
            self.owed.set(self.owed.get() - 1);
            first.missing -= 1;
            if first.answer.is_wanted() {
                first.got.push(value);
            }
            if first.missing > 0 { None } else { waiting.pop_front() }
        };
        if let Some(Waiting { got, answer, .. }) = done {
            answer.give(Ok(got));
        }
        Ok(())
    }
}

/// What is read at once.
const CHUNK_LEN: usize = 16 * 1024;
/// Before others have their turn: the shortest messages of so much fit into a subscription's queue.
const CHUNKS_A_POLL: usize = 2;
/// Of buffers that are empty.
const KEPT_CAPACITY_MAX: usize = 64 * 1024;

/// Moves bytes for a [`Link`]. It must be polled until it ends.
struct Driver {
    shared: Rc<Shared>,
    stream: BoxStream,
    frames: Frames,
    writing: Vec<u8>,
    written: usize,
    is_flushed: bool,
    chunk: Box<[u8]>,
    /// Set while somebody waits, to the deadline of the first.
    overdue: Option<Sleep>,
    on_push: OnPush,
}

impl Driver {
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let old = self.shared.waker.replace(Some(cx.waker().clone()));
        drop(old);
        if let Some(error) = &*self.shared.ended.borrow() {
            return Poll::Ready(error.clone());
        }
        // What a push has sent goes out in the same round.
        if let Err(error) = self.read(cx).and_then(|()| self.write(cx)) {
            return Poll::Ready(error);
        }
        self.watch(cx)
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        for _ in 0..CHUNKS_A_POLL {
            match Pin::new(&mut self.stream).poll_read(cx, &mut self.chunk) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Error::Lost("the server closed it".into())),
                Poll::Ready(Ok(len)) => {
                    self.frames.feed(&self.chunk[..len]);
                    self.take_replies()?;
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(Error::Lost(error.to_string())),
            }
        }
        // Those who read messages come first.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn take_replies(&mut self) -> Result<(), Error> {
        while let Some(reply) = self.frames.next().map_err(|error| Error::Protocol(error.to_string()))? {
            let value =
                redis::parse_redis_value(reply).map_err(|error| Error::Protocol(error.to_string()))?;
            match value {
                Value::Push { kind, data } => {
                    (self.on_push)(&kind, data);
                    if confirms(&kind) {
                        self.shared.answered(Value::Okay)?;
                    }
                }
                Value::Attribute { data, .. } => self.shared.answered(*data)?,
                value => self.shared.answered(value)?,
            }
        }
        Ok(())
    }

    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.writing.shrink_to(KEPT_CAPACITY_MAX);
                self.written = 0;
                std::mem::swap(&mut self.writing, &mut *self.shared.out.borrow_mut());
                self.shared.writing_len.set(self.writing.len());
                if self.writing.is_empty() {
                    return self.flush(cx);
                }
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.writing[self.written..]) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Error::Lost("nothing more can be written".into())),
                Poll::Ready(Ok(len)) => {
                    self.written += len;
                    self.is_flushed = false;
                    self.shared.writing_len.set(self.writing.len() - self.written);
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Poll::Ready(Err(error)) => return Err(Error::Lost(error.to_string())),
            }
        }
    }

    /// An encrypted stream may keep what it took.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        if !self.is_flushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.is_flushed = true,
                Poll::Ready(Err(error)) => return Err(Error::Lost(error.to_string())),
            }
        }
        Ok(())
    }

    /// Whoever waits too long costs the connection: what comes behind would wait longer still.
    fn watch(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let first = self.shared.waiting.borrow().front().map(|first| (first.deadline, first.limit));
        let Some((deadline, limit)) = first else {
            self.overdue = None;
            return Poll::Pending;
        };
        let overdue = self.overdue.get_or_insert_with(|| self.shared.lp.sleep_until(deadline));
        if overdue.deadline() != deadline {
            overdue.reset(deadline);
        }
        Pin::new(overdue).poll(cx).map(|()| Error::Timeout(limit))
    }
}

impl Future for Driver {
    type Output = Error;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Error> {
        self.drive(cx).map(|error| self.shared.end(&error))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.end(&Error::Unavailable("the client was closed".into()));
    }
}

/// True for a push that is the answer to a command.
fn confirms(kind: &PushKind) -> bool {
    use PushKind as K;
    matches!(
        kind,
        K::Subscribe | K::PSubscribe | K::SSubscribe | K::Unsubscribe | K::PUnsubscribe | K::SUnsubscribe
    )
}
