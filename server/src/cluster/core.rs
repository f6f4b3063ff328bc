//! The primary behind its handle: has the supervisor decide, does what it says, and listens to the workers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use phaseloop::channel::Sender;
use phaseloop::ipc::{Message, ReceiveError};
use phaseloop::{LoopHandle, TimerId};

use super::event::{Ending, Event, RestartError, RestartReport, WorkerEnd, WorkerId};
use super::events::Listeners;
use super::handing::Pending;
use super::listening::Listening;
use super::member::{Dialect, LAST_WORDS, Member};
use super::options::Options;
use super::primary::Primary;
use super::supervisor::{Action, Notice, RollingFailed, Supervisor};
use super::wire::{Seat, ToWorker, encode};
use super::workers::{Kind, Workers};
use super::{node_talk, own_talk};

pub(super) struct Core {
    pub(super) lp: LoopHandle,
    pub(super) options: Options,
    pub(super) workers: Workers,
    pub(super) listenings: RefCell<Vec<Rc<Listening>>>,
    pub(super) members: RefCell<BTreeMap<u32, Rc<Member>>>,
    /// Connections that the primary accepted and no worker has confirmed.
    pub(super) pending: RefCell<BTreeMap<u64, Pending>>,
    pub(super) next_connection: Cell<u64>,
    /// Dispatches whose orders are being done, one within the other.
    pub(super) ordering: Cell<u32>,
    pub(super) events: Listeners,
    pub(super) given_up: RefCell<Vec<usize>>,
    /// Connections that were accepted and closed, since no worker took them.
    pub(super) unserved: Cell<usize>,
    supervisor: RefCell<Supervisor>,
    since: Instant,
    timer: Cell<Option<TimerId>>,
    rolling: RefCell<Option<Rolling>>,
    /// How workers ended since the cluster was told to.
    ends: RefCell<Option<Vec<WorkerEnd>>>,
    end: Cell<End>,
    is_over: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

/// How far the end has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    No,
    /// What waits in the backlog is accepted.
    Accepting,
    /// What was accepted is handed on; then, or when this is due, the workers are told.
    Handing(TimerId),
    Told,
}

type Rolled = Result<RestartReport, RestartError>;

/// A rolling restart that is under way.
struct Rolling {
    olds: Vec<u32>,
    report: RestartReport,
    done: Sender<Rolled>,
}

impl Core {
    pub(super) fn new(
        lp: &LoopHandle,
        options: Options,
        workers: Workers,
        listenings: Vec<Rc<Listening>>,
    ) -> Rc<Self> {
        let answers = !matches!(workers.0, Kind::Node(_));
        Rc::new(Self {
            lp: lp.clone(),
            supervisor: RefCell::new(Supervisor::new(&options, answers)),
            options,
            workers,
            listenings: RefCell::new(listenings),
            members: RefCell::default(),
            pending: RefCell::default(),
            next_connection: Cell::new(1),
            ordering: Cell::new(0),
            events: Listeners::default(),
            given_up: RefCell::default(),
            unserved: Cell::new(0),
            since: lp.now(),
            timer: Cell::new(None),
            rolling: RefCell::default(),
            ends: RefCell::default(),
            end: Cell::new(End::No),
            is_over: Cell::new(false),
            waiting: RefCell::default(),
        })
    }

