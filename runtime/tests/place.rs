//! Where the loop says it is.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::request::Port;
use phaseloop::{
    Check, EventLoop, Idle, LoopHandle, Outcome, Phase, Prepare, QueueKind, RunMode, Schedule, Timer,
};

/// The places that callbacks noted, as text, with a name for each.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    fn note(&self, lp: &LoopHandle, name: &str) {
        self.0.borrow_mut().push(format!("{name}: {}", lp.place()));
    }

    /// A callback that notes its place, then those of a tick, a microtask and a task that it queues.
    fn noting(&self, name: &'static str) -> impl FnOnce(&LoopHandle) + 'static {
        let notes = self.clone();
        move |lp| {
            notes.note(lp, name);
            let (tick, microtask, task) = (notes.clone(), notes.clone(), notes);
            lp.spawn(async move { task.note(&phaseloop::current(), "  task") });
            lp.queue_microtask(move |lp| microtask.note(lp, "  microtask"));
            lp.next_tick(move |lp| tick.note(lp, "  tick"));
        }
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

fn virtual_loop(schedule: Schedule) -> EventLoop {
    EventLoop::builder().schedule(schedule).virtual_time(true).build().expect("a loop can be made")
}

/// What `noting` notes at `place`, which is without the queue.
fn noted(name: &str, place: &str) -> Vec<String> {
    [(name, "callbacks"), ("  tick", "ticks"), ("  task", "microtasks"), ("  microtask", "microtasks")]
        .map(|(name, queue)| format!("{name}: {place}, {queue}"))
        .to_vec()
}

#[test]
fn every_phase_names_itself() {
    let lp = virtual_loop(Schedule::node26());
    let notes = Notes::default();
    let (idle, prepare, check) = (Idle::new(&lp), Prepare::new(&lp), Check::new(&lp));
    let noting = |name| {
        let notes = notes.clone();
        move |lp: &LoopHandle| notes.note(lp, name)
    };
    let (on_idle, on_prepare, on_check) = (noting("idle"), noting("prepare"), noting("check"));
    idle.start(move |idle| (on_idle(idle.lp()), idle.close()).1).unwrap();
    prepare.start(move |prepare| (on_prepare(prepare.lp()), prepare.close()).1).unwrap();
    check.start(move |check| (on_check(check.lp()), check.close()).1).unwrap();
    lp.set_timeout(Duration::ZERO, noting("timeout"));
    lp.timer(Duration::ZERO, noting("timer"));
    lp.defer(noting("deferred"));
    let arrived = noting("arrived");
    let port = Port::new(&lp, move |lp, ()| arrived(lp));
    port.sender().send(()).unwrap();
    lp.set_immediate(noting("immediate"));
    Timer::new(&lp).close_with(noting("close"));
    lp.advance_clock(Duration::from_millis(5)).unwrap();
    lp.run(RunMode::Default).unwrap();
    let phases = [
        ("timer", "turn 0, timers"),
        ("timeout", "turn 0, timers"),
        ("deferred", "turn 1, pending"),
        ("idle", "turn 1, idle"),
        ("prepare", "turn 1, prepare"),
        ("arrived", "turn 1, poll"),
        ("check", "turn 1, check"),
        ("immediate", "turn 1, check"),
        ("close", "turn 1, close"),
    ];
    assert_eq!(notes.take(), phases.map(|(name, place)| format!("{name}: {place}, callbacks")));
}

#[test]
fn what_drains_at_a_checkpoint_names_its_queue_and_the_phase_of_its_callback() {
    let lp = virtual_loop(Schedule::node12());
    let notes = Notes::default();
    notes.noting("main")(&lp);
    lp.set_immediate(notes.noting("immediate"));
    lp.timer(Duration::from_millis(5), notes.noting("timer"));
    lp.run(RunMode::Default).unwrap();
    let mut expected = noted("main", "turn 0, outside of the phases");
    expected.extend(noted("immediate", "turn 1, check"));
    expected.extend(noted("timer", "turn 3, timers")); // turn 2 ends when poll has waited
    assert_eq!(notes.take(), expected);
}

#[test]
fn queues_that_drain_once_a_phase_still_name_it() {
    let lp = virtual_loop(Schedule::textbook());
    let notes = Notes::default();
    lp.set_immediate(notes.noting("immediate"));
    lp.run(RunMode::Default).unwrap();
    assert_eq!(notes.take(), noted("immediate", "turn 1, check"));
}

#[test]
fn a_program_is_outside_of_the_phases_before_its_first_turn_and_after_its_last() {
    let lp = virtual_loop(Schedule::node26());
    let notes = Notes::default();
    let (before_exit, exit, main) = (notes.clone(), notes.clone(), notes.clone());
    lp.on_before_exit(move |lp| before_exit.note(lp, "before exit"));
    lp.on_exit(move |lp, _| exit.note(lp, "exit"));
    lp.run_program(move |lp| {
        main.note(lp, "main");
        lp.set_immediate(|lp| {
            lp.set_immediate(|_| {});
        });
    })
    .unwrap();
    let outside = |name: &str, turn: u64| format!("{name}: turn {turn}, outside of the phases, callbacks");
    assert_eq!(notes.take(), [outside("main", 0), outside("before exit", 2), outside("exit", 2)]);
}

#[test]
fn hooks_run_where_the_thing_happened() {
    let lp = virtual_loop(Schedule::node26());
    let notes = Notes::default();
    let (uncaught, drained) = (notes.clone(), notes.clone());
    lp.on_uncaught(move |lp, _| uncaught.note(lp, "uncaught"));
    lp.on_drained(move |lp| drained.note(lp, "drained"));
    lp.set_immediate(|lp| {
        lp.next_tick(|_| std::panic::resume_unwind(Box::new("a tick panics")));
    });
    lp.set_immediate(|lp| lp.request_drain());
    lp.run(RunMode::Default).unwrap();
    let expected = ["uncaught: turn 1, check, ticks", "drained: turn 1, check, drained"];
    assert_eq!(notes.take(), expected);
    assert_eq!(lp.place().queue, QueueKind::Callbacks);
}

#[test]
fn a_panic_that_leaves_run_leaves_no_place_behind() {
    let lp = virtual_loop(Schedule::node26());
    lp.set_immediate(|lp| lp.queue_microtask(|_| std::panic::resume_unwind(Box::new("it panics"))));
    let run = std::panic::AssertUnwindSafe(|| lp.run(RunMode::Default));
    assert!(std::panic::catch_unwind(run).is_err());
    let place = lp.place();
    assert_eq!((place.turn, place.phase, place.queue), (1, None, QueueKind::Callbacks));
    // And the loop goes on from there.
    let notes = Notes::default();
    lp.set_immediate(notes.noting("immediate"));
    assert_eq!(lp.run(RunMode::NoWait).unwrap(), Outcome::Finished);
    assert_eq!(notes.take(), noted("immediate", "turn 2, check"));
}

#[test]
fn names_of_phases_are_those_of_the_turn() {
    let names: Vec<String> = Schedule::node26().turn.iter().map(Phase::to_string).collect();
    assert_eq!(names, ["pending", "idle", "prepare", "poll", "check", "close", "timers"]);
}
