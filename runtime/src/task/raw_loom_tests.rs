//! Races of a task's wakers against its loop, in every interleaving that loom finds.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::rc::Rc;
use std::task::{Poll, Waker};

use loom::sync::atomic::AtomicUsize;
use loom::thread;

use super::raw::{Ended, RawJoin, ReadyTask, Scheduler, Task, WakeInbox, WokenTask, new_task};
use super::sync::{Arc, Mutex, Ordering};

/// A loop reduced to a run queue, an inbox and one slot for the table.
#[derive(Clone)]
struct Small(Rc<State>);

struct State {
    ready: RefCell<Vec<ReadyTask<Small>>>,
    table: RefCell<Option<Task<Small>>>,
    inbox: Arc<Woken>,
}

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
        self.0.ready.borrow_mut().push(task);
    }

    fn finished(&self, _key: usize, _ended: Ended) {
        let table = self.0.table.take();
        drop(table);
    }

    fn set_referenced(&self, _referenced: bool) {}

    fn inbox(&self) -> &Arc<Woken> {
        &self.0.inbox
    }

    type Inbox = Woken;
}

impl Small {
    fn new() -> Self {
        let inbox = Arc::new(Woken(Mutex::new(Vec::new())));
        Self(Rc::new(State { ready: RefCell::default(), table: RefCell::default(), inbox }))
    }

    fn spawn<F: Future + 'static>(&self, future: F) -> RawJoin<Self, F::Output> {
        let (task, join) = new_task(self, future, Location::caller());
        self.0.table.replace(Some(task));
        let first = self.0.table.borrow().as_ref().unwrap().start(0);
        self.ready(first);
        join
    }

    fn run(&self) {
        let woken = std::mem::take(&mut *self.0.inbox.0.lock());
        woken.into_iter().for_each(WokenTask::schedule);
        let ready = self.0.ready.take();
        ready.into_iter().for_each(ReadyTask::run);
    }

    /// Whether no cell of a task is left: each holds the inbox.
    fn is_free(&self) -> bool {
        Arc::strong_count(&self.0.inbox) == 1
    }
}

/// A task that keeps its waker and notes what it last saw of `signals`.
fn watching(
    lp: &Small,
    signals: &Arc<AtomicUsize>,
) -> (RawJoin<Small, ()>, Rc<RefCell<Option<Waker>>>, Rc<RefCell<usize>>) {
    let (kept, seen) = (Rc::<RefCell<Option<Waker>>>::default(), Rc::<RefCell<usize>>::default());
    let (keeps, sees, signals) = (Rc::clone(&kept), Rc::clone(&seen), Arc::clone(signals));
    let join = lp.spawn(poll_fn(move |cx| {
        keeps.replace(Some(cx.waker().clone()));
        sees.replace(signals.load(Ordering::Relaxed));
        Poll::<()>::Pending
    }));
    lp.run();
    (join, kept, seen)
}

#[test]
fn loom_a_task_woken_from_two_threads_is_polled_after_the_last_wake() {
    loom::model(|| {
        let (lp, signals) = (Small::new(), Arc::new(AtomicUsize::new(0)));
        let (join, kept, seen) = watching(&lp, &signals);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (waker, signals) = (kept.borrow().clone().unwrap(), Arc::clone(&signals));
                thread::spawn(move || {
                    signals.fetch_add(1, Ordering::Relaxed);
                    waker.wake();
                })
            })
            .collect();
        lp.run(); // at the same time
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        lp.run();
        assert_eq!(*seen.borrow(), 2, "a wake was lost");
        kept.take();
        join.abort();
        lp.run();
        drop(join);
        assert!(lp.is_free());
    });
}

#[test]
fn loom_the_cell_is_freed_once_by_whoever_is_last() {
    loom::model(|| {
        let (lp, signals) = (Small::new(), Arc::new(AtomicUsize::new(0)));
        let (join, kept, _) = watching(&lp, &signals);
        let second = kept.take().unwrap();
        let first = second.clone();
        join.abort();
        let threads = [thread::spawn(move || drop(first)), thread::spawn(move || second.wake_by_ref())];
        lp.run();
        kept.take();
        drop(join);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        lp.0.inbox.0.lock().clear();
        assert!(lp.is_free());
    });
}

#[test]
fn loom_a_task_that_ends_while_it_is_woken_is_freed() {
    loom::model(|| {
        let lp = Small::new();
        let kept = Rc::<RefCell<Option<Waker>>>::default();
        let keeps = Rc::clone(&kept);
        let join = lp.spawn(poll_fn(move |cx| match keeps.replace(Some(cx.waker().clone())) {
            None => Poll::Pending,
            Some(_) => Poll::Ready(()),
        }));
        lp.run();
        let waker = kept.borrow().clone().unwrap();
        waker.wake_by_ref(); // at home: it is going to end
        let thread = thread::spawn(move || waker.wake());
        lp.run();
        thread.join().unwrap();
        lp.run();
        assert!(join.is_complete());
        kept.take();
        drop((join.abandon().is_none(), join));
        assert!(lp.is_free());
    });
}
