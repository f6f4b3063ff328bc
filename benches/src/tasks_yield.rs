//! What does it cost a task to let the others run, when there are no others?

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

/// One yield of one task.
pub const QUESTIONS: &[Question] = &[Question {
    name: "tasks_yield",
    operation: "yield",
    unit: Unit::CpuNs,
    full: 10_000_000,
    brief: 1_000,
    goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.25) }],
    contestants: &[
        Contestant::floor("floor", floor),
        Contestant::ours("phaseloop", phaseloop),
        Contestant::peer("tokio", tokio),
        Contestant::peer("tokio-local-set", tokio_local_set),
        Contestant::peer("smol", smol),
        Contestant::peer("compio", compio),
        Contestant::peer("monoio", monoio),
        Contestant::peer("node", |ops| peers::node::run("tasks_yield.js", ops)),
    ],
}];

/// A future that is polled again and again, with a waker that does nothing.
fn floor(yields: u64) -> Sample {
    let mut future = pin!(yield_often(yields));
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(sample) = std::hint::black_box(future.as_mut()).poll(&mut cx) {
            return sample;
        }
    }
}

fn phaseloop(yields: u64) -> Sample {
    peers::phaseloop::block_on(async |lp| lp.spawn(yield_often(yields)).await.expect("the task ends well"))
}

fn tokio(yields: u64) -> Sample {
    let task = async move { tokio::spawn(tokio_yield_often(yields)).await.expect("the task ends well") };
    peers::tokio::current_thread().block_on(task)
}

fn tokio_local_set(yields: u64) -> Sample {
    peers::tokio::block_on_local(async move {
        tokio::task::spawn_local(tokio_yield_often(yields)).await.expect("the task ends well")
    })
}

async fn tokio_yield_often(yields: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..yields {
        tokio::task::yield_now().await;
    }
    watch.stop(yields)
}

fn smol(yields: u64) -> Sample {
    peers::smol::block_on_local(async move |executor| executor.spawn(yield_often(yields)).await)
}

fn compio(yields: u64) -> Sample {
    peers::compio::block_on(async move {
        compio::runtime::spawn(yield_often(yields)).await.expect("the task ends well")
    })
}

fn monoio(yields: u64) -> Sample {
    peers::monoio::block_on(async move { monoio::spawn(yield_often(yields)).await })
}

async fn yield_often(yields: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..yields {
        futures_lite::future::yield_now().await;
    }
    watch.stop(yields)
}