    pub(super) fn tell(self: &Rc<Self>, event: Event) {
        self.events.tell(&self.lp, &Primary::of(self), event);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// How workers ended since the cluster was told to.
    pub(super) fn ends(&self) -> Vec<WorkerEnd> {
        self.ends.borrow().clone().unwrap_or_default()
    }

    pub(super) fn wait_for_end(&self, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    // --- what the supervisor decides ------------------------------------------------------------------------------------

    pub(super) fn start(self: &Rc<Self>) {
        self.decide(Supervisor::start);
    }

    /// Has all that was accepted handed on, and then tells the workers to end.
    pub(super) fn end_all(self: &Rc<Self>) {
        if self.end.get() != End::No {
            return;
        }
        self.ends.borrow_mut().get_or_insert_default();
        self.end.set(End::Accepting);
        self.hand_last();
        let core = Rc::clone(self);
        let timer = self.lp.timer(LAST_WORDS, move |_| core.tell_end());
        self.end.set(End::Handing(timer));
        self.end_once_handed();
    }

    /// Tells the workers to end, if they are to and nothing is to be handed on before.
    pub(super) fn end_once_handed(self: &Rc<Self>) {
        let is_ordering = self.ordering.get() > 0; // what it has decided is not all done
        if matches!(self.end.get(), End::Handing(_)) && !is_ordering && !self.has_to_hand() {
            self.tell_end();
        }
    }

    fn tell_end(self: &Rc<Self>) {
        if let End::Handing(timer) = self.end.replace(End::Told) {
            self.lp.stop_timer(timer);
            self.close_rest();
            self.decide(Supervisor::end_all);
        }
    }

    /// It is told to end.
    pub(super) fn is_ending(&self) -> bool {
        self.end.get() != End::No
    }

    pub(super) fn kill_all(self: &Rc<Self>) {
        self.ends.borrow_mut().get_or_insert_default();
        self.decide(|supervisor, _, out| supervisor.kill_all(out));
    }

    /// Begins a rolling restart. `done` is told how it went.
    pub(super) fn roll(self: &Rc<Self>, done: Sender<Rolled>) {
        if self.rolling.borrow().is_some() {
            // Nobody waits for it any more, if it can not be told.
            let _ = done.send(Err(RestartError::UnderWay));
            return;
        }
        self.rolling.replace(Some(Rolling { olds: Vec::new(), report: RestartReport::default(), done }));
        let mut begun = false;
        self.decide(|supervisor, now, out| begun = supervisor.roll(now, out));
        if !begun {
            self.rolled(Err(RestartError::Ending));
        }
    }

    pub(super) fn is_online(self: &Rc<Self>, member: &Member) {
        self.decide(|supervisor, _, _| supervisor.online(member.id));
        self.tell(Event::Online { worker: WorkerId(member.id) });
    }

    pub(super) fn answered(self: &Rc<Self>, member: &Member) {
        self.supervisor.borrow_mut().answered(member.id);
    }

    pub(super) fn is_ready(self: &Rc<Self>, member: &Member) {
        if !member.is_ready.replace(true) {
            self.tell(Event::Ready { worker: WorkerId(member.id) });
            self.decide(|supervisor, now, out| supervisor.ready(member.id, now, out));
        }
    }

    /// A worker ends by its own decision.
    pub(super) fn is_leaving(self: &Rc<Self>, member: &Member) {
        member.is_leaving.set(true);
        self.leave_all(member.id);
        self.decide(|supervisor, now, out| supervisor.leaving(member.id, now, out));
    }

    pub(super) fn gone(self: &Rc<Self>, id: u32) {
        let Some(member) = self.members.borrow_mut().remove(&id) else { return };
        self.gone_from_all(id);
        let end = member.end();
        if let Some(ends) = &mut *self.ends.borrow_mut() {
            ends.push(end.clone());
        }
        if let Some(rolling) = &mut *self.rolling.borrow_mut()
            && rolling.olds.contains(&id)
        {
            rolling.report.replaced.push(end.clone());
        }
        self.tell(Event::Exited(end));
        self.decide(|supervisor, now, out| supervisor.gone(id, now, out));
    }

    /// Has the supervisor decide, and does what it says. What that brings about at once is decided behind it.
    fn decide(self: &Rc<Self>, f: impl FnOnce(&mut Supervisor, Duration, &mut Vec<Action>)) {
        let mut out = Vec::new();
        f(&mut self.supervisor.borrow_mut(), self.lp.now() - self.since, &mut out);
        out.into_iter().for_each(|action| self.act(action));
        self.set_timer();
    }

    fn set_timer(self: &Rc<Self>) {
        let deadline = self.supervisor.borrow().deadline();
        if let Some(timer) = self.timer.take() {
            self.lp.stop_timer(timer);
        }
        let Some(deadline) = deadline.filter(|_| !self.is_over.get()) else { return };
        let core = Rc::clone(self);
        let delay = deadline.saturating_sub(self.lp.now().saturating_duration_since(self.since));
        let timer = self.lp.timer(delay, move |_| {
            core.timer.set(None);
            core.decide(Supervisor::tick);
        });
        self.timer.set(Some(timer));
    }

    fn act(self: &Rc<Self>, action: Action) {
        match action {
            Action::Spawn { id, slot } => self.spawn(id, slot),
            Action::Ask(id) => {
                if let Some(member) = self.member(id) {
                    // If it can not be sent, it is not answered, which is what counts.
                    let _ = member.channel.send(encode(&ToWorker::Ask, b""));
                }
            }
            Action::End(id) => self.end(id),
            Action::Kill(id) => {
                if let Some(member) = self.member(id) {
                    self.leave_all(id);
                    member.kill(self);
                }
            }
            Action::Tell(notice) => self.notice(notice),
        }
    }

    pub(super) fn member(&self, id: u32) -> Option<Rc<Member>> {
        self.members.borrow().get(&id).cloned()
    }

    fn spawn(self: &Rc<Self>, id: u32, slot: usize) {
        let listeners = self.listenings.borrow().iter().map(|listening| listening.seat()).collect();
        self.given_up.borrow_mut().retain(|known| *known != slot);
        let grace_ms = u64::try_from(self.options.grace.as_millis()).unwrap_or(u64::MAX);
        let seat = Seat { id, slot, listeners, grace_ms };
        match Member::start(self, &seat) {
            Ok(member) => {
                self.members.borrow_mut().insert(id, Rc::clone(&member));
                self.tell(Event::Started { worker: WorkerId(id), slot, pid: member.pid() });
                if member.dialect == Dialect::Own {
                    own_talk::greet(self, &member);
                }
            }
            Err(error) => {
                let ending = Ending::Unknown(format!("it could not be started: {error}"));
                self.tell(Event::StartFailed { worker: WorkerId(id), error });
                if let Some(ends) = &mut *self.ends.borrow_mut() {
                    ends.push(WorkerEnd::not_started(WorkerId(id), slot, ending));
                }
                self.decide(|supervisor, now, out| supervisor.gone(id, now, out));
            }
        }
    }

    fn end(self: &Rc<Self>, id: u32) {
        let Some(member) = self.member(id) else { return };
        member.was_told.set(true);
        self.leave_all(id);
        match member.dialect {
            Dialect::Own => own_talk::end(self, &member),
            Dialect::Node => node_talk::end(&member),
        }
    }

    fn notice(self: &Rc<Self>, notice: Notice) {
        match notice {
            Notice::Restarting { slot, delay } => self.tell(Event::Restarting { slot, delay }),
            Notice::GaveUp { slot, exits, within } => {
                self.given_up.borrow_mut().push(slot);
                self.tell(Event::GaveUp { slot, exits, within });
                own_talk::adopt(self, slot);
            }
            Notice::Unresponsive { id, unanswered } => {
                self.tell(Event::Unresponsive { worker: WorkerId(id), unanswered });
            }
            Notice::TooSlow { id } => self.tell(Event::TooSlow { worker: WorkerId(id) }),
            Notice::Replaced { old, new } => {
                if let Some(rolling) = &mut *self.rolling.borrow_mut() {
                    rolling.olds.push(old);
                }
                self.tell(Event::Replaced { old: WorkerId(old), new: WorkerId(new) });
            }
            Notice::Rolled(Ok(())) => self.rolled(Ok(())),
            Notice::Rolled(Err(RollingFailed::Successors(slot))) => {
                self.rolled(Err(RestartError::SuccessorsFailed { slot }));
            }
            Notice::Rolled(Err(RollingFailed::Ending)) => self.rolled(Err(RestartError::Ending)),
            Notice::Over => self.over(),
        }
    }

    fn rolled(self: &Rc<Self>, result: Result<(), RestartError>) {
        if let Some(rolling) = self.rolling.take() {
            let result = result.map(|()| rolling.report);
            self.tell(Event::RollingRestart(result.clone()));
            // Whoever began it may not wait for it.
            let _ = rolling.done.send(result);
        }
    }

    /// No worker is left and none will come.
    fn over(self: &Rc<Self>) {
        self.is_over.set(true);
        if let Some(timer) = self.timer.take() {
            self.lp.stop_timer(timer);
        }
        self.close_all();
        self.events.end(&self.lp);
        self.waiting.take().into_iter().for_each(Waker::wake);
    }

    // --- what workers say -----------------------------------------------------------------------------------------------

    pub(super) fn on_internal(self: &Rc<Self>, member: &Rc<Member>, message: Message) {
        let understood = match member.dialect {
            Dialect::Own => own_talk::hear(self, member, &message),
            Dialect::Node => node_talk::hear(self, member, &message),
        };
        if let Err(problem) = understood {
            self.tell(Event::BadMessage { worker: WorkerId(member.id), problem });
        }
    }

    pub(super) fn on_message(self: &Rc<Self>, member: &Rc<Member>, message: Result<Message, ReceiveError>) {
        let worker = WorkerId(member.id);
        self.tell(match message {
            Ok(message) => Event::Message { worker, message },
            Err(error) => Event::BadMessage { worker, problem: error.to_string() },
        });
    }

    pub(super) fn on_disconnect(self: &Rc<Self>, member: &Rc<Member>) {
        self.leave_all(member.id);
        self.tell(Event::Disconnected { worker: WorkerId(member.id) });
    }

    pub(super) fn failed(self: &Rc<Self>, listening: &Listening, error: io::Error) {
        self.tell(Event::ConnectionFailed { listener: listening.name.clone(), error });
    }
}
