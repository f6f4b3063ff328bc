//! Delays that are no good ones, by T1 and T2: what becomes of them, and what is warned of, as Node 10 to 26 print it.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::time::Duration;

use phaseloop::{Schedule, TestLoop, Warning};
use trace::{Trace, ms};

/// 2^31 - 1, the longest delay.
const LONGEST: f64 = 2_147_483_647.0;

fn presets() -> [Schedule; 7] {
    [
        Schedule::node26(),
        Schedule::node24(),
        Schedule::node22(),
        Schedule::node20(),
        Schedule::node12(),
        Schedule::node10(),
        Schedule::textbook(),
    ]
}

/// A loop that logs its warnings.
fn warned(schedule: Schedule) -> (TestLoop, Trace) {
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    let logged = trace.clone();
    lp.on_warning(move |_, warning| logged.log(warning.to_string()));
    (lp, trace)
}

/// Which timer of all kinds is set: `set_timeout_ms`, `set_interval_ms`, `set_refreshable_timeout_ms`.
type Set = fn(&TestLoop, f64) -> phaseloop::TimeoutId;

const KINDS: [Set; 3] = [
    |lp, ms| lp.set_timeout_ms(ms, |_| {}),
    |lp, ms| lp.set_interval_ms(ms, |_| {}),
    |lp, ms| lp.set_refreshable_timeout_ms(ms, |_| {}),
];

/// How long a timer waits.
fn waits(schedule: &Schedule, set: Set, delay: f64) -> Duration {
    let lp = TestLoop::with_schedule(schedule.clone());
    let id = set(&lp, delay);
    lp.turn(); // the warning's tick
    let wait = lp.backend_timeout().expect("it waits for the timer");
    lp.clear_timeout(id);
    wait
}

#[test]
fn t1_an_odd_delay_is_one_millisecond() {
    let odd = [
        f64::NAN,
        f64::NEG_INFINITY,
        f64::INFINITY,
        -2_147_483_649.0,
        -1.0,
        -0.5,
        -0.0,
        0.0,
        f64::MIN_POSITIVE,
        0.5,
        0.999,
        LONGEST + 0.5,
        LONGEST + 1.0,
        1e300,
    ];
    for schedule in presets() {
        for (set, delay) in KINDS.iter().flat_map(|set| odd.map(|delay| (*set, delay))) {
            assert_eq!(waits(&schedule, set, delay), ms(1), "{delay} under {}", schedule.name);
        }
    }
}

#[test]
fn t1_a_delay_in_range_is_taken_as_it_is() {
    for schedule in presets() {
        for (set, delay) in KINDS.iter().flat_map(|set| [1.0, 2.0, 1e6, LONGEST].map(|delay| (*set, delay))) {
            let wait = waits(&schedule, set, delay);
            assert_eq!(wait, ms(delay as u64), "{delay} under {}", schedule.name);
        }
    }
}

/// Sets two timers, of 1.9 ms and of 1.2 ms, that are due in one phase, and shows whether they share a list: then the one
/// that was set first comes first.
fn order_of_fractions(schedule: Schedule) -> Vec<String> {
    let (lp, trace) = (TestLoop::with_schedule(schedule), Trace::default());
    lp.set_timeout_ms(4.9, trace.logs("4.9"));
    lp.set_timeout_ms(4.2, trace.logs("4.2"));
    lp.set_timeout_ms(4.9, trace.logs("4.9 again"));
    lp.advance(ms(5));
    lp.turn();
    trace.take()
}

#[test]
fn t1_fractions_are_cut_off_except_in_node_10() {
    for schedule in presets() {
        let expected = match schedule.name.as_ref() {
            "node10" => ["4.9", "4.9 again", "4.2"],
            _ => ["4.9", "4.2", "4.9 again"],
        };
        let name = schedule.name.clone();
        assert_eq!(order_of_fractions(schedule), expected, "under {name}");
    }
}

