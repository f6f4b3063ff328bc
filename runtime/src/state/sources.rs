//! The reactor: the table that takes what the driver reports to whoever waits for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::os::fd::RawFd;
use std::panic::Location;
use std::rc::Rc;
use std::task::Waker;

use super::LoopHandle;
use super::handles::HandleKind;
use super::liveness::Flags;
use crate::driver::{Event, Readiness, Token};
use crate::task::queue::Queue;
use crate::task::waiters::Waiters;

/// A source with callbacks. The loop calls it when the source became ready; it makes a `call` for each callback.
pub(crate) trait Ready {
    /// `readiness` is the source's as the event left it.
    fn ready(self: Rc<Self>, lp: &LoopHandle, readiness: Readiness);

    /// The loop is gone: drops the callbacks, which may own the source in turn.
    fn forget(&self);

    /// The poll phase that called the source is over, and `settle_later` asked to be told.
    fn settle(self: Rc<Self>, _lp: &LoopHandle) {}
}

/// What is registered with the driver.
pub(crate) struct Source {
    pub(crate) kind: HandleKind,
    pub(crate) flags: Flags,
    pub(crate) site: &'static Location<'static>,
    fd: RawFd,
    /// What the driver is asked to report; nothing if it does not know the source.
    interest: Readiness,
    /// It is in line for the next poll phase; until then its target is not called.
    in_line: bool,
    /// What the driver reported and no attempt has contradicted since: a hint.
    readiness: Readiness,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Tasks beyond the first that wait, in either direction: several may accept from clones of one listener. A box, which
    /// most never need.
    others: Option<Box<Waiters>>,
    target: Option<Rc<dyn Ready>>,
}

struct Slot {
    generation: u32,
    source: Option<Source>,
}

/// Reading or writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// All that lets an operation in this direction proceed.
    pub(crate) fn any(self) -> Readiness {
        match self {
            Self::Read => Readiness::ANY_READ,
            Self::Write => Readiness::ANY_WRITE,
        }
    }
}

