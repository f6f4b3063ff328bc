//! Who is to be started, asked, told to end or killed, and when: decisions, without processes, sockets or a clock.
//!
//! What happened goes in with the time at which it did, counted from any start; what is to be done comes out as [`Action`]s, and
//! [`Supervisor::deadline`] says when to ask again.
//!
//! A **slot** is the place of one worker. It has one worker that counts (`current`), and in a rolling restart a successor until
//! that is ready. Workers that end are members of no slot any more, until they are gone.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::options::Options;

/// Between the time a worker has to finish and the time it is killed: it cuts its connections, tells of it, and ends.
const KILL_AFTER: Duration = Duration::from_secs(5);

/// How often a rolling restart starts the successor of one worker anew, before it is given up.
const SUCCESSORS_MAX: u32 = 3;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start a worker.
    Spawn { id: u32, slot: usize },
    /// Ask it for an answer.
    Ask(u32),
    /// Tell it to finish and end.
    End(u32),
    /// End it at once.
    Kill(u32),
    /// Tell the user.
    Tell(Notice),
}

/// What the user is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// A worker is started after this time.
    Restarting { slot: usize, delay: Duration },
    /// A slot stays empty.
    GaveUp { slot: usize, exits: usize, within: Duration },
    /// A worker did not answer, and is killed.
    Unresponsive { id: u32, unanswered: u32 },
    /// A worker was not ready in time, and is killed.
    TooSlow { id: u32 },
    /// A successor is ready, and the other was told to end.
    Replaced { old: u32, new: u32 },
    /// The rolling restart is over.
    Rolled(Result<(), RollingFailed>),
    /// No worker is left and none will come.
    Over,
}

/// Why a rolling restart ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RollingFailed {
    /// The successors of this slot's worker did not become ready. The worker stays.
    Successors(usize),
    /// The cluster is told to end.
    Ending,
}

pub(super) struct Supervisor {
    options: Options,
    /// Whether workers answer at all.
    answers: bool,
    slots: Vec<Slot>,
    members: BTreeMap<u32, Member>,
    next_id: u32,
    ask_at: Option<Duration>,
    rolling: Option<Rolling>,
    /// Set once all are to end.
    ending: bool,
    over: bool,
}

#[derive(Default)]
struct Slot {
    current: Option<u32>,
    successor: Option<u32>,
    /// When the ends of its workers were, those within `storm_within`.
    exits: VecDeque<Duration>,
    /// Ends without a healthy worker in between.
    in_a_row: u32,
    spawn_at: Option<Duration>,
    given_up: bool,
}

struct Member {
    slot: usize,
    since: Duration,
    phase: Phase,
    online: bool,
    unanswered: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting {
        until: Option<Duration>,
    },
    Ready,
    Ending {
        until: Duration,
    },
    /// Nothing more can be done but to wait.
    Killed,
}

struct Rolling {
    left: VecDeque<usize>,
    slot: usize,
    /// The worker that is replaced, once it is told to end.
    leaving: Option<u32>,
    failures: u32,
    spawn_at: Option<Duration>,
}

impl Supervisor {
    pub(super) fn new(options: &Options, answers: bool) -> Self {
        let slots = (0..options.workers.get()).map(|_| Slot::default()).collect();
        Self {
            options: options.clone(),
            answers,
            slots,
            members: BTreeMap::new(),
            next_id: 1,
            ask_at: None,
            rolling: None,
            ending: false,
            over: false,
        }
    }

    /// Starts a worker in each slot.
    pub(super) fn start(&mut self, now: Duration, out: &mut Vec<Action>) {
        if self.ending {
            return; // told to end before it began
        }
        for slot in 0..self.slots.len() {
            self.spawn(slot, now, out);
        }
        if self.answers {
            self.ask_at =
                self.options.heartbeat.as_ref().map(|heartbeat| now.saturating_add(heartbeat.interval));
        }
    }

