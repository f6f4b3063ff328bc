//! One worker, as the primary holds it: a process or a thread, and the channel to it.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use phaseloop::ipc::{Channel, ChannelLimits, Framing, Message, SendError};
use phaseloop::net::UnixStream;
use phaseloop::process::Child;
use phaseloop::signal::Signal;
use phaseloop::threads::{self, WorkerError};

use super::core::Core;
use super::event::{Drained, Ending, WorkerEnd, WorkerId};
use super::wire::{OWN_ROOM, Seat, VARIABLE};
use super::worker::Worker;
use super::workers::{Kind, NewWorker};

/// How long the channel of a worker that has ended may stay open, since somebody else may hold its other end; how long a thread may take
/// to stop; and how long a worker's end waits at least for the primary to read, however short the grace.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a worker and the primary talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Own,
    Node,
}

pub(super) struct Member {
    pub(super) id: u32,
    pub(super) slot: usize,
    pub(super) channel: Channel,
    pub(super) dialect: Dialect,
    pub(super) drained: Cell<Option<Drained>>,
    pub(super) was_told: Cell<bool>,
    pub(super) was_killed: Cell<bool>,
    /// It ends by its own decision.
    pub(super) is_leaving: Cell<bool>,
    /// Its channel has no room: it gets no connections until it has.
    pub(super) is_full: Cell<bool>,
    /// It said that it wants no connections for now.
    pub(super) is_paused: Cell<bool>,
    pub(super) is_ready: Cell<bool>,
    body: Body,
    ending: RefCell<Option<Ending>>,
    disconnected: Cell<bool>,
}

enum Body {
    Process(Child),
    Thread(threads::Worker<(), ()>),
}

impl Member {
    /// Starts a worker. Its end is told to `core`.
    pub(super) fn start(core: &Rc<Core>, seat: &Seat) -> io::Result<Rc<Self>> {
        let limits = ChannelLimits {
            message_len_max: core.options.limits.message_len_max,
            send_queue_len_max: core.options.limits.send_queue_len_max.saturating_add(OWN_ROOM),
            receive_queue_len_max: core.options.limits.send_queue_len_max,
            ..ChannelLimits::default()
        };
        let new = NewWorker { id: WorkerId(seat.id), slot: seat.slot };
        let (body, channel, dialect) = match &core.workers.0 {
            Kind::Processes(command) => {
                let seat = serde_json::to_string(seat)?;
                let command = command(&new).env(VARIABLE, seat);
                let (child, channel) = command.spawn_with_channel(&core.lp, Framing::OWN, limits)?;
                (Body::Process(child), channel, Dialect::Own)
            }
            Kind::Node(command) => {
                let command = command(&new).env("NODE_UNIQUE_ID", seat.id.to_string());
                let (child, channel) = command.spawn_with_channel(&core.lp, Framing::NODE, limits)?;
                (Body::Process(child), channel, Dialect::Node)
            }
            Kind::Threads(main) => {
                let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
                let ours = UnixStream::from_std(&core.lp, ours)?;
                let (main, seat) = (Arc::clone(main), seat.clone());
                let builder = threads::Builder::default().name(format!("worker-{}", seat.id));
                let thread = builder.spawn(&core.lp, move |lp, _port: threads::Port<(), ()>| {
                    // It fails only without descriptors; the primary sees that the channel ended.
                    if let Ok(stream) = UnixStream::from_std(lp, theirs) {
                        let channel = Channel::new(stream, Framing::OWN, Worker::channel_limits());
                        main(lp, Worker::open(channel, seat));
                    }
                })?;
                (Body::Thread(thread), Channel::new(ours, Framing::OWN, limits), Dialect::Own)
            }
        };
        let member = Rc::new(Self {
            id: seat.id,
            slot: seat.slot,
            channel,
            dialect,
            drained: Cell::default(),
            was_told: Cell::default(),
            was_killed: Cell::default(),
            is_leaving: Cell::default(),
            is_full: Cell::default(),
            is_paused: Cell::default(),
            is_ready: Cell::default(),
            body,
            ending: RefCell::default(),
            disconnected: Cell::default(),
        });
        member.watch(core);
        Ok(member)
    }

    /// Its process; `None` for a thread.
    pub(super) fn pid(&self) -> Option<u32> {
        match &self.body {
            Body::Process(child) => Some(child.id()),
            Body::Thread(_) => None,
        }
    }

