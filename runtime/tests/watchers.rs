//! Idle, prepare and check handles: order, starting and stopping in each other's callbacks, closing.

mod trace;

use std::cell::RefCell;
use std::rc::Rc;

use phaseloop::{Check, Closing, Idle, LoopHandle, Prepare, RunMode, TestLoop, Timer};
use trace::{Trace, ms};

#[test]
fn each_kind_runs_last_started_first() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (idles, prepares, checks): (Vec<_>, Vec<_>, Vec<_>) =
        (0..2).map(|_| (Idle::new(&lp), Prepare::new(&lp), Check::new(&lp))).collect();
    for (index, line) in [(0, "first"), (1, "second")] {
        idles[index].start(trace.logs(line)).unwrap();
        prepares[index].start(trace.logs(line)).unwrap();
        checks[index].start(trace.logs(line)).unwrap();
    }
    lp.turn();
    assert_eq!(trace.take(), ["second", "first"].repeat(3));
}

#[test]
fn one_that_is_started_in_its_phase_waits_for_the_next_turn() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (starter, other) = (Check::new(&lp), Check::new(&lp));
    let logged = trace.clone();
    starter
        .start(move |_| {
            logged.log("starter");
            other.start(logged.logs("other")).unwrap();
        })
        .unwrap();
    lp.turn();
    assert_eq!(trace.take(), ["starter"]);
    lp.turn();
    assert_eq!(trace.take(), ["other", "starter"]);
}

#[test]
fn stopping_others_in_a_callback_never_calls_a_stopped_one() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let watchers = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..100 {
        let (all, logged) = (Rc::clone(&watchers), trace.clone());
        let watcher = Check::new(&lp);
        watcher
            .start(move |_| {
                logged.log("ran");
                all.borrow().iter().for_each(Check::stop);
            })
            .unwrap();
        watchers.borrow_mut().push(watcher);
    }
    lp.turn();
    lp.turn();
    assert_eq!(trace.take(), ["ran"]);
    assert!(!lp.is_alive());
}

#[test]
fn one_that_is_stopped_and_started_in_the_phase_runs_next_turn() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (victim, meddler) = (Check::new(&lp), Check::new(&lp));
    victim.start(trace.logs("old")).unwrap();
    let (again, logged) = (victim.clone(), trace.clone());
    meddler
        .start(move |meddler| {
            again.stop();
            again.start(logged.logs("new")).unwrap();
            meddler.stop();
        })
        .unwrap();
    lp.turn();
    assert!(trace.take().is_empty());
    lp.turn();
    assert_eq!(trace.take(), ["new"]);
}

#[test]
fn handles_that_start_stop_and_close_each_other_keep_exact_counts() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (prepare, check) = (Prepare::new(&lp), Check::new(&lp));
    let (logged, counted) = (trace.clone(), check.clone());
    let mut turns = 0;
    prepare
        .start(move |prepare| {
            turns += 1;
            logged.log("prepare");
            match turns {
                1 => counted.start(logged.logs("check")).unwrap(),
                3 => counted.stop(),
                4 => {
                    counted.close_with(logged.logs("check closed"));
                    prepare.close_with(logged.logs("prepare closed"));
                }
                _ => {}
            }
        })
        .unwrap();
    lp.run_turns();
    let expected =
        ["prepare", "check", "prepare", "check", "prepare", "prepare", "prepare closed", "check closed"];
    assert_eq!(trace.take(), expected);
    assert!(!lp.is_alive());
}

trait RunTurns {
    fn run_turns(&self);
}

impl RunTurns for TestLoop {
    /// At most ten turns, none of which waits.
    fn run_turns(&self) {
        for _ in 0..10 {
            self.turn();
        }
    }
}

#[test]
fn an_active_idle_handle_does_not_starve_timers() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let idle = Idle::new(&lp);
    idle.start(|_| {}).unwrap();
    let (stop, logged) = (idle.clone(), trace.clone());
    lp.timer(ms(5), move |_| {
        logged.log("timer");
        stop.stop();
    });
    lp.turn();
    lp.advance(ms(5));
    lp.run();
    assert_eq!(trace.take(), ["timer"]);
}

