//! How long does it take to ask another thread and be woken by its answer?
//!
//! The helper thread is parked (`std::thread::park`) until it is asked; the loop has nothing else to do and sleeps in
//! its driver until it is woken. Both threads sleep once a round trip, so two context switches are in every figure.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;

use futures::task::AtomicWaker;

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

/// One round trip.
pub const QUESTIONS: &[Question] = &[Question {
    name: "remote_wake",
    operation: "round trip",
    unit: Unit::WallUs,
    full: 200_000,
    brief: 100,
    goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(1.05) }],
    contestants: &[
        Contestant::floor("floor", floor),
        Contestant::ours("phaseloop", |trips| peers::phaseloop::block_on(async |_| ask_often(trips).await)),
        Contestant::ours("phaseloop-wakeup", phaseloop_wakeup),
        #[cfg(feature = "libuv")]
        Contestant::peer("libuv", libuv),
        Contestant::peer("tokio", |trips| peers::tokio::current_thread().block_on(ask_often(trips))),
        Contestant::peer("smol", |trips| async_io::block_on(ask_often(trips))),
        Contestant::peer("compio", |trips| peers::compio::block_on(ask_often(trips))),
        Contestant::peer("monoio", |trips| peers::monoio::block_on(ask_often(trips))),
    ],
}];

/// The last number asked, which ends the helper.
const END: u64 = u64::MAX;

/// What the loop's thread and the helper share.
#[derive(Default)]
struct Door {
    asked: AtomicU64,
    answered: AtomicU64,
}

/// The helper thread, as its asker sees it.
struct Helper {
    door: Arc<Door>,
    thread: thread::JoinHandle<()>,
}

impl Helper {
    /// Starts the thread. It answers each number that is asked by itself, then calls `wake`.
    fn start(wake: impl Fn() + Send + 'static) -> Self {
        let door = Arc::new(Door::default());
        let mine = door.clone();
        let thread = thread::spawn(move || {
            let mut seen = 0;
            while seen != END {
                // Acquire pairs with the Release in `ask`.
                let asked = mine.asked.load(Ordering::Acquire);
                if asked == seen {
                    thread::park();
                    continue;
                }
                seen = asked;
                mine.answered.store(seen, Ordering::Release);
                wake();
            }
        });
        Helper { door, thread }
    }

    fn ask(&self, number: u64) {
        self.door.asked.store(number, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Whether the helper has answered `number`. Acquire pairs with the Release in its thread.
    fn has_answered(&self, number: u64) -> bool {
        self.door.answered.load(Ordering::Acquire) == number
    }

    fn end(self) {
        self.ask(END);
        self.thread.join().expect("the helper does not panic");
    }
}

/// The question for every runtime of futures: the helper wakes the task by its own waker.
async fn ask_often(trips: u64) -> Sample {
    let waker = Arc::new(AtomicWaker::new());
    let helper = Helper::start({
        let waker = waker.clone();
        move || waker.wake()
    });
    let watch = Stopwatch::start();
    for number in 1..=trips {
        helper.ask(number);
        std::future::poll_fn(|cx| {
            waker.register(cx.waker());
            if helper.has_answered(number) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    let sample = watch.stop(trips);
    helper.end();
    sample
}

/// The callback front: the helper asks for a wakeup's callback.
fn phaseloop_wakeup(trips: u64) -> Sample {
    let lp = peers::phaseloop::new_loop();
    let helper: Rc<OnceCell<Helper>> = Rc::default();
    let mut number = 1;
    let wakeup = phaseloop::Wakeup::new(&lp, {
        let helper = helper.clone();
        move |wakeup| {
            let helper = helper.get().expect("it was started before the loop");
            if !helper.has_answered(number) {
                return;
            }
            if number == trips {
                return wakeup.close();
            }
            number += 1;
            helper.ask(number);
        }
    });
    let sender = wakeup.sender();
    let wake = move || {
        let _ = sender.send(); // the helper's last answer comes when the loop is gone
    };
    let started = helper.get_or_init(|| Helper::start(wake));
    let watch = Stopwatch::start();
    started.ask(1);
    peers::phaseloop::run(&lp);
    let sample = watch.stop(trips);
    assert!(started.has_answered(trips));
    drop((lp, wakeup));
    Rc::into_inner(helper).and_then(OnceCell::into_inner).expect("the loop dropped its callback").end();
    sample
}

#[cfg(feature = "libuv")]
fn libuv(trips: u64) -> Sample {
    let lp = peers::libuv::Loop::new();
    let helper = std::cell::OnceCell::new();
    let mut number = 1;
    let mut watch = None;
    let on_wake = || {
        let helper: &Helper = helper.get().expect("it was started in `begin`");
        if helper.has_answered(number) {
            if number == trips {
                return false;
            }
            number += 1;
            helper.ask(number);
        }
        true
    };
    peers::libuv::run_with_waker(&lp, on_wake, |waker| {
        let helper = helper.get_or_init(|| Helper::start(move || waker.wake()));
        watch = Some(Stopwatch::start());
        helper.ask(1);
    });
    let sample = watch.expect("it was started in `begin`").stop(trips);
    helper.into_inner().expect("it was started").end();
    assert_eq!(number, trips);
    sample
}

/// An eventfd in epoll, written once an answer.
fn floor(trips: u64) -> Sample {
    let mut poll = mio::Poll::new().expect("epoll");
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("eventfd");
    let helper = Helper::start(move || waker.wake().expect("write to the eventfd"));
    let mut events = mio::Events::with_capacity(16);
    let watch = Stopwatch::start();
    for number in 1..=trips {
        helper.ask(number);
        while !helper.has_answered(number) {
            poll.poll(&mut events, None).expect("epoll_wait");
        }
    }
    let sample = watch.stop(trips);
    helper.end();
    sample
}