    /// It is to get no connections any more.
    pub(super) fn is_ending(&self) -> bool {
        self.was_told.get() || self.was_killed.get() || self.is_leaving.get() || self.disconnected.get()
    }

    /// Sends what must come, once there is room if there is none now. One that is not connected ends anyway.
    pub(super) fn send_surely(&self, message: Message) {
        if let Err(SendError::Full { message, .. }) = self.channel.send(message) {
            let channel = self.channel.clone();
            let task = self.channel.lp().spawn(async move { channel.send_when_room(message).await });
            task.unref();
        }
    }

    /// Ends it at once, as far as that can be done.
    pub(super) fn kill(self: &Rc<Self>, core: &Rc<Core>) {
        self.was_killed.set(true);
        match &self.body {
            // It fails only for a process that has ended.
            Body::Process(child) => drop(child.kill(Signal::KILL)),
            Body::Thread(thread) => {
                thread.stop(); // enough for one whose loop runs
                let (member, core) = (Rc::clone(self), Rc::clone(core));
                core.lp.clone().timer(LAST_WORDS, move |_| member.abandon(&core));
            }
        }
    }

    /// Gives a thread up that did not stop.
    fn abandon(&self, core: &Rc<Core>) {
        if self.ending.borrow().is_none() {
            if let Body::Thread(thread) = &self.body {
                thread.unref();
            }
            self.has_ended(core, Ending::Abandoned);
            self.channel.close();
        }
    }

    /// How it ended, for the report.
    pub(super) fn end(&self) -> WorkerEnd {
        let unknown = || Ending::Unknown("how it ended is not known".to_owned());
        WorkerEnd {
            worker: WorkerId(self.id),
            slot: self.slot,
            ending: self.ending.borrow().clone().unwrap_or_else(unknown),
            was_told: self.was_told.get(),
            was_killed: self.was_killed.get(),
            drained: self.drained.get(),
        }
    }

    fn watch(self: &Rc<Self>, core: &Rc<Core>) {
        let (weak, told) = (Rc::downgrade(self), Rc::clone(core));
        let exited = move |ending| with(&weak, |member| member.has_ended(&told, ending));
        match &self.body {
            Body::Process(child) => child.on_exit(move |_, status| {
                exited(match status {
                    Ok(status) => Ending::Process(status),
                    Err(error) => Ending::Unknown(error.to_string()),
                });
            }),
            Body::Thread(thread) => thread.on_exit(move |_, ended| {
                exited(match ended {
                    Ok(_) => Ending::Thread,
                    Err(error @ WorkerError::Panicked(_)) => Ending::Panicked(error.to_string()),
                    Err(error) => Ending::Unknown(error.to_string()),
                });
            }),
        }
        let (weak, told) = (Rc::downgrade(self), Rc::clone(core));
        self.channel.on_internal(move |_, message| with(&weak, |member| told.on_internal(member, message)));
        let (weak, told) = (Rc::downgrade(self), Rc::clone(core));
        self.channel.on_message(move |_, message| with(&weak, |member| told.on_message(member, message)));
        let (weak, told) = (Rc::downgrade(self), Rc::clone(core));
        self.channel.on_disconnect(move |_| {
            with(&weak, |member| {
                member.disconnected.set(true);
                told.on_disconnect(member);
                member.look(&told);
            });
        });
    }

    fn has_ended(self: &Member, core: &Rc<Core>, ending: Ending) {
        if self.ending.borrow().is_some() {
            return;
        }
        self.ending.replace(Some(ending));
        self.look(core);
        if !self.disconnected.get() {
            // What it said last is read first. A descendant of it may hold the channel open for ever.
            let channel = self.channel.clone();
            let timer = core.lp.timer(LAST_WORDS, move |_| channel.close());
            core.lp.unref_timer(timer);
        }
    }

    /// INVARIANT last words: a worker is gone when it has ended **and** all that it sent was read. What it confirmed before it died
    /// is its own, and goes to nobody else.
    fn look(&self, core: &Rc<Core>) {
        if self.disconnected.get() && self.ending.borrow().is_some() {
            core.gone(self.id);
        }
    }
}

fn with(member: &Weak<Member>, f: impl FnOnce(&Rc<Member>)) {
    if let Some(member) = member.upgrade() {
        f(&member);
    }
}