#[test]
fn t2_warnings_are_those_of_the_version() {
    // In the order of a script that real Node ran: the rest of its delays warn of nothing, or were warned of.
    let delays = [f64::NAN, -1.0, f64::NEG_INFINITY, -0.0, 0.0, 0.5, LONGEST, LONGEST + 0.5, LONGEST + 1.0];
    let more = [f64::INFINITY, 1e300, -0.5, 1.9, -7.0, f64::NAN];
    for schedule in presets() {
        let name = schedule.name.clone();
        let (lp, trace) = warned(schedule);
        for (set, delay) in KINDS.iter().cycle().zip(delays.into_iter().chain(more)) {
            let id = set(&lp, delay);
            lp.clear_timeout(id); // the warning comes all the same
        }
        lp.turn();
        let overflows = ["TimeoutOverflowWarning"; 4];
        let once: &[&str] = match name.as_ref() {
            "node26" | "node24" => &["TimeoutNaNWarning", "TimeoutNegativeWarning"],
            _ => &[],
        };
        assert_eq!(trace.take(), [once, &overflows].concat(), "under {name}");
    }
}

#[test]
fn t2_negative_and_not_a_number_are_warned_of_once_and_too_long_each_time() {
    let (lp, trace) = warned(Schedule::node26());
    for _ in 0..3 {
        for delay in [-1.0, f64::NAN, LONGEST + 1.0] {
            let id = lp.set_interval_ms(delay, |_| {});
            lp.clear_timeout(id);
        }
        lp.turn();
    }
    let first = ["TimeoutNegativeWarning", "TimeoutNaNWarning", "TimeoutOverflowWarning"];
    assert_eq!(trace.take(), [&first[..], &["TimeoutOverflowWarning"; 2]].concat());
}

#[test]
fn t2_a_warning_is_a_tick_of_the_moment() {
    // The traces of a script that real Node 20 and 26 ran.
    let node20 = ["before", "between", "TimeoutOverflowWarning", "TimeoutOverflowWarning", "behind"];
    let node26 = [
        "before",
        "TimeoutNegativeWarning",
        "between",
        "TimeoutNaNWarning",
        "TimeoutOverflowWarning",
        "TimeoutOverflowWarning",
        "behind",
    ];
    for (schedule, expected) in [(Schedule::node20(), &node20[..]), (Schedule::node26(), &node26[..])] {
        let (lp, trace) = warned(schedule);
        let set_and_clear = |delay| {
            let id = lp.set_timeout_ms(delay, |_| {});
            lp.clear_timeout(id);
        };
        lp.next_tick(trace.logs("before"));
        set_and_clear(-1.0);
        lp.next_tick(trace.logs("between"));
        set_and_clear(f64::NAN);
        set_and_clear(LONGEST + 1.0);
        set_and_clear(LONGEST + 1.0);
        lp.next_tick(trace.logs("behind"));
        lp.turn();
        assert_eq!(trace.take(), expected);
    }
}

#[test]
fn t2_a_duration_can_only_be_too_long() {
    let (lp, trace) = warned(Schedule::node26());
    for delay in [Duration::ZERO, Duration::from_nanos(1), ms(LONGEST as u64), ms(1 << 31), Duration::MAX] {
        let id = lp.set_timeout(delay, |_| {});
        lp.clear_timeout(id);
    }
    lp.turn();
    assert_eq!(trace.take(), ["TimeoutOverflowWarning"; 2]);
}

#[test]
fn an_interval_of_an_odd_delay_ticks_every_millisecond() {
    for schedule in presets() {
        let name = schedule.name.clone();
        let (lp, trace) = warned(schedule);
        lp.on_warning(|_, _| {});
        let start = lp.now();
        let logged = trace.clone();
        let id =
            lp.set_interval_ms(f64::NAN, move |lp| logged.log((lp.now() - start).as_millis().to_string()));
        lp.timer(ms(3), move |lp| assert!(lp.clear_timeout(id)));
        lp.run();
        assert_eq!(trace.take()[..2], ["1", "2"], "under {name}");
    }
}

// --- warnings by themselves -------------------------------------------------------------------------------------------

#[test]
fn emit_warning_tells_the_hook_of_the_moment_in_a_tick() {
    let (lp, trace) = warned(Schedule::node26());
    lp.next_tick(trace.logs("tick"));
    lp.queue_microtask(trace.logs("microtask"));
    lp.emit_warning(Warning::MaxListenersExceeded);
    assert!(trace.take().is_empty(), "nothing is told inside the call");
    lp.turn();
    assert_eq!(trace.take(), ["tick", "MaxListenersExceededWarning", "microtask"]);
    let logged = trace.clone();
    lp.on_warning(move |_, warning| logged.log(format!("second hook: {warning}")));
    lp.emit_warning(Warning::TimeoutNaN);
    lp.turn();
    assert_eq!(trace.take(), ["second hook: TimeoutNaNWarning"]);
}

