//! What tests with a loop share.
#![allow(dead_code)] // each test file uses a part

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};

use fs_pool::pool::{Class, Job, JobContext, Pool};
use phaseloop::{EventLoop, RunMode};

use super::support::PATIENCE;

/// Lines in the order in which they were written.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Runs the loop to its end, and panics instead of hanging.
pub(crate) fn run(lp: &EventLoop) {
    let guard = lp.timer(PATIENCE, |lp| panic!("the loop hangs: {:?}", lp.why_alive()));
    lp.unref_timer(guard);
    lp.run(RunMode::Default).expect("the driver does not fail");
    lp.stop_timer(guard);
}

/// Waits until a pool of one worker has done, and delivered, all that was queued before.
pub(crate) fn settle(pool: &Pool) {
    assert_eq!(pool.workers(), 1, "with more workers this waits for nothing");
    let mut submitter = pool.submitter(|| {});
    submitter.submit(Job::new(Class::USER, |_| ())).expect("there is room");
    assert_eq!(submitter.wait_timeout(PATIENCE).expect("there is a thread").len(), 1);
}

/// A job that blocks its worker until the gate is opened or dropped.
pub(crate) struct Gate {
    started: Receiver<()>,
    open: Sender<()>,
}

impl Gate {
    pub(crate) fn new() -> (Self, impl FnOnce(&JobContext<'_>) -> bool + Send + 'static) {
        let (tell, started) = channel();
        let (open, opened) = channel();
        let job = move |cx: &JobContext<'_>| {
            tell.send(()).ok();
            opened.recv().ok();
            cx.is_cancelled()
        };
        (Self { started, open }, job)
    }

    #[track_caller]
    pub(crate) fn wait_started(&self) {
        self.started.recv_timeout(PATIENCE).expect("a worker starts it");
    }

    pub(crate) fn open(self) {
        self.open.send(()).ok();
    }
}
