//! What does it cost to hand a value from task to task, with the task?
//!
//! A chain of 1000 tasks is spawned; each awaits a oneshot, adds one, and sends to the next. The last link is spawned
//! first, so that every task waits before its value comes and is woken by the one before it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::peers;
use crate::question::{Bound, Contestant, Goal, Question, Sample, Unit};
use crate::stopwatch::Stopwatch;

const CHAIN: u64 = 1000;

/// One hop, spawn of its task included.
pub const QUESTIONS: &[Question] = &[Question {
    name: "tasks_oneshot_hop",
    operation: "hop",
    unit: Unit::CpuNs,
    full: 2_000_000,
    brief: 2_000,
    goals: &[Goal { of: "phaseloop", bound: Bound::TimesBest(0.8) }],
    contestants: &[
        Contestant::floor("floor", floor),
        Contestant::ours("phaseloop", phaseloop),
        Contestant::ours("phaseloop-futures", phaseloop_futures),
        Contestant::peer("tokio", tokio),
        Contestant::peer("tokio-local-set", tokio_local_set),
        Contestant::peer("smol", smol),
        Contestant::peer("compio", compio),
        Contestant::peer("monoio", monoio),
        Contestant::peer("node", |ops| peers::node::run("tasks_oneshot_hop.js", ops)),
    ],
}];

/// Builds chains until `hops` hops were made: `link` spawns one task between two channels of the kind `channel` makes.
async fn chains<S, R: Future<Output = u64>>(
    hops: u64,
    channel: impl Fn() -> (S, R),
    link: impl Fn(R, S),
    send: impl Fn(S, u64),
) -> Sample {
    let watch = Stopwatch::start();
    for _ in 0..hops / CHAIN {
        let (mut first, last) = channel();
        for _ in 0..CHAIN {
            let (sender, receiver) = channel();
            link(receiver, first);
            first = sender;
        }
        send(first, 0);
        assert_eq!(last.await, CHAIN);
    }
    watch.stop(hops)
}

fn tokio_channel() -> (tokio::sync::oneshot::Sender<u64>, impl Future<Output = u64> + Send + 'static) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    (sender, async move { receiver.await.expect("the sender sends") })
}

fn tokio(hops: u64) -> Sample {
    let send = |sender: tokio::sync::oneshot::Sender<u64>, value| sender.send(value).expect("it is awaited");
    let root = chains(
        hops,
        tokio_channel,
        move |receiver, sender| {
            tokio::spawn(async move { send(sender, receiver.await + 1) });
        },
        send,
    );
    peers::tokio::current_thread().block_on(root)
}

fn tokio_local_set(hops: u64) -> Sample {
    let send = |sender: tokio::sync::oneshot::Sender<u64>, value| sender.send(value).expect("it is awaited");
    let root = chains(
        hops,
        tokio_channel,
        move |receiver, sender| {
            tokio::task::spawn_local(async move { send(sender, receiver.await + 1) });
        },
        send,
    );
    peers::tokio::block_on_local(root)
}

fn phaseloop_channel() -> (phaseloop::channel::Sender<u64>, impl Future<Output = u64> + 'static) {
    let (sender, receiver) = phaseloop::channel::oneshot();
    (sender, async move { receiver.await.expect("the sender sends") })
}

/// With the channel that stays on the loop's thread.
fn phaseloop(hops: u64) -> Sample {
    let send = |sender: phaseloop::channel::Sender<u64>, value| sender.send(value).expect("it is awaited");
    peers::phaseloop::block_on(async |lp| {
        let link = |receiver, sender| link_phaseloop(&lp, receiver, move |value| send(sender, value));
        chains(hops, phaseloop_channel, link, send).await
    })
}

fn futures_channel() -> (futures::channel::oneshot::Sender<u64>, impl Future<Output = u64> + 'static) {
    let (sender, receiver) = futures::channel::oneshot::channel();
    (sender, async move { receiver.await.expect("the sender sends") })
}

/// With the channel of the futures crate, which any thread may use.
fn phaseloop_futures(hops: u64) -> Sample {
    let send =
        |sender: futures::channel::oneshot::Sender<u64>, value| sender.send(value).expect("it is awaited");
    peers::phaseloop::block_on(async |lp| {
        let link = |receiver, sender| link_phaseloop(&lp, receiver, move |value| send(sender, value));
        chains(hops, futures_channel, link, send).await
    })
}

