//! What does one turn of a loop cost when nothing is ready?
//!
//! A callback re-schedules itself for the next turn, and an I/O driver is present, which every turn asks without
//! blocking. tokio asks its driver once in 61 polls unless told otherwise: here it is told to ask each time. smol asks
//! between two polls of the root future. monoio and compio submit what is queued to io_uring and so make no system
//! call while nothing is: theirs is the same step of the program, not the same work. phaseloop asks
//! while a source is registered: that is its driver being present. Without a source it is a contestant of its own.

use std::cell::Cell;
use std::net::Ipv4Addr;
use std::rc::Rc;

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

/// One turn of the loop.
pub const QUESTIONS: &[Question] = &[Question {
    name: "loop_turn",
    operation: "turn",
    unit: Unit::CpuNs,
    full: 2_000_000,
    brief: 1_000,
    goals: &[Goal { of: "phaseloop", bound: Bound::Times(0.6, "libuv") }],
    contestants: &[
        Contestant::floor("floor", floor),
        Contestant::ours("phaseloop", phaseloop),
        Contestant::ours("phaseloop-no-source", phaseloop_no_source),
        #[cfg(feature = "libuv")]
        Contestant::peer("libuv", libuv),
        Contestant::peer("tokio", tokio),
        Contestant::peer("smol", smol),
        Contestant::peer("compio", compio),
        Contestant::peer("monoio", monoio),
        Contestant::peer("node", |ops| peers::node::run("loop_turn.js", ops)),
    ],
}];

/// One `epoll_wait` that does not block.
fn floor(turns: u64) -> Sample {
    let mut poll = mio::Poll::new().expect("epoll");
    let mut events = mio::Events::with_capacity(1024);
    let mut ran = 0;
    let watch = Stopwatch::start();
    while ran < turns {
        poll.poll(&mut events, Some(std::time::Duration::ZERO)).expect("epoll_wait");
        assert!(events.is_empty());
        ran = std::hint::black_box(ran + 1);
    }
    watch.stop(ran)
}

/// With a listener that nobody connects to.
fn phaseloop(turns: u64) -> Sample {
    let lp = peers::phaseloop::new_loop();
    let silent = phaseloop::net::TcpListener::bind(&lp, (Ipv4Addr::LOCALHOST, 0).into());
    let _silent = silent.expect("loopback has a free port");
    turn_by_immediates(&lp, turns)
}

/// With nothing that the driver could report.
fn phaseloop_no_source(turns: u64) -> Sample {
    turn_by_immediates(&peers::phaseloop::new_loop(), turns)
}

fn turn_by_immediates(lp: &phaseloop::EventLoop, turns: u64) -> Sample {
    let ran = Rc::new(Cell::new(0));
    let watch = Stopwatch::start();
    set_immediate(lp, ran.clone(), turns);
    peers::phaseloop::run(lp);
    let sample = watch.stop(turns);
    assert_eq!(ran.get(), turns);
    sample
}

fn set_immediate(lp: &phaseloop::LoopHandle, ran: Rc<Cell<u64>>, turns: u64) {
    lp.set_immediate(move |lp| {
        ran.set(ran.get() + 1);
        if ran.get() < turns {
            set_immediate(lp, ran, turns);
        }
    });
}

#[cfg(feature = "libuv")]
fn libuv(turns: u64) -> Sample {
    let lp = peers::libuv::Loop::new();
    let watch = Stopwatch::start();
    let ran = peers::libuv::turn_by_idle(&lp, turns);
    let sample = watch.stop(turns);
    assert_eq!(ran, turns);
    sample
}

fn tokio(turns: u64) -> Sample {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().event_interval(1).build().expect("tokio starts");
    // A spawned task: the root future of `block_on` is polled apart from the queue.
    runtime.block_on(async move {
        tokio::spawn(async move {
            let watch = Stopwatch::start();
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            watch.stop(turns)
        })
        .await
        .expect("the task ends well")
    })
}

fn smol(turns: u64) -> Sample {
    async_io::block_on(yield_often(turns))
}

fn compio(turns: u64) -> Sample {
    peers::compio::block_on(yield_often(turns))
}

fn monoio(turns: u64) -> Sample {
    peers::monoio::block_on(yield_often(turns))
}

async fn yield_often(turns: u64) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..turns {
        futures_lite::future::yield_now().await;
    }
    watch.stop(turns)
}
