//! Event emitters by Node's rules V1 to V6.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod trace;

use std::cell::Cell;
use std::rc::Rc;

use phaseloop::{Event, EventEmitter, ListenerId, ListenerOptions};
use trace::Trace;

type Emitter = EventEmitter<&'static str>;

fn emitter() -> (Emitter, Trace) {
    (Emitter::new(), Trace::default())
}

fn logs(trace: &Trace, line: &'static str) -> impl Fn(&()) + 'static {
    let trace = trace.clone();
    move |()| trace.log(line)
}

#[test]
fn emit_calls_the_listeners_at_once_and_prepended_ones_first() {
    let (emitter, trace) = emitter();
    emitter.on("event", logs(&trace, "first"));
    emitter.on("event", logs(&trace, "second"));
    emitter.prepend("event", logs(&trace, "prepended"));
    emitter.prepend("event", logs(&trace, "prepended last"));
    assert!(emitter.emit(&"event", &()));
    assert_eq!(trace.take(), ["prepended last", "prepended", "first", "second"]);
}

#[test]
fn emit_says_whether_anybody_listens() {
    let (emitter, trace) = emitter();
    assert!(!emitter.emit(&"event", &()));
    emitter.on("other", logs(&trace, "other"));
    assert!(!emitter.emit(&"event", &()));
}

#[test]
fn a_listener_added_in_an_emit_counts_from_the_next() {
    let (emitter, trace) = emitter();
    let (inner, logged) = (emitter.clone(), trace.clone());
    emitter.once("event", move |()| {
        inner.on("event", logs(&logged, "added"));
        logged.log("adds");
    });
    emitter.emit(&"event", &());
    assert_eq!(trace.take(), ["adds"]);
    emitter.emit(&"event", &());
    assert_eq!(trace.take(), ["added"]);
}

/// Emits with a first listener that removes a second one, added with `options`.
fn removed_in_the_emit(options: ListenerOptions) -> Vec<String> {
    let (emitter, trace) = emitter();
    let victim = Rc::new(Cell::new(None::<ListenerId>));
    let (inner, known) = (emitter.clone(), Rc::clone(&victim));
    emitter.once("event", move |()| assert!(inner.off(known.get().expect("it was set"))));
    victim.set(Some(emitter.add("event", options, logs(&trace, "removed"))));
    emitter.emit(&"event", &());
    emitter.emit(&"event", &());
    trace.take()
}

#[test]
fn a_listener_removed_in_an_emit_still_runs_in_it() {
    assert_eq!(removed_in_the_emit(ListenerOptions::default()), ["removed"]);
}

#[test]
fn a_once_listener_removed_in_an_emit_still_runs_in_it() {
    assert_eq!(removed_in_the_emit(ListenerOptions { once: true, prepend: false }), ["removed"]);
}

#[test]
fn a_once_listener_is_removed_before_it_is_called() {
    let (emitter, trace) = emitter();
    let (inner, logged) = (emitter.clone(), trace.clone());
    emitter.once("event", move |()| {
        logged.log("once");
        assert_eq!(inner.listener_count(&"event"), 0);
        inner.emit(&"event", &());
    });
    emitter.emit(&"event", &());
    emitter.emit(&"event", &());
    assert_eq!(trace.take(), ["once"]);
}

#[test]
fn a_once_listener_runs_once_in_nested_emits() {
    let (emitter, trace) = emitter();
    let (inner, first) = (emitter.clone(), Cell::new(true));
    emitter.on("event", move |()| {
        if first.replace(false) {
            inner.emit(&"event", &());
        }
    });
    emitter.once("event", logs(&trace, "once"));
    emitter.emit(&"event", &());
    assert_eq!(trace.take(), ["once"]);
    emitter.remove_all(&Event::Key("event"));
}

#[test]
fn additions_are_told_before_and_removals_after() {
    let (emitter, trace) = emitter();
    let (inner, logged) = (emitter.clone(), trace.clone());
    emitter.on_listener_added(ListenerOptions::default(), move |event| {
        logged.log(format!("adding to {event:?}, {} so far", inner.listener_count(&"event")));
    });
    let (inner, logged) = (emitter.clone(), trace.clone());
    emitter.on_listener_removed(ListenerOptions::default(), move |event| {
        logged.log(format!("removed from {event:?}, {} left", inner.listener_count(&"event")));
    });
    assert_eq!(trace.take(), ["adding to ListenerRemoved, 0 so far"]);
    let id = emitter.on("event", |()| {});
    assert!(emitter.off(id));
    assert!(!emitter.off(id));
    emitter.once("event", |()| {});
    emitter.emit(&"event", &());
    let expected = ["adding to Key(\"event\"), 0 so far", "removed from Key(\"event\"), 0 left"].repeat(2);
    assert_eq!(trace.take(), expected);
    emitter.remove_all(&Event::ListenerAdded);
    emitter.remove_all(&Event::ListenerRemoved);
}

#[test]
fn removing_all_with_an_audience_removes_the_newest_first() {
    let emitter = Emitter::new();
    let order = Trace::default();
    for line in ["oldest", "newest"] {
        let dropped = DropLogs(order.clone(), line);
        emitter.on("event", move |()| {
            let _owned = &dropped;
        });
    }
    emitter.on_listener_removed(ListenerOptions::default(), |_| {});
    emitter.remove_all(&Event::Key("event"));
    assert_eq!(order.take(), ["newest", "oldest"]);
    assert_eq!(emitter.listener_count(&"event"), 0);
}

struct DropLogs(Trace, &'static str);

impl Drop for DropLogs {
    fn drop(&mut self) {
        self.0.log(self.1);
    }
}

#[test]
fn an_error_without_listeners_is_given_back() {
    let errors = EventEmitter::<&str, String>::new();
    assert_eq!(errors.emit_error(&"error", "lost".to_owned()), Err("lost".to_owned()));
    errors.on("error", |_| {});
    assert_eq!(errors.emit_error(&"error", "heard".to_owned()), Ok(()));
}

#[test]
fn a_leak_is_told_once_until_the_listeners_are_down_to_one() {
    let (emitter, trace) = emitter();
    let logged = trace.clone();
    emitter.on_leak(move |event, count| logged.log(format!("{event:?} {count}")));
    let add = |count| (0..count).map(|_| emitter.on("event", |()| {})).collect::<Vec<_>>();
    let ids = add(10);
    assert!(trace.take().is_empty());
    add(2);
    assert_eq!(trace.take(), ["Key(\"event\") 11"]);
    ids[..9].iter().for_each(|id| assert!(emitter.off(*id)));
    add(9);
    assert!(trace.take().is_empty(), "three were left, so it is not told again");
    emitter.remove_all(&Event::Key("event"));
    add(11);
    assert_eq!(trace.take(), ["Key(\"event\") 11"]);
}

#[test]
fn a_limit_of_zero_never_tells() {
    let (emitter, trace) = emitter();
    let logged = trace.clone();
    emitter.on_leak(move |_, _| logged.log("leak"));
    emitter.set_listeners_max(0);
    for _ in 0..100 {
        emitter.on("event", |()| {});
    }
    assert!(trace.take().is_empty());
}

#[test]
fn a_panic_of_a_listener_passes_through_emit_and_skips_the_others() {
    let (emitter, trace) = emitter();
    emitter.once("event", |()| panic!("listener"));
    emitter.on("event", logs(&trace, "behind"));
    let emits = std::panic::AssertUnwindSafe(|| emitter.emit(&"event", &()));
    assert!(std::panic::catch_unwind(emits).is_err());
    assert!(trace.take().is_empty());
    emitter.emit(&"event", &());
    assert_eq!(trace.take(), ["behind"]);
}

#[test]
fn the_keys_are_those_with_listeners() {
    let emitter = Emitter::new();
    let id = emitter.on("gone", |()| {});
    emitter.on("there", |()| {});
    emitter.off(id);
    assert_eq!(emitter.event_keys(), ["there"]);
}

#[test]
fn a_key_is_forgotten_with_its_last_listener() {
    let emitter = phaseloop::EventEmitter::<std::rc::Rc<str>, ()>::new();
    let key: std::rc::Rc<str> = "request 1".into();
    emitter.once(std::rc::Rc::clone(&key), |()| {});
    emitter.emit(&key, &());
    assert_eq!(std::rc::Rc::strong_count(&key), 1);
}

#[test]
fn v4_emit_own_tells_the_listeners_of_the_emitters_own_events_alone() {
    let (emitter, trace) = emitter();
    let (added, removed) = (trace.clone(), trace.clone());
    emitter.on_listener_added(ListenerOptions::default(), move |about| added.log(format!("added {about:?}")));
    emitter.on_listener_removed(ListenerOptions { once: true, prepend: false }, move |about| {
        removed.log(format!("removed {about:?}"));
    });
    emitter.on("event", logs(&trace, "event"));
    trace.take(); // the two that were added since
    emitter.emit_own(&Event::ListenerAdded, &Event::Key("stood in for"));
    emitter.emit_own(&Event::ListenerRemoved, &Event::Key("stood in for"));
    emitter.emit_own(&Event::ListenerRemoved, &Event::Key("nobody is left"));
    emitter.emit_own(&Event::Key("event"), &Event::Key("of the program"));
    assert_eq!(trace.take(), ["added Key(\"stood in for\")", "removed Key(\"stood in for\")"]);
    assert_eq!(emitter.listener_count(&"event"), 1, "it adds and removes nothing itself");
}
