//! F20 to F22: futures that are polled together in one task.

use std::future::{Future, poll_fn};
use std::pin::pin;

use futures::future::{Either, join_all, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, select, select_biased};
use phaseloop::channel::{Receiver, oneshot};
use phaseloop::{LoopHandle, Sleep};

use crate::stage::{presets, spawn, under, under_all, under_all_but};
use crate::trace::{Trace, ms};

/// Two receivers whose values are sent by one immediate, the second one first.
fn two_sent(lp: &LoopHandle) -> (Receiver<&'static str>, Receiver<&'static str>) {
    let ((to_a, a), (to_b, b)) = (oneshot(), oneshot());
    lp.set_immediate(move |_| {
        to_b.send("b").unwrap();
        to_a.send("a").unwrap();
    });
    (a, b)
}

#[test]
fn f20_select_biased_takes_the_first_ready_one_in_the_order_written() {
    under_all(&["a", "b"], |lp, trace| {
        for a_first in [true, false] {
            let (a, b) = two_sent(lp);
            spawn(lp, trace, |trace| async move {
                let (mut a, mut b) = (a.fuse(), b.fuse());
                let line = if a_first {
                    select_biased! { a = a => a, b = b => b }
                } else {
                    select_biased! { b = b => b, a = a => a }
                };
                trace.log(line.unwrap());
            });
        }
    });
}

#[test]
fn f20_a_select_of_two_futures_prefers_its_first() {
    under_all(&["a"], |lp, trace| {
        let (a, b) = two_sent(lp);
        spawn(lp, trace, |trace| async move {
            match select(a, b).await {
                Either::Left((value, _)) | Either::Right((value, _)) => trace.log(value.unwrap()),
            }
        });
    });
}

#[test]
fn f20_a_select_that_chooses_by_chance_chooses_among_the_ready_at_once() {
    for schedule in presets() {
        let name = schedule.name.clone();
        let mut seen = under(schedule, |lp, trace| {
            let (a, b) = two_sent(lp);
            spawn(lp, trace, |trace| async move {
                let (mut a, mut b, mut never) = (a.fuse(), b.fuse(), std::future::pending::<()>().fuse());
                let line = select! { a = a => a.unwrap(), b = b => b.unwrap(), () = never => "never" };
                trace.log(line);
            });
            let logged = trace.clone();
            lp.set_immediate(move |lp| lp.queue_microtask(move |_| logged.log("behind")));
        });
        let chosen = seen.remove(0);
        assert!(chosen == "a" || chosen == "b", "under {name} it was {chosen}");
        assert_eq!(seen, ["behind"], "under {name}: the choice took one place in the queue");
    }
}

#[test]
fn f20_the_loser_is_dropped_at_once_and_its_sleep_stops() {
    under_all(&["a", "0 ms"], |lp, trace| {
        let ((a, b), handle, start) = (two_sent(lp), lp.event_loop().handle(), lp.now());
        spawn(lp, trace, |trace| async move {
            let _b = b;
            let slept = handle.sleep(ms(500));
            match select(a, slept).await {
                Either::Left((value, _)) => trace.log(value.unwrap()),
                Either::Right(_) => trace.log("slept"),
            }
            assert_eq!(handle.why_alive().len(), 1, "the task alone: {:?}", handle.why_alive());
            trace.log(format!("{} ms", (handle.update_now() - start).as_millis()));
        });
    });
}

/// A task that waits for a message or for `limit`, whichever is first; the sleep is asked first.
fn receives_or_sleeps(lp: &LoopHandle, trace: &Trace, receiver: Receiver<()>, limit: Sleep) {
    spawn(lp, trace, |trace| async move {
        let (mut receiver, mut limit) = (receiver.fuse(), limit.fuse());
        trace.log(select_biased! { () = limit => "slept", _ = receiver => "received" });
    });
}

#[test]
fn f21_a_race_is_decided_at_the_first_checkpoint_that_finds_one_ready() {
    under_all_but(&["received"], &["slept"], |lp, trace| {
        let (sender, receiver) = oneshot();
        lp.event_loop().timer(ms(5), move |_| sender.send(()).unwrap()); // started first, so it fires first
        receives_or_sleeps(lp, trace, receiver, lp.sleep(ms(5)));
    });
}

#[test]
fn f21_a_sleep_that_the_timers_phase_has_not_seen_loses_though_its_time_is_up() {
    under_all(&["received"], |lp, trace| {
        let (sender, receiver) = oneshot();
        receives_or_sleeps(lp, trace, receiver, lp.sleep(ms(5)));
        lp.event_loop().timer(ms(1), move |lp| {
            sender.send(()).unwrap();
            lp.next_tick(|lp| assert!(lp.advance_clock(ms(10)).is_ok())); // before the task is polled
        });
    });
}

/// How often a task is polled until its future is done.
async fn count_polls(future: impl Future, trace: Trace) {
    let mut polls = 0;
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls += 1;
        future.as_mut().poll(cx)
    })
    .await;
    trace.log(format!("{polls} polls"));
}

#[test]
fn f22_futures_that_share_a_task_share_its_place_in_the_queue() {
    // One poll at first, and one at each checkpoint that finds a wake.
    under_all_but(&["4 polls"], &["2 polls"], |lp, trace| {
        let sleeps = [lp.sleep(ms(5)), lp.sleep(ms(5)), lp.sleep(ms(5))];
        spawn(lp, trace, |trace| count_polls(join_all(sleeps), trace));
    });
}

#[test]
fn f22_a_set_of_futures_wakes_itself_after_a_round_which_is_a_yield() {
    under_all_but(&["immediate", "5 polls"], &["immediate", "3 polls"], |lp, trace| {
        let mut sleeps: FuturesUnordered<_> = (0..3).map(|_| lp.sleep(ms(5))).collect();
        let all = async move { while sleeps.next().await.is_some() {} };
        spawn(lp, trace, |trace| count_polls(all, trace));
        lp.set_immediate(trace.logs("immediate"));
    });
}

#[test]
fn f22_a_join_goes_on_in_the_drain_of_its_last() {
    under_all(&["first", "last", "both", "behind"], |lp, trace| {
        let ((to_a, a), (to_b, b)) = (oneshot(), oneshot());
        spawn(lp, trace, |trace| async move {
            let (a, b) = futures::join!(a, b);
            assert_eq!((a, b), (Ok(1), Ok(2)));
            trace.log("both");
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            logged.log("first");
            to_b.send(2).unwrap();
            lp.set_immediate(move |lp| {
                logged.log("last");
                to_a.send(1).unwrap();
                lp.queue_microtask(move |_| logged.log("behind"));
            });
        });
    });
}
