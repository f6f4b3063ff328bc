//! What the supervisor decides.

use std::num::NonZeroUsize;

use super::*;
use crate::cluster::options::Heartbeat;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A supervisor of some workers, and what it wants.
struct Watched {
    supervisor: Supervisor,
    now: Duration,
    out: Vec<Action>,
}

impl Watched {
    fn new(workers: usize, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { workers: workers.try_into().unwrap(), ..Options::default() };
        change(&mut options);
        let mut watched =
            Self { supervisor: Supervisor::new(&options, true), now: secs(100), out: Vec::new() };
        watched.supervisor.start(watched.now, &mut watched.out);
        watched
    }

    /// Started, and all ready.
    fn ready(workers: usize, change: impl FnOnce(&mut Options)) -> Self {
        let mut watched = Self::new(workers, change);
        for id in 1..=u32::try_from(workers).unwrap() {
            watched.supervisor.online(id);
            watched.is_ready(id);
        }
        watched.out.clear();
        watched
    }

    fn is_ready(&mut self, id: u32) {
        self.supervisor.ready(id, self.now, &mut self.out);
    }

    fn gone(&mut self, id: u32) {
        self.supervisor.gone(id, self.now, &mut self.out);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.supervisor.tick(self.now, &mut self.out);
    }

    fn took(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }
}

fn restarting(slot: usize, delay: Duration) -> Action {
    Action::Tell(Notice::Restarting { slot, delay })
}

#[test]
fn each_slot_gets_a_worker() {
    let mut watched = Watched::new(2, |_| {});
    assert_eq!(watched.took(), [Action::Spawn { id: 1, slot: 0 }, Action::Spawn { id: 2, slot: 1 }]);
}

#[test]
fn the_first_end_is_answered_at_once_and_the_next_ones_later_and_later() {
    let mut watched = Watched::ready(1, |_| {});
    watched.gone(1);
    assert_eq!(watched.took(), [restarting(0, ms(0)), Action::Spawn { id: 2, slot: 0 }]);
    for (id, delay) in [(2, ms(100)), (3, ms(200)), (4, ms(400)), (5, ms(800))] {
        watched.gone(id);
        assert_eq!(watched.took(), [restarting(0, delay)]);
        assert_eq!(watched.supervisor.deadline(), Some(watched.now + delay));
        watched.pass(delay - ms(1));
        assert_eq!(watched.took(), []);
        watched.pass(ms(1));
        assert_eq!(watched.took(), [Action::Spawn { id: id + 1, slot: 0 }]);
    }
    watched.supervisor.options.heartbeat = None;
    watched.supervisor.ask_at = None;
    watched.is_ready(6);
    watched.pass(secs(30));
    watched.gone(6);
    assert_eq!(watched.took()[0], restarting(0, ms(0)), "it was healthy");
}

#[test]
fn a_storm_is_given_up_and_the_end_of_all_is_told() {
    let mut watched = Watched::ready(2, |options| options.restart.storm_exits = 3.try_into().unwrap());
    let gave_up = |slot| Action::Tell(Notice::GaveUp { slot, exits: 3, within: secs(60) });
    for id in [1, 3, 4] {
        watched.out.clear();
        watched.gone(id);
        watched.pass(ms(100));
    }
    assert_eq!(watched.took(), [gave_up(0)]);
    watched.gone(2);
    watched.gone(5);
    watched.pass(ms(100));
    watched.out.clear();
    watched.gone(6);
    assert_eq!(watched.took(), [gave_up(1), Action::Tell(Notice::Over)]);
    assert_eq!(watched.supervisor.deadline(), None);
}

#[test]
fn ends_that_are_long_ago_are_no_storm() {
    let mut watched = Watched::ready(1, |options| {
        options.restart.storm_exits = 2.try_into().unwrap();
        options.heartbeat = None;
    });
    for id in 1..20 {
        watched.gone(id);
        assert_eq!(watched.took().last(), Some(&Action::Spawn { id: id + 1, slot: 0 }));
        watched.is_ready(id + 1);
        watched.pass(secs(60));
    }
}

#[test]
fn who_does_not_answer_is_killed_and_who_answers_late_is_not() {
    let mut watched = Watched::ready(2, |options| {
        options.heartbeat = Some(Heartbeat { interval: secs(1), unanswered_max: 3 });
    });
    for _ in 0..3 {
        watched.pass(secs(1));
        assert_eq!(watched.took(), [Action::Ask(1), Action::Ask(2)]);
    }
    watched.supervisor.answered(2);
    watched.pass(secs(1));
    let told = Action::Tell(Notice::Unresponsive { id: 1, unanswered: 3 });
    assert_eq!(watched.took(), [told, Action::Kill(1), Action::Ask(2)]);
    watched.gone(1);
    assert_eq!(watched.took().last(), Some(&Action::Spawn { id: 3, slot: 0 }));
}

#[test]
fn a_primary_that_was_stopped_for_long_kills_nobody() {
    let mut watched = Watched::ready(1, |_| {});
    watched.pass(secs(1));
    watched.pass(secs(3600));
    assert_eq!(watched.took(), [Action::Ask(1), Action::Ask(1)], "two questions, however far apart");
}

