//! F14 to F19: sleeps, timeouts and intervals.

use std::time::Duration;

use phaseloop::{LoopHandle, MissedTicks, Sleep, TestLoop};

use crate::stage::{spawn, under, under_all, under_all_but};
use crate::trace::{Trace, ms};

/// A task that logs a line when `sleep` is over, and queues a tick that logs another.
fn sleeper(lp: &LoopHandle, trace: &Trace, sleep: Sleep, line: &'static str, tick: &'static str) {
    let handle = lp.clone();
    spawn(lp, trace, |trace| async move {
        sleep.await;
        trace.log(line);
        handle.next_tick(trace.logs(tick));
    });
}

/// Milliseconds since `start` by the clock, not by the loop's time.
fn since(lp: &LoopHandle, start: std::time::Instant) -> u128 {
    (lp.update_now() - start).as_millis()
}

#[test]
fn f14_a_sleep_wakes_in_the_timers_phase_with_a_checkpoint_of_its_own() {
    let each = ["a", "tick of a", "timer", "b", "tick of b", "immediate"];
    let textbook = ["timer", "a", "b", "tick of a", "tick of b", "immediate"];
    under_all_but(&each, &textbook, |lp, trace| {
        sleeper(lp, trace, lp.sleep(ms(5)), "a", "tick of a");
        let (handle, logged) = (lp.event_loop().handle(), trace.clone());
        lp.queue_microtask(move |lp| {
            lp.timer(ms(5), logged.logs("timer"));
            let slept = handle.sleep(ms(5));
            sleeper(&handle, &logged, slept, "b", "tick of b");
        });
        let logged = trace.clone();
        lp.event_loop().timer(ms(1), move |lp| {
            let _ = lp.advance_clock(ms(10)); // all three are due in one phase
            lp.set_immediate(move |lp| {
                lp.set_immediate(logged.logs("immediate"));
            });
        });
    });
}

#[test]
fn f14_sleeps_wake_by_deadline() {
    under_all(&["10", "20", "30"], |lp, trace| {
        for (delay, line) in [(30, "30"), (10, "10"), (20, "20")] {
            let sleep = lp.sleep(ms(delay));
            spawn(lp, trace, |trace| async move {
                sleep.await;
                trace.log(line);
            });
        }
    });
}

#[test]
fn f15_a_sleep_counts_from_its_making_but_stands_in_line_from_its_first_poll() {
    under_all(&["polled first", "made first", "10 ms"], |lp, trace| {
        let start = lp.now();
        let made_first = lp.sleep(ms(10));
        let polled_first = lp.sleep(ms(10));
        let handle = lp.event_loop().handle();
        spawn(lp, trace, |trace| async move {
            polled_first.await;
            trace.log("polled first");
        });
        spawn(lp, trace, |trace| async move {
            assert!(handle.advance_clock(ms(4)).is_ok()); // between making and polling
            made_first.await;
            trace.log("made first");
            trace.log(format!("{} ms", since(&handle, start)));
        });
    });
}

#[test]
fn f15_a_sleep_counts_by_the_clock_where_a_loop_timer_counts_by_the_loops_time() {
    under_all(&["timer", "35 ms"], |lp, trace| {
        let (logged, start) = (trace.clone(), lp.now());
        lp.event_loop().timer(ms(5), move |lp| {
            assert!(lp.advance_clock(ms(20)).is_ok()); // a callback that takes long
            lp.timer(ms(10), logged.logs("timer")); // at 15 ms, so at once
            let (handle, sleep) = (lp.clone(), lp.sleep(ms(10)));
            spawn(lp, &logged, |trace| async move {
                sleep.await;
                trace.log(format!("{} ms", since(&handle, start)));
            });
        });
    });
}

#[test]
fn f16_a_sleep_that_is_over_lets_nobody_go_first() {
    under_all(&["begins", "goes on", "microtask", "timer"], |lp, trace| {
        let handle = lp.event_loop().handle();
        lp.event_loop().timer(ms(0), trace.logs("timer"));
        spawn(lp, trace, |trace| async move {
            trace.log("begins");
            handle.sleep(Duration::ZERO).await;
            handle.sleep_until(handle.now()).await;
            trace.log("goes on");
        });
        lp.queue_microtask(trace.logs("microtask"));
    });
}

#[test]
fn f16_a_sleep_that_waits_is_over_when_the_timers_phase_says_so_and_not_by_the_clock() {
    under_all(&["pending by the clock", "over"], |lp, trace| {
        let mut sleep = lp.sleep(ms(5));
        let handle = lp.event_loop().handle();
        spawn(lp, trace, |trace| async move {
            assert!(futures::poll!(&mut sleep).is_pending());
            assert!(handle.advance_clock(ms(10)).is_ok());
            assert!(futures::poll!(&mut sleep).is_pending());
            trace.log("pending by the clock");
            sleep.await;
            trace.log("over");
        });
    });
}