/// All sources of a loop, and the events that poll took and has not dispatched yet.
pub(crate) struct Sources {
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    registered: Cell<usize>,
    pub(crate) batch: Queue<Event>,
    /// Sources that used up their budget of this turn and are still ready.
    again: RefCell<Vec<Token>>,
    /// Sources that are to be told when the poll phase is over.
    settling: Queue<Token>,
    /// Descriptors that the driver knows and that somebody else owns. INVARIANT foreign: an entry leaves when its number
    /// is registered anew, since its owner must have closed it; nothing is asked of the driver under that number any more.
    foreign: RefCell<HashMap<RawFd, Token>>,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self {
            slots: RefCell::default(),
            free: RefCell::default(),
            registered: Cell::new(0),
            batch: Queue::new(),
            again: RefCell::default(),
            settling: Queue::new(),
            foreign: RefCell::default(),
        }
    }

    /// How many sources the driver watches.
    pub(crate) fn registered(&self) -> usize {
        self.registered.get()
    }

    /// True if there is something to dispatch without asking the driver.
    pub(crate) fn has_batch(&self) -> bool {
        // A panic may have left some unsettled: nothing would be heard of them.
        !self.batch.is_empty() || !self.again.borrow().is_empty() || !self.settling.is_empty()
    }

    pub(crate) fn readiness(&self, token: Token) -> Readiness {
        self.with(token, |source| source.readiness).unwrap_or_default()
    }

    /// Forgets readiness that an attempt contradicted, and gives what is left.
    pub(crate) fn clear(&self, token: Token, readiness: Readiness) -> Readiness {
        let clear = |source: &mut Source| {
            source.readiness = source.readiness.without(readiness);
            source.readiness
        };
        self.with(token, clear).unwrap_or_default()
    }

    /// Forgets readiness after a transfer that came back short. Once a stream had urgent data, only an attempt that would
    /// block tells that nothing is left. Gives what is left of the readiness.
    pub(crate) fn exhaust(&self, token: Token, readiness: Readiness) -> Readiness {
        let exhaust = |source: &mut Source| {
            if !source.readiness.has(Readiness::URGENT) {
                source.readiness = source.readiness.without(readiness);
            }
            source.readiness
        };
        self.with(token, exhaust).unwrap_or_default()
    }

    /// Notes readiness that is known without the driver.
    pub(crate) fn mark(&self, token: Token, readiness: Readiness) {
        self.with(token, |source| source.readiness = source.readiness.with(readiness));
    }

    /// True if an operation may proceed; otherwise it has to wait. `None` if the source is gone.
    #[inline]
    pub(crate) fn is_ready(&self, token: Token, direction: Direction) -> Option<bool> {
        self.with(token, |source| source.readiness.has(direction.any()))
    }

    /// Notes who waits, in this turn, for a source that is not ready.
    pub(crate) fn wait(&self, token: Token, direction: Direction, waker: &Waker, turn: u64) {
        let asked = self.with(token, |source| {
            let slot = match direction {
                Direction::Read => &mut source.reader,
                Direction::Write => &mut source.writer,
            };
            match slot {
                None => *slot = Some(waker.clone()),
                Some(known) if known.will_wake(waker) => {}
                Some(_) => return source.others.get_or_insert_default().join(waker, turn),
            }
            Vec::new()
        });
        // Woken here, outside the borrow.
        asked.into_iter().flatten().for_each(Waker::wake);
    }

    /// Wakes all tasks that wait for the source, to look again.
    pub(crate) fn wake_all(&self, token: Token) {
        let waiting: Vec<Waker> =
            self.with(token, |source| source.take_waiting().collect()).unwrap_or_default();
        waiting.into_iter().for_each(Waker::wake); // outside the borrow
    }

    /// Has the loop call `target` when the source is ready, or nobody.
    pub(crate) fn set_target(&self, token: Token, target: Option<Rc<dyn Ready>>) {
        // The old target is dropped here, outside the borrow.
        drop(self.with(token, |source| std::mem::replace(&mut source.target, target)));
    }

    /// Puts a source that is still ready in line for the next poll phase, once.
    pub(crate) fn run_again(&self, token: Token) {
        if self.with(token, |source| std::mem::replace(&mut source.in_line, true)) == Some(false) {
            self.again.borrow_mut().push(token);
        }
    }

    /// Tells the source's target when the poll phase is over.
    pub(crate) fn settle_later(&self, token: Token) {
        self.settling.push(token);
    }

    /// Moves the sources that are still ready into the batch, as events that say nothing new. Whoever waits for what was marked
    /// since is woken by them.
    pub(crate) fn begin(&self) {
        let again = &mut *self.again.borrow_mut();
        if again.is_empty() {
            return;
        }
        let none = Readiness::default();
        self.batch.extend(again.drain(..).map(|token| Event { token, readiness: none }));
    }

    /// Notes what `event` says and gives whoever waits for it.
    pub(crate) fn dispatch(&self, event: Event) -> Option<Waiting> {
        self.with(event.token, |source| {
            source.readiness = source.readiness.with(event.readiness);
            let is_news = event.readiness != Readiness::default();
            source.in_line &= is_news;
            let readiness = if is_news { event.readiness } else { source.readiness };
            Waiting {
                token: event.token,
                reader: source.reader.take_if(|_| readiness.has(Readiness::ANY_READ)),
                writer: source.writer.take_if(|_| readiness.has(Readiness::ANY_WRITE)),
                others: source.others.is_some(),
                target: source.target.clone().filter(|_| !source.in_line),
                readiness: source.readiness,
            }
        })
    }

    pub(crate) fn with<R>(&self, token: Token, f: impl FnOnce(&mut Source) -> R) -> Option<R> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(token.slot as usize).filter(|slot| slot.generation == token.generation)?;
        slot.source.as_mut().map(f)
    }

    pub(crate) fn for_each(&self, mut f: impl FnMut(&Source)) {
        self.slots.borrow().iter().filter_map(|slot| slot.source.as_ref()).for_each(&mut f);
    }

    fn insert(&self, source: Source) -> Token {
        let mut slots = self.slots.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            slots.push(Slot { generation: 0, source: None });
            u32::try_from(slots.len() - 1).expect("fewer than 2^32 sources in one loop")
        });
        slots[slot as usize].source = Some(source);
        Token { slot, generation: slots[slot as usize].generation }
    }

    fn remove(&self, token: Token) -> Option<Source> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(token.slot as usize).filter(|slot| slot.generation == token.generation)?;
        let source = slot.source.take()?;
        // Half of the bits, as a token has on machines of 32 bits.
        slot.generation = slot.generation.wrapping_add(1);
        self.free.borrow_mut().push(token.slot);
        Some(source)
    }

    /// Notes that the driver knows a descriptor. Whatever else was known by its number is stale (INVARIANT foreign).
    fn note_registered(&self, fd: RawFd) {
        self.registered.set(self.registered.get() + 1);
        let mut foreign = self.foreign.borrow_mut();
        let stale = if foreign.is_empty() { None } else { foreign.remove(&fd) };
        drop(foreign);
        if let Some(token) = stale {
            self.registered.set(self.registered.get() - 1);
            self.with(token, |source| {
                source.fd = -1;
                source.interest = Readiness::default();
            });
        }
    }

    fn note_deregistered(&self, fd: RawFd, token: Token) {
        self.registered.set(self.registered.get() - 1);
        let mut foreign = self.foreign.borrow_mut();
        if foreign.get(&fd) == Some(&token) {
            foreign.remove(&fd);
        }
    }
}