#[test]
fn one_that_is_not_ready_in_time_is_killed() {
    let mut watched = Watched::new(1, |options| options.start_timeout = Some(secs(3)));
    watched.out.clear();
    watched.pass(secs(3));
    assert_eq!(watched.took(), [Action::Tell(Notice::TooSlow { id: 1 }), Action::Kill(1)]);
}

#[test]
fn a_rolling_restart_goes_from_slot_to_slot() {
    let mut watched = Watched::ready(2, |_| {});
    assert!(watched.supervisor.roll(watched.now, &mut watched.out));
    assert_eq!(watched.took(), [Action::Spawn { id: 3, slot: 0 }]);
    assert!(!watched.supervisor.roll(watched.now, &mut watched.out), "one is under way");
    watched.is_ready(3);
    let replaced = |old, new| Action::Tell(Notice::Replaced { old, new });
    assert_eq!(watched.took(), [replaced(1, 3), Action::End(1)]);
    watched.gone(1);
    assert_eq!(watched.took(), [Action::Spawn { id: 4, slot: 1 }], "and nothing in place of 1");
    watched.is_ready(4);
    assert_eq!(watched.took(), [replaced(2, 4), Action::End(2)]);
    watched.pass(secs(34));
    watched.out.clear();
    watched.pass(secs(1));
    assert!(watched.took().contains(&Action::Kill(2)), "after its grace and 5 s");
    watched.gone(2);
    assert_eq!(watched.took(), [Action::Tell(Notice::Rolled(Ok(())))]);
}

#[test]
fn a_rolling_restart_whose_successors_fail_leaves_the_worker_alone() {
    let mut watched = Watched::ready(1, |_| {});
    watched.supervisor.roll(watched.now, &mut watched.out);
    watched.gone(2);
    watched.pass(ms(100));
    watched.gone(3);
    watched.pass(ms(200));
    assert_eq!(watched.took().last(), Some(&Action::Spawn { id: 4, slot: 0 }));
    watched.gone(4);
    assert_eq!(watched.took(), [Action::Tell(Notice::Rolled(Err(RollingFailed::Successors(0))))]);
    assert_eq!(watched.supervisor.slots[0].current, Some(1));
}

#[test]
fn a_worker_that_dies_while_its_successor_starts_has_one_already() {
    let mut watched = Watched::ready(1, |_| {});
    watched.supervisor.roll(watched.now, &mut watched.out);
    watched.out.clear();
    watched.gone(1);
    assert_eq!(watched.took(), []);
    watched.is_ready(2);
    assert_eq!(watched.took(), [Action::Tell(Notice::Rolled(Ok(())))]);
}

#[test]
fn a_rolling_restart_revives_a_slot_that_was_given_up() {
    let mut watched = Watched::ready(2, |options| options.restart.storm_exits = NonZeroUsize::MIN);
    watched.gone(1);
    watched.out.clear();
    watched.supervisor.roll(watched.now, &mut watched.out);
    assert_eq!(watched.took(), [Action::Spawn { id: 3, slot: 0 }]);
    watched.is_ready(3);
    assert_eq!(watched.took(), [Action::Spawn { id: 4, slot: 1 }]);
}

#[test]
fn the_end_stops_restarts_and_a_rolling_restart() {
    let mut watched = Watched::ready(2, |_| {});
    watched.supervisor.roll(watched.now, &mut watched.out);
    watched.out.clear();
    watched.supervisor.end_all(watched.now, &mut watched.out);
    let rolled = Action::Tell(Notice::Rolled(Err(RollingFailed::Ending)));
    assert_eq!(watched.took(), [rolled, Action::End(1), Action::End(2), Action::End(3)]);
    watched.gone(1);
    watched.gone(3);
    assert_eq!(watched.took(), []);
    watched.gone(2);
    assert_eq!(watched.took(), [Action::Tell(Notice::Over)]);
    assert!(!watched.supervisor.roll(watched.now, &mut watched.out));
}

#[test]
fn one_that_leaves_by_itself_is_replaced_before_it_is_gone() {
    let mut watched = Watched::ready(1, |_| {});
    watched.supervisor.leaving(1, watched.now, &mut watched.out);
    assert_eq!(watched.took(), [restarting(0, ms(0)), Action::Spawn { id: 2, slot: 0 }]);
    watched.gone(1);
    assert_eq!(watched.took(), []);
}

#[test]
fn one_that_is_told_to_end_before_it_begins_starts_nobody() {
    let options = Options::default();
    let (mut supervisor, mut out) = (Supervisor::new(&options, true), Vec::new());
    supervisor.end_all(secs(1), &mut out);
    supervisor.start(secs(1), &mut out);
    assert_eq!(out, [Action::Tell(Notice::Over)]);
}

#[test]
fn a_kill_stops_what_was_to_be_started() {
    let mut watched = Watched::ready(1, |_| {});
    watched.gone(1);
    watched.gone(2);
    watched.out.clear();
    watched.supervisor.kill_all(&mut watched.out);
    assert_eq!(watched.took(), [Action::Tell(Notice::Over)]);
    assert!(!watched.supervisor.roll(watched.now, &mut watched.out), "it is over");
    watched.pass(secs(3600));
    assert!(!watched.took().iter().any(|action| matches!(action, Action::Spawn { .. })));
}
