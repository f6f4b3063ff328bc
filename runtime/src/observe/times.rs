//! What the callbacks of each phase cost.

use std::time::Duration;

use crate::schedule::Phase;
use crate::state::place::QueueKind;
use crate::state::watch::Call;
use crate::time::clock::Nanos;

/// What ran from one queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ran {
    /// How many ran.
    pub count: u64,
    /// How long they ran, together.
    pub total: Duration,
    /// The longest of them.
    pub longest: Duration,
}

impl Ran {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.total += other.total;
        self.longest = self.longest.max(other.longest);
    }
}

/// What ran in one phase: its callbacks, and the ticks and microtasks of the checkpoints after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseTimes {
    /// The phase's own callbacks.
    pub callbacks: Ran,
    /// Ticks of its checkpoints.
    pub ticks: Ran,
    /// Microtasks of its checkpoints. Polls of tasks are microtasks.
    pub microtasks: Ran,
}

impl PhaseTimes {
    /// All three together.
    pub fn all(&self) -> Ran {
        let mut all = self.callbacks;
        all.add(self.ticks);
        all.add(self.microtasks);
        all
    }

    fn queue(&mut self, queue: QueueKind) -> &mut Ran {
        match queue {
            QueueKind::Callbacks => &mut self.callbacks,
            QueueKind::Ticks => &mut self.ticks,
            QueueKind::Microtasks | QueueKind::Drained => &mut self.microtasks, // the drained hook ends a drain
        }
    }
}

/// What ran in a loop, phase by phase: what an [`Observer`](super::Observer) has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoopTimes {
    /// Turns begun.
    pub turns: u64,
    /// Time that passed, waits included.
    pub elapsed: Duration,
    /// Time spent waiting in poll.
    pub idle: Duration,
    /// What ran outside of the phases: what the main program queued, and hooks before exit.
    pub outside: PhaseTimes,
    phases: [PhaseTimes; PHASES.len()],
}

/// The phases, in the order of the default turn.
const PHASES: [Phase; 7] =
    [Phase::Timers, Phase::Pending, Phase::Idle, Phase::Prepare, Phase::Poll, Phase::Check, Phase::Close];

impl LoopTimes {
    /// What ran in `phase`.
    pub fn of(&self, phase: Phase) -> &PhaseTimes {
        &self.phases[index(phase)]
    }

    /// Each phase with what ran in it.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, &PhaseTimes)> {
        PHASES.into_iter().zip(&self.phases)
    }

    /// What ran in all phases and outside of them.
    pub fn all(&self) -> Ran {
        let mut all = self.outside.all();
        self.phases.iter().for_each(|phase| all.add(phase.all()));
        all
    }

    pub(super) fn add(&mut self, call: &Call, ran: Nanos) {
        let times = call.phase.map_or(&mut self.outside, |phase| &mut self.phases[index(phase)]);
        let ran = Duration::from_nanos(ran);
        times.queue(call.queue).add(Ran { count: 1, total: ran, longest: ran });
    }
}

fn index(phase: Phase) -> usize {
    match phase {
        Phase::Timers => 0,
        Phase::Pending => 1,
        Phase::Idle => 2,
        Phase::Prepare => 3,
        Phase::Poll => 4,
        Phase::Check => 5,
        Phase::Close => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::{PHASES, index};

    #[test]
    fn each_phase_has_a_place_of_its_own() {
        assert!(PHASES.iter().enumerate().all(|(place, phase)| index(*phase) == place));
    }
}