    /// A worker speaks.
    pub(super) fn online(&mut self, id: u32) {
        if let Some(member) = self.members.get_mut(&id) {
            member.online = true;
        }
    }

    /// A worker answered.
    pub(super) fn answered(&mut self, id: u32) {
        if let Some(member) = self.members.get_mut(&id) {
            member.unanswered = 0;
        }
    }

    /// A worker takes connections.
    pub(super) fn ready(&mut self, id: u32, now: Duration, out: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if !matches!(member.phase, Phase::Starting { .. }) {
            return;
        }
        member.phase = Phase::Ready;
        let index = member.slot;
        let slot = &mut self.slots[index];
        if slot.successor == Some(id) {
            slot.successor = None;
            if let Some(old) = slot.current.replace(id) {
                out.push(Action::Tell(Notice::Replaced { old, new: id }));
                self.end(old, now, out);
                if let Some(rolling) = &mut self.rolling {
                    rolling.leaving = Some(old);
                }
            }
        }
        self.roll_on(now, out);
    }

    /// A worker ends by its own decision, and finishes what it does: its successor need not wait for that.
    pub(super) fn leaving(&mut self, id: u32, now: Duration, out: &mut Vec<Action>) {
        let until = self.last_moment(now);
        let Some(member) = self.members.get_mut(&id) else { return };
        if matches!(member.phase, Phase::Ending { .. } | Phase::Killed) {
            return;
        }
        member.phase = Phase::Ending { until };
        self.leaves_slot(id, now, out);
    }

    /// A worker has ended, or could not be started.
    pub(super) fn gone(&mut self, id: u32, now: Duration, out: &mut Vec<Action>) {
        if self.members.contains_key(&id) {
            self.leaves_slot(id, now, out);
            self.members.remove(&id);
            self.roll_on(now, out);
            self.look_whether_over(out);
        }
    }

    /// Tells all workers to end; no new ones are started.
    pub(super) fn end_all(&mut self, now: Duration, out: &mut Vec<Action>) {
        self.begin_end(out);
        let ids: Vec<u32> = self.members.keys().copied().collect();
        ids.into_iter().for_each(|id| self.end(id, now, out));
        self.look_whether_over(out);
    }

    /// Kills all that are left.
    pub(super) fn kill_all(&mut self, out: &mut Vec<Action>) {
        self.begin_end(out);
        for (id, member) in &mut self.members {
            if member.phase != Phase::Killed {
                member.phase = Phase::Killed;
                out.push(Action::Kill(*id));
            }
        }
        self.look_whether_over(out);
    }

    /// Nothing is started any more.
    fn begin_end(&mut self, out: &mut Vec<Action>) {
        self.ending = true;
        self.slots.iter_mut().for_each(|slot| slot.spawn_at = None);
        if self.rolling.take().is_some() {
            out.push(Action::Tell(Notice::Rolled(Err(RollingFailed::Ending))));
        }
    }