/// Who waits for a source that became ready.
pub(crate) struct Waiting {
    token: Token,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// There are others, who stay with the source until it is their turn: a panic before that must not lose them.
    others: bool,
    target: Option<Rc<dyn Ready>>,
    readiness: Readiness,
}

impl Source {
    /// Takes all who wait.
    fn take_waiting(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let others = self.others.take().map(|mut others| others.take());
        self.reader.take().into_iter().chain(self.writer.take()).chain(others.into_iter().flatten())
    }
}

impl Waiting {
    /// Wakes the tasks, with a checkpoint; then has the target make its calls.
    ///
    /// Readers come first. The system reports a reset once: were the writer to take it, the reader would see a clean end
    /// of the stream and take what was cut off for complete. Source: libuv, `uv__stream_io`.
    pub(crate) fn notify(self, lp: &LoopHandle) {
        if self.reader.is_some() || self.writer.is_some() {
            lp.call(|_| self.reader.into_iter().chain(self.writer).for_each(Waker::wake));
        }
        let others = || lp.state.sources.with(self.token, |source| source.others.take()).flatten();
        if let Some(mut others) = self.others.then(others).flatten() {
            lp.call(|_| others.take().for_each(Waker::wake));
        }
        if let Some(target) = self.target {
            target.ready(lp, self.readiness);
        }
    }
}

impl LoopHandle {
    /// Registers a descriptor. The caller keeps it open until `close_source`.
    pub(crate) fn open_source(
        &self,
        fd: RawFd,
        interest: Readiness,
        kind: HandleKind,
        site: &'static Location<'static>,
    ) -> io::Result<Token> {
        let token = self.add_source(fd, kind, site)?;
        let sources = &self.state.sources;
        if let Err(error) = self.state.driver.borrow_mut().register(fd, token, interest) {
            drop(sources.remove(token));
            return Err(error);
        }
        sources.note_registered(fd);
        sources.with(token, |source| source.interest = interest);
        Ok(token)
    }

    /// Makes a source of which the driver does not know yet.
    pub(crate) fn add_source(
        &self,
        fd: RawFd,
        kind: HandleKind,
        site: &'static Location<'static>,
    ) -> io::Result<Token> {
        if self.state.closed.get() {
            return Err(gone());
        }
        let source = Source {
            kind,
            flags: Flags::new(),
            site,
            fd,
            interest: Readiness::default(),
            in_line: false,
            readiness: Readiness::default(),
            reader: None,
            writer: None,
            others: None,
            target: None,
        };
        Ok(self.state.sources.insert(source))
    }

