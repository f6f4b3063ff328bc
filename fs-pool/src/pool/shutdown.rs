//! The end of a pool.

use std::thread;
use std::time::{Duration, Instant};

use super::Pool;

/// What becomes of the queued jobs when a pool is shut down. Running ones always end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// They run.
    Finish,
    /// They are cancelled, and the contexts of the running ones say so.
    Cancel,
}

/// How a shutdown went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Queued jobs that were cancelled. Their completions are delivered as such.
    pub cancelled: usize,
    /// Threads that have ended.
    pub joined: usize,
    /// Threads that have not: the time was over, or it is the calling thread. They end after the job they run.
    pub left: usize,
}

impl Pool {
    /// Refuses new jobs from now on, ends the threads, and waits for them as long as their jobs take.
    ///
    /// Completions can still be taken afterwards. Jobs that submitters have staged or keep for later are cancelled by
    /// the submitter's next call. A second shutdown waits as well, and with [`Shutdown::Cancel`] cancels what the
    /// first one let run.
    ///
    /// On a thread of the pool itself, from a job, it waits for the others only; but if two jobs do that, they wait for
    /// each other: use [`shutdown_timeout`](Self::shutdown_timeout) there.
    pub fn shutdown(&self, how: Shutdown) -> ShutdownReport {
        self.end(how, None)
    }

    /// As [`shutdown`](Self::shutdown), but waits at most for `timeout`.
    pub fn shutdown_timeout(&self, how: Shutdown, timeout: Duration) -> ShutdownReport {
        // A timeout beyond what the clock can count is none.
        self.end(how, Instant::now().checked_add(timeout))
    }

    fn end(&self, how: Shutdown, deadline: Option<Instant>) -> ShutdownReport {
        let shared = self.shared();
        let cancelled = shared.close(how);
        let me = thread::current().id();
        let mut st = shared.state.lock();
        let keep = st.threads.iter().filter(|thread| **thread == me).count();
        while st.threads.len() > keep {
            match deadline {
                None => shared.ended.wait(&mut st),
                Some(deadline) => {
                    if shared.ended.wait_until(&mut st, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        let left = st.threads.len();
        let taken = st.seats.iter_mut().filter_map(|seat| seat.thread.take());
        let mut threads: Vec<_> = taken.collect();
        threads.append(&mut st.retired);
        drop(st);
        let mut joined = 0;
        for thread in threads {
            // Only those are joined that have said they end; dropping the handle of another lets it end alone.
            if thread.thread().id() != me && (left <= keep || thread.is_finished()) {
                joined += usize::from(thread.join().is_ok());
            }
        }
        ShutdownReport { cancelled, joined, left }
    }
}
