//! F23 and F24: channels between tasks, ours and those of the crate `futures`.

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use phaseloop::channel::oneshot;

use crate::stage::{once_ready, spawn, under_all};

#[test]
fn f23_a_send_queues_the_receiver_and_runs_nothing() {
    under_all(&["sends", "sent", "tick", "microtask", "received"], |lp, trace| {
        let (sender, receiver) = oneshot();
        spawn(lp, trace, |trace| async move { trace.log(receiver.await.unwrap()) });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            lp.next_tick(logged.logs("tick"));
            lp.queue_microtask(logged.logs("microtask"));
            logged.log("sends");
            sender.send("received").unwrap();
            logged.log("sent");
        });
    });
}

#[test]
fn f23_receivers_go_on_in_the_order_of_the_sends() {
    under_all(&["b", "a", "c"], |lp, trace| {
        let mut senders = Vec::new();
        for line in ["a", "b", "c"] {
            let (sender, receiver) = oneshot::<()>();
            senders.push(sender);
            spawn(lp, trace, |trace| async move {
                receiver.await.unwrap();
                trace.log(line);
            });
        }
        lp.set_immediate(move |_| {
            senders.swap(0, 1);
            senders.into_iter().for_each(|sender| sender.send(()).unwrap());
        });
    });
}

#[test]
fn f23_a_dropped_sender_wakes_like_a_send() {
    under_all(&["dropped", "microtask", "unsent"], |lp, trace| {
        let (sender, receiver) = oneshot::<()>();
        spawn(lp, trace, |trace| async move {
            receiver.await.unwrap_err();
            trace.log("unsent");
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            lp.queue_microtask(logged.logs("microtask"));
            drop(sender);
            logged.log("dropped");
        });
    });
}

#[test]
fn f23_a_task_that_sends_runs_on_to_its_next_await() {
    under_all(&["sent", "tail of the sender", "received"], |lp, trace| {
        let (sender, receiver) = oneshot();
        spawn(lp, trace, |trace| async move { trace.log(receiver.await.unwrap()) });
        spawn(lp, trace, |trace| async move {
            sender.send("received").unwrap();
            trace.log("sent");
            trace.log("tail of the sender");
        });
    });
}

#[test]
fn f24_what_a_foreign_channel_holds_is_taken_in_one_poll() {
    under_all(&["1", "2", "3", "behind", "closed"], |lp, trace| {
        let (sender, mut receiver) = mpsc::unbounded();
        spawn(lp, trace, |trace| async move {
            while let Some(value) = receiver.next().await {
                let value: u32 = value;
                trace.log(value.to_string());
            }
            trace.log("closed");
        });
        let logged = trace.clone();
        lp.set_immediate(move |lp| {
            sender.unbounded_send(1).unwrap();
            lp.queue_microtask(logged.logs("behind"));
            sender.unbounded_send(2).unwrap();
            sender.unbounded_send(3).unwrap();
            lp.next_tick(|lp| {
                lp.set_immediate(move |_| drop(sender));
            });
        });
    });
}

#[test]
fn f24_tasks_that_take_turns_on_a_foreign_channel_stay_in_one_drain() {
    under_all(&["received 10", "source", "immediate"], |lp, trace| {
        let (mut sender, receiver) = mpsc::channel(0);
        lp.spawn(async move {
            for value in 1..=10_u32 {
                sender.send(value).await.unwrap(); // waits for the receiver from the second value on
            }
        });
        spawn(lp, trace, |trace| async move {
            let received: Vec<u32> = receiver.collect().await;
            trace.log(format!("received {}", received.len()));
        });
        let mut source = trace.logs("source");
        once_ready(lp, move |lp| source(lp));
        lp.set_immediate(trace.logs("immediate"));
    });
}