    /// Has the driver report `interest` of a descriptor that somebody else owns, and nothing if that is empty. What is
    /// ready now is reported, also if it was before.
    pub(crate) fn watch_source(&self, token: Token, interest: Readiness) -> io::Result<()> {
        let sources = &self.state.sources;
        let (fd, before) = sources.with(token, |source| (source.fd, source.interest)).ok_or_else(gone)?;
        let none = Readiness::default();
        if self.state.closed.get() || (before == none && interest == none) {
            return Ok(());
        }
        let driver = &mut *self.state.driver.borrow_mut();
        let changed = match (before == none, interest == none) {
            (true, _) => driver.register(fd, token, interest),
            (false, false) => driver.reregister(fd, token, interest),
            (false, true) => driver.deregister(fd),
        };
        if changed.is_err() || interest == none {
            // A failure to change it says that the descriptor was closed: the system has forgotten it.
            if before != none {
                sources.note_deregistered(fd, token);
            }
            sources.with(token, |source| source.interest = none);
        } else {
            if before == none {
                sources.note_registered(fd);
                sources.foreign.borrow_mut().insert(fd, token);
            }
            sources.with(token, |source| source.interest = interest);
        }
        changed
    }

    /// Tells the sources that asked for it that the poll phase is over.
    pub(crate) fn settle_sources(&self) {
        let sources = &self.state.sources;
        for _ in 0..sources.settling.len() {
            let Some(token) = sources.settling.pop() else { break };
            let target = sources.with(token, |source| source.target.clone()).flatten();
            if let Some(target) = target {
                target.settle(self);
            }
        }
    }

    /// Forgets a source. Tasks that wait for it are woken, and find it gone.
    pub(crate) fn close_source(&self, token: Token) {
        let Some(mut source) = self.state.sources.remove(token) else { return };
        source.flags.update(&self.state.alive, |flags| flags.active = false);
        if source.interest != Readiness::default() {
            self.state.sources.note_deregistered(source.fd, token);
            // It fails only if the descriptor was closed under us; then the system has forgotten it already.
            let _ = self.state.driver.borrow_mut().deregister(source.fd);
        }
        source.take_waiting().for_each(Waker::wake);
    }

    /// Forgets all sources, and drops the callbacks they had. Whoever waits for one is woken, and finds it gone. Their
    /// descriptors belong to the streams.
    pub(crate) fn drop_sources(&self) {
        let slots = self.state.sources.slots.take();
        self.state.sources.registered.set(0);
        self.state.sources.foreign.take();
        for mut source in slots.into_iter().filter_map(|slot| slot.source) {
            if source.interest != Readiness::default() {
                // It fails only if the descriptor was closed under us.
                let _ = self.state.driver.borrow_mut().deregister(source.fd);
            }
            source.take_waiting().for_each(Waker::wake);
            if let Some(target) = source.target {
                target.forget();
            }
        }
    }

    /// Registers all sources again, with a driver that was opened anew.
    pub(crate) fn register_sources_again(&self) -> io::Result<()> {
        let slots = self.state.sources.slots.borrow();
        for (index, slot) in slots.iter().enumerate() {
            if let Some(source) =
                slot.source.as_ref().filter(|source| source.interest != Readiness::default())
            {
                let token = Token { slot: index as u32, generation: slot.generation };
                self.state.driver.borrow_mut().register(source.fd, token, source.interest)?;
            }
        }
        Ok(())
    }

    /// Applies a change to the flags of a source and counts the difference.
    pub(crate) fn update_source(&self, token: Token, change: impl FnOnce(&mut Flags)) {
        self.state.sources.with(token, |source| source.flags.update(&self.state.alive, change));
    }
}

/// The source was closed, or its loop was.
pub(crate) fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket was closed, or its loop was")
}
