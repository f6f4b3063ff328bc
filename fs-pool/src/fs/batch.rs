//! Several operations in one trip to the pool.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{io, mem};

use parking_lot::Mutex;
use phaseloop::LoopHandle;

use super::operation::Trips;
use super::{File, Fs};
use crate::pool::{Class, JobContext};
use crate::request::{LoopPool, RequestError};

impl Fs {
    /// Gathers the operations that `start` starts, and gives the pool all of them as one job.
    ///
    /// For calls that belong together: each has a result and an error of its own, one worker makes them in order, and what is
    /// saved is the way there and back. It is no way to more speed where several workers could make the calls at once. An
    /// operation of more than one job goes on alone after the first. `start` gets a front whose operations are gathered
    /// as long as it runs; for open files see [`Batched::file`]. At most
    /// [`FsLimits::batch_len_max`](super::FsLimits::batch_len_max) are taken; each further one ends in `InvalidInput`.
    ///
    /// # Ordering
    /// The calls are made in the order in which they were started, by one worker. Their ends are seen in that order, each
    /// in a callback of its own, in the pending phase that follows the poll phase of the job's completion.
    ///
    /// # Cancel safety
    /// An operation that is dropped before the worker comes to it does not begin; the others do.
    ///
    /// # Examples
    /// ```
    /// # use fs_pool::{fs::Fs, pool::Pool, request::LoopPool};
    /// # let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
    /// # let fs = Fs::new(&LoopPool::new(&lp, &pool));
    /// let (here, gone) = fs.batch(|fs| (fs.stat("."), fs.stat("no such file")));
    /// lp.block_on(async {
    ///     assert!(here.await.is_ok_and(|metadata| metadata.is_dir()));
    ///     assert!(gone.await.is_err());
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn batch<R>(&self, start: impl FnOnce(&Batched) -> R) -> R {
        let gathered = Rc::new(Gathered::new(self.limits.batch_len_max));
        let guard =
            Submit { gathered: Rc::clone(&gathered), pool: self.pool().clone(), site: Location::caller() };
        let fs = Batched { fs: self.gathering(&gathered), gathered };
        let started = start(&fs);
        drop(guard);
        started
    }
}

/// A front whose operations are gathered. See [`Fs::batch`].
#[derive(Debug)]
pub struct Batched {
    fs: Fs,
    gathered: Rc<Gathered>,
}

impl Batched {
    /// The same open file, with operations that are gathered as long as [`Fs::batch`] runs.
    pub fn file(&self, file: &File) -> File {
        file.gathering(&self.gathered)
    }
}

impl std::ops::Deref for Batched {
    type Target = Fs;

    fn deref(&self) -> &Fs {
        &self.fs
    }
}

/// The first jobs of operations, until they are submitted together.
pub(super) struct Gathered {
    items: RefCell<Vec<Item>>,
    is_open: Cell<bool>,
    len_max: usize,
}

struct Item {
    job: Box<dyn FnOnce(&JobContext<'_>) + Send>,
    /// Called with why the job was not done, if the pool says so.
    ended: Ended,
}

/// Whether somebody still wants a job that is gathered.
#[derive(Clone)]
pub(super) struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// Relaxed: a worker that sees it late does a job for nobody, which may always happen.
    pub(super) fn give_up(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Gathered {
    fn new(len_max: usize) -> Self {
        Self { items: RefCell::default(), is_open: Cell::new(true), len_max }
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Takes a job, and what is to be called with its result.
    pub(super) fn add<R: Send + 'static>(
        &self,
        job: impl FnOnce(&JobContext<'_>) -> io::Result<R> + Send + 'static,
        ended: impl FnOnce(&LoopHandle, io::Result<R>) + 'static,
    ) -> io::Result<Wanted> {
        let mut items = self.items.borrow_mut();
        if items.len() >= self.len_max {
            let text = format!("a batch takes at most {} operations", self.len_max);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let wanted = Wanted(Arc::new(AtomicBool::new(true)));
        let result = Arc::new(Mutex::new(None));
        let (theirs, still_wanted) = (Arc::clone(&result), wanted.clone());
        let job = move |cx: &JobContext<'_>| {
            if still_wanted.0.load(Ordering::Relaxed) {
                let done = job(cx);
                *theirs.lock() = Some(done);
            }
        };
        let ended = move |lp: &LoopHandle, error: Option<io::Error>| {
            let done = result.lock().take();
            let missing = || Err(error.unwrap_or_else(|| io::Error::other("the job was given up")));
            ended(lp, done.unwrap_or_else(missing));
        };
        items.push(Item { job: Box::new(job), ended: Box::new(ended) });
        Ok(wanted)
    }

    fn submit(&self, pool: &LoopPool, site: &'static Location<'static>) {
        self.is_open.set(false);
        let (mut jobs, mut ends) = (Vec::new(), Vec::new());
        for Item { job, ended } in mem::take(&mut *self.items.borrow_mut()) {
            jobs.push(job);
            ends.push(ended);
        }
        if jobs.is_empty() {
            return;
        }
        let ends = Rc::new(Cell::new(ends));
        let then = Rc::clone(&ends);
        let job = move |cx: &JobContext<'_>| jobs.into_iter().for_each(|job| job(cx));
        let submitted = pool.request(Class::FS).site(site).run(job, move |lp, done| {
            let error = done.err().map(io::Error::from);
            call_each(lp, then.take(), error);
        });
        if let Err(refused) = submitted {
            call_each(pool.lp(), ends.take(), Some(RequestError::from(refused).into()));
        }
    }
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

type Ended = Box<dyn FnOnce(&LoopHandle, Option<io::Error>)>;

/// Each in a callback of its own, so that each has its checkpoint, and a panic of one is not felt by the next.
fn call_each(lp: &LoopHandle, ends: Vec<Ended>, error: Option<io::Error>) {
    for ended in ends {
        let error = error.as_ref().map(|error| io::Error::new(error.kind(), error.to_string()));
        lp.defer(move |lp| ended(lp, error));
    }
}

/// Submits also if the closure that gathers panics: what it started may be awaited.
struct Submit {
    gathered: Rc<Gathered>,
    pool: LoopPool,
    site: &'static Location<'static>,
}

impl Drop for Submit {
    fn drop(&mut self) {
        self.gathered.submit(&self.pool, self.site);
    }
}

impl Fs {
    fn gathering(&self, gathered: &Rc<Gathered>) -> Self {
        let trips = Trips { gathered: Some(Rc::clone(gathered)), ..self.trips.clone() };
        Self { trips, hops: self.hops, limits: self.limits }
    }
}
