//! F5 to F8: who wakes a task, and what the task itself asks for.

use std::io::Write;

use phaseloop::channel::oneshot;
use phaseloop::net::TcpStream;
use phaseloop::{EventLoop, LoopHandle, Outcome, Schedule};

use crate::loopback::std_pair;
use crate::queue::every_pair;
use crate::stage::{Place, presets, spawn, under, under_all};
use crate::trace::{Trace, ms};

#[test]
fn f5_a_callback_of_any_phase_wakes_the_task_at_its_checkpoint() {
    for (schedule, place) in every_pair() {
        let name = schedule.name.clone();
        let seen = under(schedule, |lp, trace| {
            let (sender, receiver) = oneshot();
            spawn(lp, trace, |trace| async move {
                receiver.await.unwrap();
                trace.log("task");
            });
            let logged = trace.clone();
            let first = move |lp: &LoopHandle| {
                logged.log("first");
                sender.send(()).unwrap();
                lp.next_tick(logged.logs("tick"));
            };
            place.pair(lp, first, trace.logs("second"));
            lp.advance(ms(1));
        });
        let expected = if place.drains_between(&name) {
            ["first", "tick", "task", "second"]
        } else {
            ["first", "second", "tick", "task"]
        };
        assert_eq!(seen, expected, "{place:?} under {name}");
    }
}

#[test]
fn f5_what_a_task_sets_belongs_to_the_phase_that_it_runs_in() {
    for (schedule, place) in every_pair() {
        let name = schedule.name.clone();
        let seen = under(schedule, |lp, trace| {
            let logged = trace.clone();
            let first = move |lp: &LoopHandle| {
                let handle = lp.clone();
                spawn(lp, &logged, |trace| async move {
                    handle.set_immediate(trace.logs("immediate"));
                    handle.timer(ms(0), trace.logs("timer"));
                });
            };
            place.pair(lp, first, |_| {});
            lp.advance(ms(1));
        });
        let timer_first = match place {
            Place::Timer | Place::Timeout => repeats_timers(&name),
            Place::Source => false,
            Place::Immediate | Place::Close => true,
        };
        let expected = if timer_first { ["timer", "immediate"] } else { ["immediate", "timer"] };
        assert_eq!(seen, expected, "{place:?} under {name}");
    }
}

/// True if a loop timer that is due at once still runs in the timers phase that started it: up to libuv 1.46 (U4). In the
/// textbook the task runs only when that phase is over.
fn repeats_timers(preset: &str) -> bool {
    ["node20", "node12", "node10", "libuv 1.44"].contains(&preset)
}

/// A loop in virtual time with real sockets.
fn real_loop(schedule: Schedule) -> EventLoop {
    EventLoop::builder().schedule(schedule).virtual_time(true).build().unwrap()
}

/// A stream of the loop in which a byte waits to be read.
fn readable(lp: &EventLoop) -> (TcpStream, std::net::TcpStream) {
    let (ours, mut peer) = std_pair();
    peer.write_all(b"x").unwrap();
    ours.peek(&mut [0]).unwrap(); // it has arrived
    (TcpStream::from_std(lp, ours).unwrap(), peer)
}

fn finish(lp: &EventLoop) {
    let outcome = lp.run_until(lp.now() + ms(1_000_000)).unwrap();
    assert_eq!(outcome, Outcome::Finished, "held by {:?}", lp.why_alive());
}

#[test]
fn f6_a_readable_socket_wakes_its_task_in_the_poll_phase() {
    for schedule in presets() {
        let (name, trace) = (schedule.name.clone(), Trace::default());
        let lp = real_loop(schedule);
        let (stream, _peer) = readable(&lp);
        let handle = lp.handle();
        spawn(&lp, &trace, |trace| async move {
            trace.log("begins");
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
            trace.log("read");
            handle.timer(ms(0), trace.logs("timer"));
            handle.set_immediate(trace.logs("immediate"));
            handle.next_tick(trace.logs("tick"));
            handle.queue_microtask(trace.logs("microtask"));
        });
        lp.timer(ms(0), trace.logs("timer before"));
        lp.set_immediate(trace.logs("immediate before"));
        finish(&lp);
        let expected = [
            "begins",
            "timer before",
            "read",
            "microtask", // the task is a microtask, so the drain was among these
            "tick",
            "immediate before",
            "immediate",
            "timer",
        ];
        assert_eq!(trace.take(), expected, "under {name}");
    }
}

#[test]
fn f6_each_ready_socket_has_a_checkpoint_of_its_own() {
    for schedule in presets() {
        let (name, trace) = (schedule.name.clone(), Trace::default());
        let lp = real_loop(schedule);
        let sockets = [readable(&lp), readable(&lp)];
        let mut peers = Vec::new();
        for (stream, peer) in sockets {
            peers.push(peer);
            let handle = lp.handle();
            spawn(&lp, &trace, |trace| async move {
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
                trace.log("read");
                handle.next_tick(trace.logs("tick"));
            });
        }
        finish(&lp);
        let expected = if name == "textbook" {
            ["read", "read", "tick", "tick"]
        } else {
            ["read", "tick", "read", "tick"]
        };
        assert_eq!(trace.take(), expected, "under {name}");
    }
}

#[test]
fn f7_tasks_that_wake_each_other_stay_in_one_drain() {
    under_all(&["1000 hops", "source", "immediate"], |lp, trace| {
        let (first, mut receiver) = oneshot();
        for _ in 0..1000 {
            let (sender, next) = oneshot();
            let receives = std::mem::replace(&mut receiver, next);
            lp.spawn(async move {
                let hops: u32 = receives.await.unwrap();
                sender.send(hops + 1).unwrap();
            });
        }
        spawn(lp, trace, |trace| async move { trace.log(format!("{} hops", receiver.await.unwrap())) });
        lp.set_immediate(trace.logs("immediate"));
        crate::stage::once_ready(lp, {
            let trace = trace.clone();
            move |_| trace.log("source")
        });
        lp.queue_microtask(move |_| first.send(0).unwrap());
    });
}
