//! What does a trivial task cost, from spawn to its joined result?

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

/// How many are spawned before the first is joined, in the second question.
const BATCH: u64 = 1000;
const GOALS: &[Goal] = &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.7) }];

/// A task spawned and joined: one by one, and a thousand at a time.
pub const QUESTIONS: &[Question] = &[
    Question {
        name: "tasks_spawn_join_single",
        operation: "spawn and join",
        unit: Unit::CpuNs,
        full: 2_000_000,
        brief: 1_000,
        goals: GOALS,
        contestants: &[
            Contestant::floor("floor", |ops| floor(ops, 1)),
            Contestant::ours("phaseloop", |ops| phaseloop(ops, 1)),
            Contestant::peer("tokio", |ops| tokio(ops, 1)),
            Contestant::peer("tokio-local-set", |ops| tokio_local_set(ops, 1)),
            Contestant::peer("smol", |ops| smol(ops, 1)),
            Contestant::peer("compio", |ops| compio(ops, 1)),
            Contestant::peer("monoio", |ops| monoio(ops, 1)),
            Contestant::peer("node", |ops| peers::node::run("tasks_spawn_join_single.js", ops)),
        ],
    },
    Question {
        name: "tasks_spawn_join_batch",
        operation: "spawn and join, by 1000",
        unit: Unit::CpuNs,
        full: 2_000_000,
        brief: 2_000,
        goals: GOALS,
        contestants: &[
            Contestant::floor("floor", |ops| floor(ops, BATCH)),
            Contestant::ours("phaseloop", |ops| phaseloop(ops, BATCH)),
            Contestant::peer("tokio", |ops| tokio(ops, BATCH)),
            Contestant::peer("tokio-local-set", |ops| tokio_local_set(ops, BATCH)),
            Contestant::peer("smol", |ops| smol(ops, BATCH)),
            Contestant::peer("compio", |ops| compio(ops, BATCH)),
            Contestant::peer("monoio", |ops| monoio(ops, BATCH)),
            Contestant::peer("node", |ops| peers::node::run("tasks_spawn_join_batch.js", ops)),
        ],
    },
];

/// Spawns `batch` tasks, joins them in order, and so on; checks the sum of their results.
///
/// `spawn` gets a number and spawns a task that returns it; `join` gets what `spawn` returned.
async fn spawn_and_join<J>(
    ops: u64,
    batch: u64,
    mut spawn: impl FnMut(u64) -> J,
    mut join: impl AsyncFnMut(J) -> u64,
) -> Sample {
    let mut handles = Vec::with_capacity(batch as usize);
    let mut sum = 0;
    let watch = Stopwatch::start();
    for first in (0..ops).step_by(batch as usize) {
        for number in first..first + batch {
            handles.push(spawn(number));
        }
        for handle in handles.drain(..) {
            sum += join(handle).await;
        }
    }
    let sample = watch.stop(ops);
    assert_eq!(sum, ops * (ops - 1) / 2);
    sample
}

/// A queue of boxed futures, each polled once, for none of them waits.
fn floor(ops: u64, batch: u64) -> Sample {
    let mut queue: VecDeque<Pin<Box<dyn Future<Output = ()>>>> = VecDeque::new();
    let mut results: Vec<Rc<Cell<u64>>> = Vec::with_capacity(batch as usize);
    let mut cx = Context::from_waker(Waker::noop());
    let mut sum = 0;
    let watch = Stopwatch::start();
    for first in (0..ops).step_by(batch as usize) {
        for number in first..first + batch {
            let result = Rc::new(Cell::new(0));
            results.push(result.clone());
            queue.push_back(Box::pin(async move { result.set(number) }));
        }
        while let Some(mut task) = queue.pop_front() {
            assert!(task.as_mut().poll(&mut cx).is_ready());
        }
        sum += results.drain(..).map(|result| result.get()).sum::<u64>();
    }
    let sample = watch.stop(ops);
    assert_eq!(sum, ops * (ops - 1) / 2);
    sample
}

fn phaseloop(ops: u64, batch: u64) -> Sample {
    peers::phaseloop::block_on(async |lp| {
        let spawn = |number| lp.spawn(async move { number });
        let join = async |handle: phaseloop::JoinHandle<u64>| handle.await.expect("the task ends well");
        spawn_and_join(ops, batch, spawn, join).await
    })
}

fn tokio(ops: u64, batch: u64) -> Sample {
    let spawn = |number| tokio::spawn(async move { number });
    let join = async |handle: tokio::task::JoinHandle<u64>| handle.await.expect("the task ends well");
    peers::tokio::current_thread().block_on(spawn_and_join(ops, batch, spawn, join))
}

fn tokio_local_set(ops: u64, batch: u64) -> Sample {
    let spawn = |number| tokio::task::spawn_local(async move { number });
    let join = async |handle: tokio::task::JoinHandle<u64>| handle.await.expect("the task ends well");
    peers::tokio::block_on_local(spawn_and_join(ops, batch, spawn, join))
}

fn smol(ops: u64, batch: u64) -> Sample {
    peers::smol::block_on_local(async move |executor| {
        let spawn = |number| executor.spawn(async move { number });
        let join = async |task: async_executor::Task<u64>| task.await;
        spawn_and_join(ops, batch, spawn, join).await
    })
}

fn compio(ops: u64, batch: u64) -> Sample {
    let spawn = |number| compio::runtime::spawn(async move { number });
    let join = async |handle: compio::runtime::JoinHandle<u64>| handle.await.expect("the task ends well");
    peers::compio::block_on(spawn_and_join(ops, batch, spawn, join))
}

fn monoio(ops: u64, batch: u64) -> Sample {
    let spawn = |number| monoio::spawn(async move { number });
    let join = async |handle: monoio::task::JoinHandle<u64>| handle.await;
    // In a spawned task: the root future is polled apart from the queue.
    peers::monoio::block_on(async move { monoio::spawn(spawn_and_join(ops, batch, spawn, join)).await })
}
