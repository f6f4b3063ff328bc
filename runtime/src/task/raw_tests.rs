//! The unsafe cells against everything that may happen to them. AddressSanitizer and LeakSanitizer watch.

#![allow(clippy::waker_clone_wake, reason = "both ways of waking count references of their own")]

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::raw::{Ended, Outcome, RawJoin, ReadyTask, Scheduler, Task, WakeInbox, WokenTask, new_task};

/// As the loop's queues have it.
type Thunk<Cx> = super::raw::Thunk<Cx, 3>;

/// A loop reduced to what tasks need: queues and one slot for the table.
#[derive(Clone, Default)]
struct Small(Rc<State>);

#[derive(Default)]
struct State {
    ready: RefCell<Vec<ReadyTask<Small>>>,
    yielded: RefCell<Vec<ReadyTask<Small>>>,
    table: RefCell<Option<Task<Small>>>,
    ends: Cell<u32>,
    unhandled: RefCell<Option<Box<dyn Any + Send>>>,
    referenced: Cell<bool>,
    inbox: Arc<Woken>,
}

#[derive(Default)]
struct Woken(Mutex<Vec<WokenTask<Small>>>);

impl WakeInbox<Small> for Woken {
    fn woken(&self, task: WokenTask<Small>) {
        self.0.lock().push(task);
    }
}

impl Scheduler for Small {
    fn ready(&self, task: ReadyTask<Self>) {
        self.0.ready.borrow_mut().push(task);
    }

    fn yielded(&self, task: ReadyTask<Self>) {
        self.0.yielded.borrow_mut().push(task);
    }

    fn finished(&self, key: usize, ended: Ended) {
        assert_eq!(key, 7);
        self.0.ends.set(self.0.ends.get() + 1);
        if let Ended::Unhandled { payload, .. } = ended {
            self.0.unhandled.replace(Some(payload));
        }
        let table = self.0.table.take();
        drop(table);
    }

    fn set_referenced(&self, referenced: bool) {
        self.0.referenced.set(referenced);
    }

    fn inbox(&self) -> &Arc<Woken> {
        &self.0.inbox
    }

    type Inbox = Woken;
}

impl Small {
    fn spawn<F: Future + 'static>(&self, future: F) -> RawJoin<Self, F::Output> {
        let (task, join) = new_task(self, future, Location::caller());
        self.0.table.replace(Some(task));
        let first = self.0.table.borrow().as_ref().expect("it was just put there").start(7);
        self.ready(first);
        join
    }

    /// Runs what is queued, and gives how many polls that took.
    fn run(&self) -> usize {
        let woken = std::mem::take(&mut *self.0.inbox.0.lock());
        woken.into_iter().for_each(WokenTask::schedule);
        let mut ready = self.0.ready.take();
        ready.extend(self.0.yielded.take());
        let count = ready.len();
        ready.into_iter().for_each(ReadyTask::run);
        count
    }

    fn has_ended(&self) -> bool {
        self.0.ends.get() == 1 && self.0.table.borrow().is_none()
    }
}

