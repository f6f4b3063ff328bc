//! Futures that wait for time: sleep, timeout, interval.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use phaseloop::{Elapsed, MissedTicks, TestLoop};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_sleep_counts_from_when_it_is_made() {
    let lp = TestLoop::new();
    let (start, sleep) = (lp.now(), lp.sleep(ms(20)));
    lp.advance(ms(15));
    lp.event_loop().block_on(sleep).unwrap();
    assert_eq!(lp.now(), start + ms(20));
}

#[test]
fn a_sleep_until_an_instant_that_has_passed_is_ready_at_once() {
    let lp = TestLoop::new();
    let before = lp.now();
    lp.advance(ms(5));
    lp.event_loop().block_on(lp.sleep_until(before)).unwrap();
    assert_eq!(lp.update_now(), before + ms(5));
}

#[test]
fn sleeping_tasks_wake_in_the_order_of_deadlines_and_then_of_starts() {
    let (lp, woken) = (TestLoop::new(), Rc::new(RefCell::new(Vec::new())));
    for (name, delay) in [("c", 30), ("a", 10), ("b", 10)] {
        let (woken, sleep) = (Rc::clone(&woken), lp.sleep(ms(delay)));
        lp.spawn(async move {
            sleep.await;
            woken.borrow_mut().push(name);
        });
    }
    lp.run();
    assert_eq!(*woken.borrow(), ["a", "b", "c"]);
}

#[test]
fn dropping_a_sleep_stops_its_timer() {
    let lp = TestLoop::new();
    let _alive = lp.begin_request();
    let sleep = lp.sleep(ms(20));
    let task = lp.spawn(sleep);
    lp.turn();
    assert_eq!(lp.backend_timeout(), Some(ms(20)));
    task.abort();
    lp.turn();
    assert_eq!(lp.backend_timeout(), None);
}

#[test]
fn a_sleep_that_is_reset_counts_anew() {
    let lp = TestLoop::new();
    let (start, mut sleep) = (lp.now(), lp.sleep(ms(10)));
    lp.event_loop()
        .block_on(async {
            assert!(futures::poll!(&mut sleep).is_pending());
            sleep.reset(start + ms(30));
            (&mut sleep).await;
        })
        .unwrap();
    assert_eq!(lp.now(), start + ms(30));
    lp.event_loop().block_on(&mut sleep).unwrap(); // it stays ready
    sleep.reset(lp.now() + ms(5));
    lp.event_loop().block_on(&mut sleep).unwrap();
    assert_eq!(lp.now(), start + ms(35), "also after it was due");
}

#[test]
fn a_sleep_that_is_never_due_does_not_overflow() {
    let lp = TestLoop::new();
    let outcome = lp.event_loop().block_on(lp.timeout(ms(5), lp.sleep(Duration::MAX))).unwrap();
    assert_eq!(outcome, Err(Elapsed));
}

#[test]
fn a_timeout_ends_what_takes_too_long() {
    let lp = TestLoop::new();
    let start = lp.now();
    let late = lp.event_loop().block_on(lp.timeout(ms(10), pending::<()>())).unwrap();
    assert_eq!(late, Err(Elapsed));
    assert_eq!(lp.now(), start + ms(10));
}

#[test]
fn a_timeout_gives_the_output_of_what_is_done_in_time() {
    let lp = TestLoop::new();
    let sleep = lp.sleep(ms(10));
    let in_time = lp.event_loop().block_on(lp.timeout(ms(10), async {
        sleep.await;
        7
    }));
    assert_eq!(in_time.unwrap(), Ok(7), "the future goes first when both are due");
}

/// Three ticks of an interval of 10 ms that is first looked at after 35 ms: when each was due and when it came.
fn three_ticks(policy: MissedTicks) -> Vec<(u128, u128)> {
    let lp = TestLoop::new();
    let start = lp.now();
    let mut interval = lp.interval(ms(10));
    interval.set_missed_ticks(policy);
    lp.advance(ms(35));
    let since = |instant: Instant| (instant - start).as_millis();
    lp.event_loop()
        .block_on(async {
            let mut ticks = Vec::new();
            for _ in 0..3 {
                let due = interval.tick().await;
                ticks.push((since(due), since(lp.update_now())));
            }
            ticks
        })
        .unwrap()
}

#[test]
fn an_interval_delays_missed_ticks() {
    assert_eq!(three_ticks(MissedTicks::Delay), [(10, 35), (45, 45), (55, 55)]);
}

#[test]
fn an_interval_skips_missed_ticks() {
    assert_eq!(three_ticks(MissedTicks::Skip), [(10, 35), (40, 40), (50, 50)]);
}

#[test]
fn an_interval_makes_up_for_missed_ticks() {
    assert_eq!(three_ticks(MissedTicks::Burst), [(10, 35), (20, 35), (30, 35)]);
}

#[test]
fn dropping_the_future_of_a_tick_loses_none() {
    let lp = TestLoop::new();
    let start = lp.now();
    let mut interval = lp.interval(ms(10));
    lp.event_loop()
        .block_on(async {
            assert!(lp.timeout(ms(4), interval.tick()).await.is_err());
            assert_eq!(interval.tick().await, start + ms(10));
        })
        .unwrap();
}

#[test]
fn an_interval_is_a_stream() {
    let lp = TestLoop::new();
    let start = lp.now();
    let ticks = lp.event_loop().block_on(lp.interval(ms(10)).take(2).collect::<Vec<_>>()).unwrap();
    assert_eq!(ticks, [start + ms(10), start + ms(20)]);
}
