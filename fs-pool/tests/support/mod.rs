//! What the pool's tests share. Nothing here sleeps; whatever could hang gives up after `PATIENCE`.
#![allow(dead_code)] // each test file uses a part

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use fs_pool::pool::{Class, Completed, Job, Pool, PoolBuilder, Submitter};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A builder that does not look at the environment.
pub(crate) fn builder() -> PoolBuilder {
    Pool::builder().env(|_| None)
}

pub(crate) fn pool(workers: usize) -> Pool {
    builder().workers(workers).build().expect("the settings are valid")
}

/// Waits for `count` completions.
#[track_caller]
pub(crate) fn collect(submitter: &mut Submitter, count: usize) -> Vec<Completed> {
    let mut all = Vec::new();
    while all.len() < count {
        let more = submitter.wait_timeout(PATIENCE).expect("there is a thread");
        assert!(!more.is_empty(), "{} of {count} came; {:#?}", all.len(), submitter.pool().snapshot());
        all.extend(more);
    }
    assert_eq!(all.len(), count);
    all
}

pub(crate) fn tokens(completed: &[Completed]) -> Vec<u64> {
    completed.iter().map(Completed::token).collect()
}

/// The other end of a job that blocks its worker until it is opened or this is dropped.
pub(crate) struct Blocker {
    started: Receiver<()>,
    open: Option<Sender<()>>,
}

impl Blocker {
    pub(crate) fn new(class: Class) -> (Self, Job) {
        let (started_tx, started) = channel();
        let (open, opened) = channel::<()>();
        let job = Job::new(class, move |_| {
            started_tx.send(()).ok();
            opened.recv().ok();
        });
        (Self { started, open: Some(open) }, job)
    }

    /// Submits a blocker and waits until it runs.
    pub(crate) fn start(submitter: &mut Submitter, class: Class) -> Self {
        let (blocker, job) = Self::new(class);
        submitter.submit(job).expect("there is room");
        blocker.wait_started();
        blocker
    }

    #[track_caller]
    pub(crate) fn wait_started(&self) {
        self.started.recv_timeout(PATIENCE).expect("a worker starts it");
    }

    pub(crate) fn open(mut self) {
        self.open = None;
    }
}

/// Counts the values that are alive.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

pub(crate) struct Token(Alive);

impl Alive {
    pub(crate) fn token(&self) -> Token {
        self.0.fetch_add(1, Ordering::SeqCst);
        Token(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A small generator of numbers that only look random, so that a failure can be repeated.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