/// A timeout of 10 ms that is set before a sleep of 10 ms. With `earlier`, another timeout is due before them.
fn timeout_and_sleep(lp: &TestLoop, trace: &Trace, earlier: bool) {
    if earlier {
        lp.set_timeout(ms(5), |_| {});
    }
    lp.set_timeout(ms(10), trace.logs("timeout"));
    let sleep = lp.sleep(ms(10));
    spawn(lp, trace, |trace| async move {
        sleep.await;
        trace.log("sleep");
    });
}

#[test]
fn f17_a_sleep_and_a_timeout_of_one_instant_run_as_their_loop_timers_were_started() {
    under_all(&["timeout", "sleep"], |lp, trace| timeout_and_sleep(lp, trace, false));
    // The loop timer that all lists hang on was started anew at 5 ms, behind the sleep's. In the textbook the task waits
    // for the end of the phase.
    let (each, textbook) = (["sleep", "timeout"], ["timeout", "sleep"]);
    under_all_but(&each, &textbook, |lp, trace| timeout_and_sleep(lp, trace, true));
}

#[test]
fn f18_a_timeout_asks_its_future_first() {
    let script = |lp: &TestLoop, trace: &Trace| {
        let (inner, handle) = (lp.sleep(ms(10)), lp.event_loop().handle());
        spawn(lp, trace, |trace| async move {
            let outcome = handle.timeout(ms(10), inner).await;
            trace.log(if outcome.is_ok() { "in time" } else { "elapsed" });
        });
    };
    under_all(&["in time"], script);
}

#[test]
fn f18_a_timeout_that_elapses_goes_on_in_the_timers_phase() {
    let each = ["elapsed", "timer", "immediate"];
    under_all_but(&each, &["timer", "elapsed", "immediate"], |lp, trace| {
        let handle = lp.event_loop().handle();
        spawn(lp, trace, |trace| async move {
            assert!(handle.timeout(ms(10), std::future::pending::<()>()).await.is_err());
            trace.log("elapsed");
            handle.set_immediate(trace.logs("immediate"));
        });
        let logged = trace.clone();
        lp.queue_microtask(move |lp| {
            lp.timer(ms(10), logged.logs("timer"));
        });
    });
}

#[test]
fn f18_what_elapsed_is_dropped_when_the_task_goes_on() {
    under_all(&["dropped", "elapsed"], |lp, trace| {
        let (handle, dropped) = (lp.event_loop().handle(), crate::stage::Dropped(trace.clone(), "dropped"));
        spawn(lp, trace, |trace| async move {
            let never = async move {
                let _dropped = dropped;
                std::future::pending::<()>().await;
            };
            let _ = handle.timeout(ms(10), never).await;
            trace.log("elapsed");
        });
    });
}

/// The times at which three ticks of 10 ms come, when what follows a tick takes `busy`.
fn ticks(busy: u64, policy: MissedTicks) -> Vec<String> {
    under(phaseloop::Schedule::node26(), |lp, trace| {
        let (handle, start, mut interval) = (lp.event_loop().handle(), lp.now(), lp.interval(ms(10)));
        interval.set_missed_ticks(policy);
        spawn(lp, trace, |trace| async move {
            for _ in 0..4 {
                interval.tick().await;
                trace.log(since(&handle, start).to_string());
                assert!(handle.advance_clock(ms(busy)).is_ok());
            }
        });
    })
}

#[test]
fn f19_an_interval_does_not_drift_and_says_what_becomes_of_ticks_it_missed() {
    assert_eq!(ticks(4, MissedTicks::Delay), ["10", "20", "30", "40"]);
    assert_eq!(ticks(25, MissedTicks::Delay), ["10", "35", "60", "85"]);
    assert_eq!(ticks(25, MissedTicks::Skip), ["10", "35", "60", "85"]);
    assert_eq!(ticks(25, MissedTicks::Burst), ["10", "35", "60", "85"]);
    assert_eq!(ticks(12, MissedTicks::Skip), ["10", "22", "34", "46"]);
}

#[test]
fn f19_ticks_that_an_interval_makes_up_for_come_in_one_poll() {
    under_all(&["tick", "tick", "tick", "microtask", "tick"], |lp, trace| {
        let mut interval = lp.interval(ms(10));
        interval.set_missed_ticks(MissedTicks::Burst);
        lp.advance(ms(35));
        spawn(lp, trace, |trace| async move {
            for _ in 0..4 {
                interval.tick().await;
                trace.log("tick");
            }
        });
        lp.queue_microtask(trace.logs("microtask"));
    });
}

#[test]
fn f19_a_tick_runs_in_the_timers_phase() {
    let each = ["interval", "timer", "immediate"];
    under_all_but(&each, &["timer", "interval", "immediate"], |lp, trace| {
        let (handle, mut interval) = (lp.event_loop().handle(), lp.interval(ms(10)));
        spawn(lp, trace, |trace| async move {
            interval.tick().await;
            trace.log("interval");
            handle.set_immediate(trace.logs("immediate"));
        });
        let logged = trace.clone();
        lp.queue_microtask(move |lp| {
            lp.timer(ms(10), logged.logs("timer"));
        });
    });
}