#[test]
fn a_warning_without_a_hook_is_dropped_and_a_hook_may_warn() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    lp.emit_warning(Warning::TimeoutOverflow);
    lp.turn();
    let logged = trace.clone();
    lp.on_warning(move |lp, warning| {
        logged.log(warning.to_string());
        if warning == Warning::TimeoutOverflow {
            lp.emit_warning(Warning::TimeoutNegative);
        }
    });
    lp.emit_warning(Warning::TimeoutOverflow);
    lp.queue_microtask(trace.logs("microtask"));
    lp.turn();
    assert_eq!(trace.take(), ["TimeoutOverflowWarning", "TimeoutNegativeWarning", "microtask"]);
}

// --- request_drain and advance_clock ----------------------------------------------------------------------------------

/// A loop that logs what drained it.
fn told_of_drains() -> (TestLoop, Trace) {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    lp.on_drained(move |_| logged.log("drained"));
    (lp, trace)
}

#[test]
fn request_drain_has_the_next_checkpoint_tell_the_hook_though_nothing_is_queued() {
    let (lp, trace) = told_of_drains();
    let logged = trace.clone();
    lp.set_immediate(trace.logs("quiet")); // nothing queued, so its checkpoint has nothing to do
    lp.set_immediate(move |lp| {
        logged.log("requests");
        lp.request_drain();
        lp.request_drain();
    });
    lp.set_immediate(trace.logs("next"));
    lp.run();
    assert_eq!(trace.take(), ["quiet", "requests", "drained", "next"], "once for two requests");
}

#[test]
fn what_the_drained_hook_queues_is_drained_and_it_is_told_again() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let logged = trace.clone();
    let rounds = std::cell::Cell::new(0);
    lp.on_drained(move |lp| {
        rounds.set(rounds.get() + 1);
        logged.log(format!("drained {}", rounds.get()));
        if rounds.get() < 3 {
            lp.queue_microtask(logged.logs("microtask"));
            lp.next_tick(logged.logs("tick"));
        }
    });
    lp.set_immediate(|lp| lp.request_drain());
    lp.run();
    let expected = ["drained 1", "tick", "microtask", "drained 2", "tick", "microtask", "drained 3"];
    assert_eq!(trace.take(), expected);
}

#[test]
fn a_drain_that_a_tick_abandons_still_owes_the_hook() {
    let (lp, trace) = told_of_drains();
    lp.on_uncaught(|_, _| {});
    lp.set_immediate(|lp| {
        lp.request_drain();
        lp.next_tick(|_| panic!("of a tick"));
    });
    lp.set_immediate(trace.logs("next"));
    lp.run();
    assert_eq!(trace.take(), ["next", "drained"], "after the next callback, as X6 says of the rest");
}

#[test]
fn advance_clock_moves_virtual_time_but_not_the_loops_until_the_clock_is_read() {
    let (lp, trace) = (TestLoop::new(), Trace::default());
    let start = lp.now();
    let logged = trace.clone();
    lp.event_loop().timer(ms(5), move |lp| {
        assert!(lp.advance_clock(ms(20)).is_ok());
        logged.log(format!("{:?}", lp.now() - start));
        lp.timer(ms(1), logged.logs("by the loop's time, 6 ms"));
        logged.log(format!("{:?}", lp.update_now() - start));
        lp.timer(ms(1), logged.logs("by the clock, 26 ms"));
    });
    lp.event_loop().timer(ms(24), trace.logs("24 ms"));
    lp.run();
    let expected = ["5ms", "25ms", "by the loop's time, 6 ms", "24 ms", "by the clock, 26 ms"];
    assert_eq!(trace.take(), expected);
}

#[test]
fn advance_clock_is_refused_in_real_time_and_does_not_overflow_in_virtual_time() {
    let real = phaseloop::EventLoop::new().unwrap();
    let error = real.advance_clock(ms(1)).unwrap_err();
    assert!(error.to_string().contains("virtual time"), "{error}");
    let lp = TestLoop::new();
    for _ in 0..2 {
        lp.advance_clock(Duration::MAX).unwrap();
        lp.turn();
    }
}
