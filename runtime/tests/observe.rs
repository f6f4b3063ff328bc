//! Seeing what a loop does: utilization, delay, and the cost of callbacks by phase. In virtual time, where a callback takes
//! as long as it says.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::observe::{LoopTimes, Observer};
use phaseloop::{Check, EventLoop, Idle, LoopHandle, Phase, Prepare, RunMode, Schedule, TestLoop, Timer};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn virtual_loop() -> EventLoop {
    EventLoop::builder().virtual_time(true).build().expect("a loop can be made")
}

/// What a callback does that takes `time`.
fn takes(time: Duration) -> impl Fn(&LoopHandle) + Copy + 'static {
    move |lp| lp.advance_clock(time).expect("time is virtual")
}

/// Runs `lp` to its end and gives what was counted.
fn run(lp: &EventLoop, observer: &Observer) -> LoopTimes {
    lp.run(RunMode::Default).expect("the driver does not fail");
    observer.times()
}

#[test]
fn each_phase_counts_its_own_callbacks_and_their_time() {
    let lp = virtual_loop();
    let observer = lp.observe();
    let (idle, prepare, check) = (Idle::new(&lp), Prepare::new(&lp), Check::new(&lp));
    idle.start(|idle| (takes(ms(1))(idle.lp()), idle.stop()).1).unwrap();
    prepare.start(|prepare| (takes(ms(2))(prepare.lp()), prepare.stop()).1).unwrap();
    check.start(|check| (takes(ms(3))(check.lp()), check.stop()).1).unwrap();
    lp.set_immediate(takes(ms(4)));
    lp.defer(takes(ms(5)));
    lp.timer(ms(10), takes(ms(6)));
    lp.remote().post(|lp| takes(ms(7))(lp)).unwrap();
    Timer::new(&lp).close_with(takes(ms(8)));
    let times = run(&lp, &observer);
    let expected = [
        (Phase::Timers, 1, 6),
        (Phase::Pending, 1, 5),
        (Phase::Idle, 1, 1),
        (Phase::Prepare, 1, 2),
        (Phase::Poll, 1, 7),
        (Phase::Check, 2, 7),
        (Phase::Close, 1, 8),
    ];
    for (phase, count, total) in expected {
        let ran = times.of(phase).callbacks;
        assert_eq!((phase, ran.count, ran.total), (phase, count, ms(total)));
    }
    assert_eq!(times.of(Phase::Check).callbacks.longest, ms(4));
    assert_eq!(times.all().count, 8);
    assert_eq!(times.all().total, ms(36));
}

#[test]
fn ticks_microtasks_and_tasks_count_for_the_phase_of_their_checkpoint() {
    let lp = virtual_loop();
    let observer = lp.observe();
    lp.next_tick(takes(ms(1)));
    lp.set_immediate(|lp| {
        lp.next_tick(takes(ms(2)));
        lp.queue_microtask(takes(ms(3)));
        lp.spawn(async { takes(ms(4))(&phaseloop::current()) });
    });
    let times = run(&lp, &observer);
    assert_eq!((times.outside.ticks.count, times.outside.ticks.total), (1, ms(1)));
    let check = times.of(Phase::Check);
    assert_eq!((check.ticks.count, check.ticks.total), (1, ms(2)));
    assert_eq!((check.microtasks.count, check.microtasks.total), (2, ms(7)));
    assert_eq!(check.all().count, 4);
}

#[test]
fn a_callback_that_panics_counts_with_its_time() {
    let lp = virtual_loop();
    lp.on_uncaught(|lp, _| takes(ms(1))(lp)); // belongs to it
    let observer = lp.observe();
    lp.set_immediate(|lp| {
        takes(ms(2))(lp);
        panic!("as it is meant to");
    });
    let check = *run(&lp, &observer).of(Phase::Check);
    // The second is empty: by X2 the loop turns once more.
    assert_eq!((check.callbacks.count, check.callbacks.total), (2, ms(3)));
    lp.clear_on_uncaught();
    lp.set_immediate(|_| panic!("this one leaves the run"));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lp.run(RunMode::Default))).unwrap_err();
    assert_eq!(observer.times().of(Phase::Check).callbacks.count, 3);
}

#[test]
fn an_observer_counts_from_the_next_callback_until_it_is_dropped() {
    let lp = virtual_loop();
    let outer = lp.observe();
    let counted = Rc::new(Cell::new(0));
    let told = Rc::clone(&counted);
    lp.set_immediate(move |lp| {
        let inner = lp.observe();
        lp.next_tick(|_| {});
        lp.next_tick(move |lp| {
            told.set(inner.times().all().count); // the tick before, and neither this one nor the immediate
            drop(inner);
            takes(ms(1))(lp);
        });
    });
    assert_eq!(run(&lp, &outer).all().count, 3);
    assert_eq!(counted.get(), 1);
    drop(outer);
    lp.set_immediate(|_| {});
    let later = lp.observe();
    drop(lp.observe()); // of two, the other goes on
    assert_eq!(run(&lp, &later).all().count, 1);
}