fn link_phaseloop(
    lp: &phaseloop::LoopHandle,
    receiver: impl Future<Output = u64> + 'static,
    send: impl FnOnce(u64) + 'static,
) {
    lp.spawn(async move { send(receiver.await + 1) }).detach();
}

fn smol(hops: u64) -> Sample {
    let send =
        |sender: futures::channel::oneshot::Sender<u64>, value| sender.send(value).expect("it is awaited");
    peers::smol::block_on_local(async move |executor| {
        let link = move |receiver, sender| link_smol(&executor, receiver, sender);
        chains(hops, futures_channel, link, send).await
    })
}

fn link_smol(
    executor: &async_executor::LocalExecutor<'static>,
    receiver: impl Future<Output = u64> + 'static,
    sender: futures::channel::oneshot::Sender<u64>,
) {
    executor.spawn(async move { sender.send(receiver.await + 1).expect("it is awaited") }).detach();
}

fn local_channel() -> (local_sync::oneshot::Sender<u64>, impl Future<Output = u64> + 'static) {
    let (sender, receiver) = local_sync::oneshot::channel();
    (sender, async move { receiver.await.expect("the sender sends") })
}

fn compio(hops: u64) -> Sample {
    let send = |sender: local_sync::oneshot::Sender<u64>, value| sender.send(value).expect("it is awaited");
    let root = chains(
        hops,
        local_channel,
        move |receiver, sender| {
            compio::runtime::spawn(async move { send(sender, receiver.await + 1) }).detach();
        },
        send,
    );
    peers::compio::block_on(root)
}

fn monoio(hops: u64) -> Sample {
    let send = |sender: local_sync::oneshot::Sender<u64>, value| sender.send(value).expect("it is awaited");
    let root = chains(
        hops,
        local_channel,
        move |receiver, sender| {
            drop(monoio::spawn(async move { send(sender, receiver.await + 1) }));
        },
        send,
    );
    peers::monoio::block_on(async move { monoio::spawn(root).await })
}

/// A channel that knows which task waits for it by number, and a queue of numbers.
struct FloorChannel {
    value: Cell<Option<u64>>,
    waiting: Cell<Option<usize>>,
    floor: Rc<FloorQueue>,
}

struct FloorQueue {
    ready: RefCell<VecDeque<usize>>,
    running: Cell<usize>,
}

impl FloorChannel {
    fn send(&self, value: u64) {
        self.value.set(Some(value));
        if let Some(task) = self.waiting.take() {
            self.floor.ready.borrow_mut().push_back(task);
        }
    }

    async fn receive(&self) -> u64 {
        std::future::poll_fn(|_| match self.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                self.waiting.set(Some(self.floor.running.get()));
                Poll::Pending
            }
        })
        .await
    }
}

fn floor(hops: u64) -> Sample {
    let floor = Rc::new(FloorQueue { ready: RefCell::default(), running: Cell::new(0) });
    let channel =
        || Rc::new(FloorChannel { value: Cell::new(None), waiting: Cell::new(None), floor: floor.clone() });
    let mut tasks: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::with_capacity(CHAIN as usize);
    let mut cx = Context::from_waker(Waker::noop());
    let watch = Stopwatch::start();
    for _ in 0..hops / CHAIN {
        let first = channel();
        let mut last = first.clone();
        for number in 0..CHAIN as usize {
            let (receiver, sender) = (last, channel());
            last = sender.clone();
            tasks.push(Box::pin(async move { sender.send(receiver.receive().await + 1) }));
            floor.ready.borrow_mut().push_back(number);
        }
        let mut run = || loop {
            let Some(number) = floor.ready.borrow_mut().pop_front() else { break };
            floor.running.set(number);
            let _ = tasks[number].as_mut().poll(&mut cx); // a task that ended is not queued again
        };
        run();
        first.send(0);
        run();
        assert_eq!(last.value.take(), Some(CHAIN));
        tasks.clear();
    }
    watch.stop(hops)
}