/// Counts its drops, which must come on the thread that made it.
#[derive(Clone)]
struct Counted(Rc<Cell<u32>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

fn counted() -> (Counted, Rc<Cell<u32>>) {
    let count = Rc::new(Cell::new(0));
    (Counted(Rc::clone(&count)), count)
}

/// A future that stays pending and leaves its waker.
fn waits(kept: &Rc<RefCell<Option<Waker>>>, owned: Counted) -> impl Future<Output = ()> + use<> {
    let kept = Rc::clone(kept);
    poll_fn(move |cx| {
        let _owned = &owned;
        kept.replace(Some(cx.waker().clone()));
        Poll::Pending
    })
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

// --- thunks -----------------------------------------------------------------------------------------------------------

#[test]
fn a_small_closure_is_called_with_its_context_and_dropped_once() {
    let (value, drops) = counted();
    Thunk::new(move |count: &Cell<u32>| {
        let _value = value;
        count.set(5);
    })
    .call(&drops);
    assert_eq!(drops.get(), 6, "set to five, and then dropped");
}

#[test]
fn a_large_or_overaligned_closure_is_boxed_and_dropped_once() {
    #[repr(align(64))]
    struct Aligned(u8);
    let (value, drops) = counted();
    let (large, aligned) = ([1_u64; 32], Aligned(2));
    let mut thunk = Thunk::new(move |sum: &Cell<u64>| {
        let (_value, aligned) = (value, aligned);
        assert_eq!(&raw const aligned as usize % 64, 0);
        sum.set(large.iter().sum::<u64>() + u64::from(aligned.0));
    });
    let sum = Cell::new(0);
    thunk.call(&sum);
    assert_eq!((sum.get(), drops.get()), (34, 1));
}

#[test]
fn a_thunk_that_is_not_called_drops_its_closure() {
    let (value, drops) = counted();
    drop(Thunk::new(move |(): &()| drop(value)));
    assert_eq!(drops.get(), 1);
    let (value, drops) = counted();
    let large = [0_u64; 8];
    drop(Thunk::new(move |(): &()| {
        let _large = large;
        drop(value);
    }));
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_thunk_is_called_once() {
    let calls = Cell::new(0);
    let mut thunk: Thunk<Cell<u32>> = Thunk::new(|calls: &Cell<u32>| calls.set(calls.get() + 1));
    thunk.call(&calls);
    thunk.call(&calls);
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_thunk_without_captures_works() {
    Thunk::new(|count: &Cell<u32>| count.set(1)).call(&Cell::new(0));
    drop(Thunk::new(|(): &()| {}));
}

#[test]
fn a_thunk_that_panics_drops_its_closure_once() {
    for large in [false, true] {
        let (value, drops) = counted();
        let ballast = [0_u64; 8];
        let mut thunk = if large {
            Thunk::new(move |(): &()| {
                let _owned = (&value, ballast);
                panic!("thunk");
            })
        } else {
            Thunk::new(move |(): &()| {
                let _owned = &value;
                panic!("thunk");
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(|| thunk.call(&()))).is_err());
        assert_eq!(drops.get(), 1);
    }
}

// --- tasks ------------------------------------------------------------------------------------------------------------

#[test]
fn an_output_is_taken_once() {
    let lp = Small::default();
    let (value, drops) = counted();
    let join = lp.spawn(async move { value });
    assert!(join.poll(&mut noop()).is_pending());
    lp.run();
    assert!(lp.has_ended() && join.is_complete());
    let outcome = join.take().unwrap();
    assert_eq!(drops.get(), 0);
    drop(outcome);
    assert_eq!(drops.get(), 1);
    assert!(join.take().is_none());
    assert!(join.abandon().is_none());
    assert_eq!(drops.get(), 1);
}

#[test]
fn an_output_that_nobody_takes_is_dropped_once() {
    // The join handle goes before the end, and after it.
    for before in [true, false] {
        let lp = Small::default();
        let (value, drops) = counted();
        let mut join = Some(lp.spawn(async move { value }));
        let abandon =
            |join: Option<RawJoin<Small, Counted>>| join.is_none_or(|join| join.abandon().is_none());
        if before {
            assert!(abandon(join.take()));
        }
        lp.run();
        assert_eq!(drops.get(), u32::from(before));
        assert!(abandon(join.take()));
        assert_eq!(drops.get(), 1);
        assert!(lp.has_ended());
    }
}

#[test]
fn a_future_is_dropped_when_it_is_done_and_not_later() {
    let lp = Small::default();
    let (value, drops) = counted();
    let join = lp.spawn(poll_fn(move |_| {
        let _value = &value;
        Poll::Ready(())
    }));
    lp.run();
    assert_eq!(drops.get(), 1);
    drop(join);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_panic_is_the_outcome_and_the_future_is_dropped() {
    let lp = Small::default();
    let (value, drops) = counted();
    let join = lp.spawn(async move {
        let _value = value;
        panic!("polled");
    });
    let join: RawJoin<Small, ()> = join;
    lp.run();
    assert_eq!(drops.get(), 1);
    assert!(matches!(join.take(), Some(Outcome::Panicked(payload)) if payload.is::<&str>()));
    assert!(lp.0.unhandled.borrow().is_none());
}

#[test]
fn a_panic_that_nobody_joins_is_given_to_the_loop_or_to_whoever_abandons() {
    let lp = Small::default();
    let join: RawJoin<Small, ()> = lp.spawn(async { panic!("polled") });
    assert!(join.abandon().is_none());
    drop(join);
    lp.run();
    assert!(lp.0.unhandled.take().is_some());
    let lp = Small::default();
    let join: RawJoin<Small, ()> = lp.spawn(async { panic!("polled") });
    lp.run();
    assert!(join.abandon().is_some());
    assert!(lp.0.unhandled.take().is_none());
}

#[test]
fn abort_drops_the_future_when_the_queue_comes_to_it() {
    let lp = Small::default();
    let (value, drops) = counted();
    let kept = Rc::default();
    let join = lp.spawn(waits(&kept, value));
    lp.run();
    join.abort();
    join.abort();
    assert_eq!(drops.get(), 0);
    assert_eq!(lp.run(), 1);
    assert_eq!(drops.get(), 1);
    assert!(matches!(join.take(), Some(Outcome::Cancelled)));
    kept.borrow().as_ref().unwrap().wake_by_ref();
    assert_eq!(lp.run(), 0);
}

#[test]
fn shutting_down_drops_the_future_at_once() {
    let lp = Small::default();
    let (value, drops) = counted();
    let kept = Rc::default();
    let join = lp.spawn(waits(&kept, value));
    lp.run();
    let task = lp.0.table.take().unwrap();
    task.shut_down();
    assert_eq!(drops.get(), 1);
    drop(task);
    assert!(matches!(join.take(), Some(Outcome::Cancelled)));
}

/// Panics in its drop, and wakes and aborts its own task before.
struct PanicsInDrop(Option<Waker>, Counted);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
        panic!("dropped");
    }
}

impl Future for PanicsInDrop {
    type Output = Counted;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Counted> {
        match self.0.replace(cx.waker().clone()) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(self.1.clone()),
        }
    }
}

#[test]
fn a_panic_in_the_drop_of_a_cancelled_future_is_the_outcome() {
    let lp = Small::default();
    let (value, drops) = counted();
    let join = lp.spawn(PanicsInDrop(None, value));
    lp.run();
    join.abort();
    lp.run();
    assert!(matches!(join.take(), Some(Outcome::Panicked(_))));
    assert_eq!(drops.get(), 1);
    assert_eq!(lp.run(), 0, "what its drop woke is over");
}

#[test]
fn a_panic_in_the_drop_of_a_future_that_is_done_replaces_its_output() {
    let lp = Small::default();
    let (value, drops) = counted();
    let join = lp.spawn(PanicsInDrop(None, value));
    lp.run();
    join.abandon();
    let again = lp.0.table.borrow().as_ref().unwrap().start(7);
    again.run();
    assert_eq!(drops.get(), 2, "the future's and the output's");
    assert!(lp.0.unhandled.take().is_some());
}

#[test]
fn a_panic_in_the_drop_of_an_output_is_told_and_nothing_leaks() {
    struct Output;
    impl Drop for Output {
        fn drop(&mut self) {
            panic!("output");
        }
    }
    let lp = Small::default();
    let join = lp.spawn(async { Output });
    drop(join.abandon());
    drop(join);
    lp.run();
    assert!(lp.0.unhandled.take().is_some());
}

#[test]
fn wakes_before_the_poll_make_one_entry_and_wakes_during_it_one_more() {
    let lp = Small::default();
    let polls = Rc::new(Cell::new(0));
    let (counted, kept) = (Rc::clone(&polls), Rc::new(RefCell::new(None::<Waker>)));
    let keeps = Rc::clone(&kept);
    let join = lp.spawn(poll_fn(move |cx| {
        counted.set(counted.get() + 1);
        if counted.get() == 1 {
            cx.waker().wake_by_ref();
            cx.waker().clone().wake();
        }
        keeps.replace(Some(cx.waker().clone()));
        Poll::<()>::Pending
    }));
    lp.run();
    assert_eq!(lp.0.yielded.borrow().len(), 1);
    lp.run();
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    waker.wake();
    assert_eq!(lp.run(), 1);
    assert_eq!(polls.get(), 3);
    join.abort();
    lp.run();
    kept.take();
}

#[test]
fn a_waker_on_another_thread_sends_the_task_home_once() {
    let lp = Small::default();
    let (value, drops) = counted();
    let kept = Rc::default();
    let join = lp.spawn(waits(&kept, value));
    lp.run();
    let waker = kept.borrow().clone().unwrap();
    std::thread::spawn(move || {
        waker.wake_by_ref();
        waker.clone().wake();
        waker.wake();
    })
    .join()
    .unwrap();
    assert_eq!(lp.0.inbox.0.lock().len(), 1);
    assert_eq!(lp.run(), 1);
    join.abort();
    lp.run();
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_waker_that_outlives_all_else_frees_the_cell_on_its_thread() {
    let lp = Small::default();
    let (value, drops) = counted();
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let join = lp.spawn(waits(&kept, value));
    lp.run();
    join.abort();
    lp.run();
    drop(join);
    assert_eq!(drops.get(), 1, "the future is dropped at home");
    let waker = kept.take().unwrap();
    assert_eq!(Arc::strong_count(&lp.0.inbox), 2, "the cell is still there");
    std::thread::spawn(move || drop(waker.clone())).join().unwrap();
    assert_eq!(Arc::strong_count(&lp.0.inbox), 1, "freed there");
}

#[test]
fn a_task_on_its_way_home_is_freed_with_the_inbox() {
    let lp = Small::default();
    let (value, drops) = counted();
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let join = lp.spawn(waits(&kept, value));
    lp.run();
    let waker = kept.take().unwrap();
    std::thread::spawn(move || waker.wake()).join().unwrap();
    lp.0.table.take().unwrap().shut_down();
    drop(join);
    assert_eq!(drops.get(), 1);
    lp.0.inbox.0.lock().clear();
    assert_eq!(Arc::strong_count(&lp.0.inbox), 1);
}

#[test]
fn wakers_of_many_threads_race_without_harm() {
    let lp = Small::default();
    let (value, drops) = counted();
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let join = lp.spawn(waits(&kept, value));
    lp.run();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let waker = kept.borrow().clone().unwrap();
            std::thread::spawn(move || {
                for _ in 0..1_000 {
                    waker.clone().wake();
                    waker.wake_by_ref();
                }
            })
        })
        .collect();
    while threads.iter().any(|thread| !thread.is_finished()) {
        lp.run();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    join.abort();
    lp.run();
    kept.take();
    drop(join);
    assert_eq!(drops.get(), 1);
    assert_eq!(Arc::strong_count(&lp.0.inbox), 1);
}

#[test]
fn the_joiners_waker_is_woken_at_the_end_and_replaced_when_it_changes() {
    struct Flag(Mutex<u32>);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            *self.0.lock() += 1;
        }
    }
    let (old, new) = (Arc::new(Flag(Mutex::new(0))), Arc::new(Flag(Mutex::new(0))));
    let lp = Small::default();
    let join = lp.spawn(async { 7 });
    for flag in [&old, &new, &new] {
        let waker = Waker::from(Arc::clone(flag));
        assert!(join.poll(&mut Context::from_waker(&waker)).is_pending());
    }
    lp.run();
    assert_eq!((*old.0.lock(), *new.0.lock()), (0, 1));
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (1, 1));
    assert!(matches!(join.poll(&mut noop()), Poll::Ready(Outcome::Output(7))));
}

#[test]
fn references_are_told_once_and_not_after_the_end() {
    let lp = Small::default();
    lp.0.referenced.set(true);
    let join = lp.spawn(pending::<()>());
    join.set_referenced(true);
    join.set_referenced(false);
    assert!(!lp.0.referenced.get() && !join.is_referenced());
    join.abort();
    lp.run();
    join.set_referenced(true);
    assert!(!lp.0.referenced.get());
}
