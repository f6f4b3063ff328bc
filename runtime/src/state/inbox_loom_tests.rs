//! The inbox against its senders, in every interleaving that loom finds: no wake is lost between sleep and send.

use loom::sync::Notify;
use loom::thread;

use super::inbox::{Inbox, Message, OnPending, Refused};
use crate::task::sync::Arc;

/// An inbox whose alarm is a loom notification.
fn inbox() -> (Arc<Inbox>, Arc<Notify>) {
    let alarm = Arc::new(Notify::new());
    let rings = Arc::clone(&alarm);
    let on_pending: OnPending = Arc::new(move || rings.notify());
    (Arc::new(Inbox::new(1, Some(on_pending))), alarm)
}

/// Turns as the poll phase does until `count` messages came. A lost wake is a deadlock, which loom reports.
fn receive(inbox: &Inbox, alarm: &Notify, count: usize) {
    let (mut received, mut taken) = (0, Vec::new());
    inbox.wake_up();
    while received < count {
        if inbox.fall_asleep() {
            alarm.wait();
        }
        inbox.wake_up();
        if inbox.has_messages() {
            inbox.take(&mut taken);
            received += taken.drain(..).count();
        }
    }
}

#[test]
fn loom_no_wake_is_lost_between_sleep_and_send() {
    loom::model(|| {
        let (inbox, alarm) = inbox();
        let sender = Arc::clone(&inbox);
        let thread = thread::spawn(move || assert!(sender.send(Message::Wake).is_ok()));
        receive(&inbox, &alarm, 1);
        thread.join().unwrap();
    });
}

#[test]
fn loom_no_wake_of_two_senders_is_lost() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(|| {
        let (inbox, alarm) = inbox();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let sender = Arc::clone(&inbox);
                thread::spawn(move || assert!(sender.send(Message::Wake).is_ok()))
            })
            .collect();
        receive(&inbox, &alarm, 2);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn loom_a_sender_is_refused_or_its_message_is_given_to_who_closes() {
    loom::model(|| {
        let (inbox, _alarm) = inbox();
        let sender = Arc::clone(&inbox);
        let thread = thread::spawn(move || sender.send(Message::Wake).is_ok());
        let given = inbox.close().len();
        let taken = thread.join().unwrap();
        assert_eq!(given, usize::from(taken));
        assert!(inbox.is_closed());
    });
}

#[test]
fn loom_a_bound_of_one_admits_one_of_two_closures() {
    loom::model(|| {
        let (inbox, _alarm) = inbox();
        let sender = Arc::clone(&inbox);
        let post = |inbox: &Inbox| inbox.send_call((), |()| Box::new(|_| {}));
        let thread = thread::spawn(move || post(&sender).is_ok());
        let here = post(&inbox).map_err(|(refused, ())| refused);
        let there = thread.join().unwrap();
        assert!(there != here.is_ok(), "one and only one");
        assert!(here.is_ok() || here == Err(Refused::Full));
        assert!(inbox.has_calls());
    });
}