    /// Replaces each worker by a new one, one after the other: the successor is ready before the worker is told to end, and the worker is
    /// gone before the next one's turn. False if one is under way, or all are to end.
    pub(super) fn roll(&mut self, now: Duration, out: &mut Vec<Action>) -> bool {
        if self.rolling.is_some() || self.ending || self.over {
            return false;
        }
        let mut left: VecDeque<usize> = (0..self.slots.len()).collect();
        let Some(slot) = left.pop_front() else { return false };
        self.rolling = Some(Rolling { left, slot, leaving: None, failures: 0, spawn_at: None });
        self.roll_slot(now, out);
        true
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let members = self.members.values().filter_map(|member| match member.phase {
            Phase::Starting { until } => until,
            Phase::Ending { until } => Some(until),
            Phase::Ready | Phase::Killed => None,
        });
        let asks = self.ask_at.filter(|_| !self.members.is_empty());
        let rolling = self.rolling.as_ref().and_then(|rolling| rolling.spawn_at);
        members.chain(self.slots.iter().filter_map(|slot| slot.spawn_at)).chain(asks).chain(rolling).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Duration, out: &mut Vec<Action>) {
        for slot in 0..self.slots.len() {
            if self.slots[slot].spawn_at.is_some_and(|at| at <= now) {
                self.spawn(slot, now, out);
            }
        }
        if self.rolling.as_ref().and_then(|rolling| rolling.spawn_at).is_some_and(|at| at <= now) {
            self.roll_slot(now, out);
        }
        for (id, member) in &mut self.members {
            let due = match member.phase {
                Phase::Starting { until: Some(until) } => until <= now,
                Phase::Ending { until } => until <= now,
                _ => false,
            };
            if due {
                if matches!(member.phase, Phase::Starting { .. }) {
                    out.push(Action::Tell(Notice::TooSlow { id: *id }));
                }
                member.phase = Phase::Killed;
                out.push(Action::Kill(*id));
            }
        }
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask(now, out);
        }
    }

    fn ask(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(heartbeat) = &self.options.heartbeat else { return };
        self.ask_at = Some(now.saturating_add(heartbeat.interval));
        for (id, member) in self.members.iter_mut().filter(|(_, member)| member.online) {
            // One that starts may take long without coming back to its loop: `start_timeout` bounds that.
            if matches!(member.phase, Phase::Killed | Phase::Starting { .. }) {
                continue;
            }
            if member.unanswered >= heartbeat.unanswered_max {
                member.phase = Phase::Killed;
                out.push(Action::Tell(Notice::Unresponsive { id: *id, unanswered: member.unanswered }));
                out.push(Action::Kill(*id));
            } else {
                member.unanswered += 1;
                out.push(Action::Ask(*id));
            }
        }
    }

    fn spawn(&mut self, slot: usize, now: Duration, out: &mut Vec<Action>) {
        let id = self.enrol(slot, now, out);
        let slot = &mut self.slots[slot];
        slot.spawn_at = None;
        slot.current = Some(id);
    }

    fn enrol(&mut self, slot: usize, now: Duration, out: &mut Vec<Action>) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let until = self.options.start_timeout.map(|timeout| now.saturating_add(timeout));
        let phase = Phase::Starting { until };
        self.members.insert(id, Member { slot, since: now, phase, online: false, unanswered: 0 });
        out.push(Action::Spawn { id, slot });
        id
    }

    fn end(&mut self, id: u32, now: Duration, out: &mut Vec<Action>) {
        let until = self.last_moment(now);
        if let Some(member) = self.members.get_mut(&id)
            && !matches!(member.phase, Phase::Ending { .. } | Phase::Killed)
        {
            member.phase = Phase::Ending { until };
            out.push(Action::End(id));
        }
    }

    /// When a worker is killed that is told to end now.
    fn last_moment(&self, now: Duration) -> Duration {
        now.saturating_add(self.options.grace).saturating_add(KILL_AFTER)
    }

    /// Takes a worker out of its slot, and sees to a new one.
    fn leaves_slot(&mut self, id: u32, now: Duration, out: &mut Vec<Action>) {
        let Some(member) = self.members.get(&id) else { return };
        let (index, lived) = (member.slot, now.saturating_sub(member.since));
        let slot = &mut self.slots[index];
        if slot.successor == Some(id) {
            slot.successor = None;
            self.successor_failed(index, now, out);
        } else if slot.current == Some(id) {
            slot.current = slot.successor.take();
            if slot.current.is_none() && !self.ending {
                self.restart(index, lived, now, out);
            }
        }
    }

    /// Counts the end of a slot's worker, and sets when the next one comes.
    fn restart(&mut self, index: usize, lived: Duration, now: Duration, out: &mut Vec<Action>) {
        let rules = &self.options.restart;
        let slot = &mut self.slots[index];
        while slot.exits.front().is_some_and(|at| now.saturating_sub(*at) >= rules.storm_within) {
            slot.exits.pop_front();
        }
        slot.exits.push_back(now);
        if slot.exits.len() >= rules.storm_exits.get() {
            slot.given_up = true;
            let (exits, within) = (slot.exits.len(), rules.storm_within);
            out.push(Action::Tell(Notice::GaveUp { slot: index, exits, within }));
            return;
        }
        slot.in_a_row = if lived >= rules.healthy_after { 1 } else { slot.in_a_row.saturating_add(1) };
        let delay = backoff(slot.in_a_row, rules.delay_first, rules.delay_max);
        out.push(Action::Tell(Notice::Restarting { slot: index, delay }));
        match delay.is_zero() {
            true => self.spawn(index, now, out),
            false => self.slots[index].spawn_at = Some(now.saturating_add(delay)),
        }
    }

    fn successor_failed(&mut self, index: usize, now: Duration, out: &mut Vec<Action>) {
        let rules = &self.options.restart;
        let Some(rolling) = self.rolling.as_mut().filter(|rolling| rolling.slot == index) else { return };
        rolling.failures += 1;
        if rolling.failures >= SUCCESSORS_MAX {
            self.rolling = None;
            out.push(Action::Tell(Notice::Rolled(Err(RollingFailed::Successors(index)))));
        } else {
            let delay = backoff(rolling.failures + 1, rules.delay_first, rules.delay_max);
            rolling.spawn_at = Some(now.saturating_add(delay));
        }
    }

    /// Starts the successor in the slot whose turn it is, or the worker itself if there is none.
    fn roll_slot(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(rolling) = &mut self.rolling else { return };
        rolling.spawn_at = None;
        let index = rolling.slot;
        if self.slots[index].current.is_none() {
            let slot = &mut self.slots[index];
            (slot.given_up, slot.in_a_row) = (false, 0);
            slot.exits.clear();
            self.spawn(index, now, out);
        } else {
            let id = self.enrol(index, now, out);
            self.slots[index].successor = Some(id);
        }
    }

    /// Goes on to the next slot if this one is done.
    fn roll_on(&mut self, now: Duration, out: &mut Vec<Action>) {
        let Some(rolling) = &mut self.rolling else { return };
        let slot = &self.slots[rolling.slot];
        if rolling.leaving.is_some_and(|old| self.members.contains_key(&old)) {
            return;
        }
        let waits = slot.successor.is_some() || rolling.spawn_at.is_some() || slot.spawn_at.is_some();
        let current = slot.current.and_then(|id| self.members.get(&id));
        let is_ready = current.is_some_and(|member| member.phase == Phase::Ready);
        if waits || !(is_ready || slot.given_up) {
            return;
        }
        if slot.given_up {
            let failed = RollingFailed::Successors(rolling.slot);
            self.rolling = None;
            out.push(Action::Tell(Notice::Rolled(Err(failed))));
            return;
        }
        (rolling.leaving, rolling.failures) = (None, 0);
        match rolling.left.pop_front() {
            Some(next) => {
                rolling.slot = next;
                self.roll_slot(now, out);
            }
            None => {
                self.rolling = None;
                out.push(Action::Tell(Notice::Rolled(Ok(()))));
            }
        }
    }

    fn look_whether_over(&mut self, out: &mut Vec<Action>) {
        let none_will_come = self.ending || self.slots.iter().all(|slot| slot.given_up);
        if self.members.is_empty() && none_will_come && self.rolling.is_none() && !self.over {
            self.over = true;
            out.push(Action::Tell(Notice::Over));
        }
    }
}

/// Nothing after the first end, then twice the time each.
fn backoff(in_a_row: u32, first: Duration, max: Duration) -> Duration {
    match in_a_row {
        0 | 1 => Duration::ZERO,
        more => first.saturating_mul(1_u32.checked_shl(more - 2).unwrap_or(u32::MAX)).min(max),
    }
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
