//! What does it cost to have a thread of a pool do nothing, and to hear of it on the loop's thread?
//!
//! With a window of 1024 jobs under way, where the cost of a wake is shared, on four threads and on one; and one job at a
//! time, where the way there and back is all there is. rayon has no way back: its jobs send into a mailbox that a loop awaits.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Poll;

use fs_pool::pool::{Class, ClassSpec, Pool};
use fs_pool::request::LoopPool;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;
use tokio::runtime::Builder;

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const WINDOW: u64 = 1024;

/// Many under way on four threads, many on one, and one.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "pool_window_4_threads",
        operation: "job",
        unit: Unit::WallUs,
        full: 1_000_000,
        brief: 2_000,
        goals: &[Goal { of: "phaseloop", bound: Bound::Times(0.4, "libuv") }],
        contestants: &[
            Contestant::ours("phaseloop", |jobs| phaseloop(4, WINDOW, jobs, false)),
            Contestant::ours("phaseloop-brief", |jobs| phaseloop(4, WINDOW, jobs, true)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |jobs| libuv(4, WINDOW, jobs)),
            Contestant::peer("rayon", |jobs| rayon(4, WINDOW, jobs)),
            Contestant::peer("tokio", |jobs| tokio(4, WINDOW, jobs)),
        ],
    },
    Question {
        name: "pool_window_1_thread",
        operation: "job",
        unit: Unit::WallUs,
        full: 1_000_000,
        brief: 2_000,
        goals: &[Goal { of: "phaseloop", bound: Bound::Times(0.7, "libuv") }],
        contestants: &[
            Contestant::ours("phaseloop", |jobs| phaseloop(1, WINDOW, jobs, false)),
            Contestant::ours("phaseloop-brief", |jobs| phaseloop(1, WINDOW, jobs, true)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |jobs| libuv(1, WINDOW, jobs)),
            Contestant::peer("rayon", |jobs| rayon(1, WINDOW, jobs)),
            Contestant::peer("tokio", |jobs| tokio(1, WINDOW, jobs)),
        ],
    },
    Question {
        name: "pool_round_trip",
        operation: "round trip",
        unit: Unit::WallUs,
        full: 100_000,
        brief: 100,
        goals: &[Goal { of: "phaseloop", bound: Bound::Times(1.0, "rayon") }],
        contestants: &[
            Contestant::ours("phaseloop", |jobs| phaseloop(1, 1, jobs, false)),
            #[cfg(feature = "libuv")]
            Contestant::peer("libuv", |jobs| libuv(1, 1, jobs)),
            Contestant::peer("rayon", |jobs| rayon(1, 1, jobs)),
            Contestant::peer("tokio", |jobs| tokio(1, 1, jobs)),
        ],
    },
];

/// Callbacks, each of which gives the next job.
fn phaseloop(threads: usize, window: u64, count: u64, is_brief: bool) -> Sample {
    struct Jobs {
        pool: LoopPool,
        left: Cell<u64>,
        done: Cell<u64>,
    }

    fn give(jobs: &Rc<Jobs>) {
        let mine = Rc::clone(jobs);
        let given = jobs.pool.run(
            Class::USER,
            |_| (),
            move |_, done| {
                done.expect("an empty job succeeds");
                mine.done.set(mine.done.get() + 1);
                if mine.left.get() > 0 {
                    mine.left.set(mine.left.get() - 1);
                    give(&mine);
                }
            },
        );
        given.expect("there is room for the window");
    }

    let lp = peers::phaseloop::new_loop();
    let spec = ClassSpec::new("user");
    let builder = Pool::builder().workers(threads).class(if is_brief { spec.brief() } else { spec });
    let pool = LoopPool::new(&lp, &builder.build().expect("the settings are valid"));
    let window = window.min(count);
    let jobs = Rc::new(Jobs { pool, left: Cell::new(count - window), done: Cell::new(0) });
    let watch = Stopwatch::start();
    (0..window).for_each(|_| give(&jobs));
    peers::phaseloop::run(&lp);
    let sample = watch.stop(count);
    assert_eq!(jobs.done.get(), count);
    sample
}

#[cfg(feature = "libuv")]
fn libuv(threads: usize, window: u64, count: u64) -> Sample {
    let watch = Stopwatch::start();
    assert_eq!(peers::libuv_pool::jobs(threads, window, count), count);
    watch.stop(count)
}

/// What rayon's threads and the loop share.
struct Mailbox {
    waker: AtomicWaker,
    sender: Sender<u64>,
}

fn rayon(threads: usize, window: u64, count: u64) -> Sample {
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
    let (sender, receiver) = channel();
    let mailbox = Arc::new(Mailbox { waker: AtomicWaker::new(), sender });
    let give = |number: u64| {
        let mailbox = Arc::clone(&mailbox);
        pool.spawn(move || {
            mailbox.sender.send(number).expect("the loop is there until all are done");
            mailbox.waker.wake();
        });
    };
    let watch = Stopwatch::start();
    let done = peers::tokio::current_thread().block_on(async {
        let (mut given, mut done) = (window.min(count), 0);
        (0..given).for_each(give);
        while done < count {
            for _ in 0..mail(&mailbox, &receiver).await {
                done += 1;
                if given < count {
                    give(given);
                    given += 1;
                }
            }
        }
        done
    });
    let sample = watch.stop(count);
    assert_eq!(done, count);
    sample
}

/// Waits until there is mail, takes all of it, and says how much it was.
async fn mail(mailbox: &Mailbox, receiver: &Receiver<u64>) -> usize {
    std::future::poll_fn(|cx| {
        mailbox.waker.register(cx.waker());
        match receiver.try_iter().count() {
            0 => Poll::Pending,
            letters => Poll::Ready(letters),
        }
    })
    .await
}

fn tokio(threads: usize, window: u64, count: u64) -> Sample {
    let runtime = Builder::new_current_thread().max_blocking_threads(threads).enable_all().build();
    let runtime = runtime.expect("tokio starts");
    let watch = Stopwatch::start();
    let done = runtime.block_on(async {
        let (mut left, mut done) = (count - window.min(count), 0);
        let first = (0..window.min(count)).map(|_| tokio::task::spawn_blocking(|| ()));
        let mut under_way: FuturesUnordered<_> = first.collect();
        while let Some(joined) = under_way.next().await {
            joined.expect("an empty job succeeds");
            done += 1;
            if left > 0 {
                left -= 1;
                under_way.push(tokio::task::spawn_blocking(|| ()));
            }
        }
        done
    });
    let sample = watch.stop(count);
    assert_eq!(done, count);
    sample
}