#[test]
fn take_begins_anew_with_the_longest_too() {
    let lp = virtual_loop();
    let observer = lp.observe();
    lp.set_immediate(takes(ms(9)));
    lp.run(RunMode::Default).unwrap();
    assert_eq!(observer.take().all().longest, ms(9));
    lp.timer(ms(20), takes(ms(2)));
    lp.run(RunMode::Default).unwrap();
    let times = observer.take();
    assert_eq!(times.all().longest, ms(2));
    assert_eq!((times.idle, times.elapsed), (ms(20), ms(22)));
    assert_eq!(times.turns, 1);
    assert_eq!(observer.times(), LoopTimes::default());
}

#[test]
fn an_observed_loop_runs_nothing_after_its_program_ended() {
    let lp = virtual_loop();
    let observer = lp.observe();
    lp.run_program(|lp| {
        lp.next_tick(|_| unreachable!("the program has ended"));
        lp.set_immediate(|_| unreachable!("the program has ended"));
        lp.end(0);
    })
    .unwrap();
    drop(observer); // does not bring it back either
    lp.set_immediate(|_| unreachable!("the program has ended"));
    lp.run(RunMode::NoWait).unwrap();
}

#[test]
fn observing_changes_no_order() {
    for schedule in [Schedule::node26(), Schedule::node10(), Schedule::browser(), Schedule::textbook()] {
        let order = |observed: bool| {
            let lp = TestLoop::with_schedule(schedule.clone());
            let _observer = observed.then(|| lp.observe());
            let _monitor = observed.then(|| lp.monitor_delay(ms(1)));
            lp.timer(ms(2), |lp| {
                lp.log("timer");
                lp.tick(|lp| lp.log("tick of the timer"));
                lp.immediate(|lp| lp.log("immediate of the timer"));
            });
            lp.immediate(|lp| {
                lp.log("immediate");
                lp.microtask(|lp| lp.log("microtask"));
                lp.tick(|lp| lp.log("tick"));
            });
            lp.run();
            lp.take_log()
        };
        assert_eq!(order(true), order(false), "{}", schedule.name);
    }
}

#[test]
fn a_loop_that_never_ran_has_used_nothing() {
    let lp = virtual_loop();
    takes(ms(5))(&lp);
    assert_eq!(lp.utilization().ratio(), 0.0);
    assert_eq!(lp.utilization(), Default::default());
    lp.timer(ms(10), |_| {});
    lp.run(RunMode::Default).unwrap();
    let used = lp.utilization();
    assert_eq!((used.idle, used.active), (ms(10), ms(0)));
    assert_eq!(used.since(&used), Default::default());
}

#[test]
fn a_wait_in_the_system_is_idle_time() {
    let lp = EventLoop::new().unwrap();
    lp.timer(ms(3), |_| {});
    lp.run(RunMode::Default).unwrap();
    let used = lp.utilization();
    assert_eq!(used.idle, lp.metrics().idle);
    assert!(used.idle > ms(1) && used.ratio() < 1.0, "{used:?}");
}

#[test]
fn a_blocked_loop_shows_as_delay_and_an_idle_one_does_not() {
    let lp = virtual_loop();
    let monitor = lp.monitor_delay(ms(10));
    lp.timer(ms(35), takes(ms(100)));
    lp.timer(ms(200), |_| {});
    lp.run(RunMode::Default).unwrap();
    let delays = monitor.delays().clone();
    assert_eq!(delays.max(), ms(95)); // due at 40 ms, run at 135 ms
    assert_eq!(delays.counts(&[ms(0), ms(90)]), [delays.count() - 1, 0, 1]);
    assert!(delays.count() > 8, "{delays:?}"); // those that were missed are not made up for
    assert_eq!(delays.percentile(50.0), ms(0));
}

#[test]
fn a_monitor_holds_no_loop_and_ends_with_its_drop() {
    let lp = virtual_loop();
    let monitor = lp.monitor_delay(ms(1));
    lp.run(RunMode::Default).unwrap(); // ends
    assert_eq!(lp.why_alive(), Vec::<String>::new());
    drop(monitor);
    let mut open = 0;
    lp.run(RunMode::NoWait).unwrap();
    lp.walk(|_| open += 1);
    assert_eq!(open, 0);
}

#[test]
#[should_panic(expected = "longer than zero")]
fn a_delay_is_not_measured_all_the_time() {
    let _monitor = virtual_loop().monitor_delay(ms(0));
}