#[test]
fn a_check_runs_even_when_idle_stops_itself() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (idle, check) = (Idle::new(&lp), Check::new(&lp));
    let logged = trace.clone();
    idle.start(move |idle| {
        logged.log("idle");
        idle.stop();
    })
    .unwrap();
    let logged = trace.clone();
    check
        .start(move |check| {
            logged.log("check");
            check.stop();
        })
        .unwrap();
    // Something that is due now keeps poll from waiting for ever once the idle handle is gone.
    lp.set_immediate(|_| {});
    lp.event_loop().run(RunMode::Once).unwrap();
    assert_eq!(trace.take(), ["idle", "check"]);
}

#[test]
fn starting_an_active_handle_only_changes_its_callback() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (first, second) = (Check::new(&lp), Check::new(&lp));
    first.start(trace.logs("first")).unwrap();
    second.start(trace.logs("second")).unwrap();
    first.start(trace.logs("first, changed")).unwrap();
    lp.turn();
    assert_eq!(trace.take(), ["second", "first, changed"]);
}

#[test]
fn a_callback_that_replaces_itself_runs_the_new_one_next_turn() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let check = Check::new(&lp);
    let logged = trace.clone();
    check
        .start(move |check| {
            logged.log("old");
            check.start(logged.logs("new")).unwrap();
        })
        .unwrap();
    lp.turn();
    lp.turn();
    assert_eq!(trace.take(), ["old", "new"]);
}

#[test]
fn a_closed_handle_refuses_to_start() {
    let lp = TestLoop::new();
    let idle = Idle::new(&lp);
    idle.close();
    assert_eq!(idle.start(|_| {}), Err(Closing));
    lp.run();
    assert_eq!(idle.start(|_| {}), Err(Closing));
}

#[test]
fn check_handles_run_before_immediates() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let check = Check::new(&lp);
    lp.set_immediate(trace.logs("immediate"));
    check.start(trace.logs("check")).unwrap();
    lp.turn();
    assert_eq!(trace.take(), ["check", "immediate"]);
}

// --- closing ----------------------------------------------------------------------------------------------------------

#[test]
fn close_callbacks_run_last_closed_first() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    Idle::new(&lp).close_with(trace.logs("first"));
    Timer::new(&lp).close_with(trace.logs("second"));
    Check::new(&lp).close_with(trace.logs("third"));
    lp.turn();
    assert_eq!(trace.take(), ["third", "second", "first"]);
}

#[test]
fn what_is_closed_in_a_close_callback_waits_for_the_next_turn() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let (outer, inner) = (Timer::new(&lp), Timer::new(&lp));
    let logged = trace.clone();
    outer.close_with(move |_| {
        logged.log("outer");
        inner.close_with(logged.logs("inner"));
    });
    lp.turn();
    assert_eq!(trace.take(), ["outer"]);
    lp.turn();
    assert_eq!(trace.take(), ["inner"]);
}

#[test]
fn a_check_callback_runs_before_the_close_callbacks_of_its_turn() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let check = Check::new(&lp);
    let logged = trace.clone();
    check
        .start(move |check| {
            logged.log("check");
            check.close_with(logged.logs("check closed"));
        })
        .unwrap();
    Timer::new(&lp).close_with(trace.logs("timer closed"));
    lp.run();
    assert_eq!(trace.take(), ["check", "check closed", "timer closed"]);
}

#[test]
fn a_closing_handle_is_not_active_but_keeps_the_loop_alive() {
    let lp = TestLoop::new();
    let idle = Idle::new(&lp);
    idle.start(|_| unreachable!("it was closed")).unwrap();
    idle.unref();
    idle.close();
    assert!(!idle.is_active());
    assert!(lp.is_alive());
    lp.run();
    assert!(!lp.is_alive());
    assert!(idle.is_closing(), "also after it was released");
}

#[test]
fn walk_sees_what_is_open() {
    let lp = TestLoop::new();
    let kinds = |lp: &LoopHandle| {
        let mut kinds = Vec::new();
        lp.walk(|info| kinds.push(format!("{:?}", info.kind)));
        kinds
    };
    let (idle, timer) = (Idle::new(&lp), Timer::new(&lp));
    assert_eq!(kinds(&lp), ["Idle", "Timer"]);
    idle.close();
    timer.unref();
    assert_eq!(kinds(&lp), ["Idle", "Timer"], "a closing handle is still there");
    lp.run();
    assert_eq!(kinds(&lp), ["Timer"]);
}
