//! Values that follow asynchronous work.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{Check, ContextKey, EventEmitter, LoopHandle, TestLoop, Timer, yield_now};

static NAME: ContextKey<&'static str> = ContextKey::new();
static OTHER: ContextKey<u32> = ContextKey::new();

type Seen = Rc<RefCell<Vec<Option<&'static str>>>>;

fn name(lp: &LoopHandle) -> Option<&'static str> {
    NAME.get(lp).map(|name| *name)
}

fn sees(seen: &Seen) -> impl FnMut(&LoopHandle) + 'static {
    let seen = Rc::clone(seen);
    move |lp| seen.borrow_mut().push(name(lp))
}

/// Schedules something with a value in force, and checks that it finds the value, and that the loop has none.
fn carried(schedule: impl FnOnce(&LoopHandle, &Seen)) {
    let (lp, seen) = (TestLoop::new(), Seen::default());
    NAME.scope(&lp, "carried", || schedule(&lp, &seen));
    assert_eq!(name(&lp), None);
    lp.advance(Duration::from_millis(10));
    lp.turn();
    assert_eq!(*seen.borrow(), [Some("carried")]);
    assert_eq!(name(&lp), None);
}

#[test]
fn a_value_follows_ticks_microtasks_and_immediates() {
    carried(|lp, seen| {
        lp.next_tick(sees(seen));
        lp.set_immediate(|_| {});
    });
    carried(|lp, seen| {
        lp.queue_microtask(sees(seen));
        lp.set_immediate(|_| {});
    });
    carried(|lp, seen| {
        lp.set_immediate(sees(seen));
    });
    carried(|lp, seen| lp.defer(sees(seen)));
}

#[test]
fn a_value_follows_timers_timeouts_and_intervals() {
    let five = Duration::from_millis(5);
    carried(|lp, seen| {
        lp.timer(five, sees(seen));
    });
    carried(|lp, seen| {
        lp.set_timeout(five, sees(seen));
    });
    carried(|lp, seen| {
        lp.set_interval(five, sees(seen));
    });
    carried(|lp, seen| {
        let mut sees = sees(seen);
        Timer::new(lp).start(five, move |timer| sees(timer.lp())).unwrap();
    });
}

#[test]
fn a_value_follows_handles_and_their_close_callbacks() {
    carried(|lp, seen| {
        let mut sees = sees(seen);
        Check::new(lp).start(move |check| sees(check.lp())).unwrap();
    });
    carried(|lp, seen| {
        Timer::new(lp).close_with(sees(seen));
    });
}

#[test]
fn a_value_follows_a_task_through_its_awaits() {
    carried(|lp, seen| {
        let (seen, lp) = (Rc::clone(seen), lp.clone());
        lp.clone().spawn(async move {
            yield_now().await;
            seen.borrow_mut().push(name(&lp));
        });
    });
}

#[test]
fn a_value_follows_what_its_followers_schedule() {
    carried(|lp, seen| {
        let seen = Rc::clone(seen);
        lp.set_immediate(move |lp| lp.next_tick(move |lp| seen.borrow_mut().push(name(lp))));
    });
}

#[test]
fn a_future_with_a_value_is_polled_and_dropped_with_it() {
    struct SeesInDrop(LoopHandle, Seen);
    impl Drop for SeesInDrop {
        fn drop(&mut self) {
            self.1.borrow_mut().push(name(&self.0));
        }
    }
    let (lp, seen) = (TestLoop::new(), Seen::default());
    let guard = SeesInDrop(lp.event_loop().handle(), Rc::clone(&seen));
    let future = NAME.scope_future(&lp, "future", async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    drop(future);
    assert_eq!(*seen.borrow(), [Some("future")]);
}

#[test]
fn scopes_nest_and_keys_do_not_meet() {
    let lp = TestLoop::new();
    NAME.scope(&lp, "outer", || {
        OTHER.scope(&lp, 7, || {
            NAME.scope(&lp, "inner", || assert_eq!(name(&lp), Some("inner")));
            assert_eq!(name(&lp), Some("outer"));
            assert_eq!(OTHER.get(&lp).as_deref(), Some(&7));
        });
        assert!(OTHER.get(&lp).is_none());
    });
}

#[test]
fn a_panic_in_a_scope_restores_what_was_in_force() {
    let lp = TestLoop::new();
    let panics = std::panic::AssertUnwindSafe(|| NAME.scope(&lp, "panics", || panic!("in the scope")));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(name(&lp), None);
}

#[test]
fn listeners_see_the_value_of_the_emit_unless_they_are_bound() {
    let (lp, seen) = (TestLoop::new(), Seen::default());
    let emitter = EventEmitter::<&str>::new();
    let (plain, handle) = (Rc::clone(&seen), lp.event_loop().handle());
    let (bound, same) = (Rc::clone(&seen), handle.clone());
    NAME.scope(&lp, "registered", || {
        emitter.on("event", move |()| plain.borrow_mut().push(name(&handle)));
        let bound = RefCell::new(lp.bind_context(move |()| bound.borrow_mut().push(name(&same))));
        emitter.on("event", move |()| (bound.borrow_mut())(()));
    });
    NAME.scope(&lp, "emitted", || emitter.emit(&"event", &()));
    assert_eq!(*seen.borrow(), [Some("emitted"), Some("registered")]);
}

#[test]
fn a_long_chain_of_values_is_dropped_without_recursion() {
    fn deeper(lp: &LoopHandle, left: u32) {
        if left > 0 {
            OTHER.scope(lp, left, || lp.next_tick(move |lp| deeper(lp, left - 1)));
        }
    }
    let lp = TestLoop::new();
    deeper(&lp, 100_000);
    lp.turn();
}
