//! Pool jobs: a pool of one worker, whose completions come back through a port.
//!
//! The rest of the runner knows only [`Jobs`]; how a job travels is this file's own business.

use super::small_file::{LEN, SmallFile};
use fs_pool::pool::{Class, Job, Pool, Submitter};
use phaseloop::request::{Port, PortSender, Request};
use phaseloop::{FileHops, LoopHandle};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};

/// The jobs of one run. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(super) struct Jobs {
    inner: Rc<Inner>,
}

struct Inner {
    lp: LoopHandle,
    file_hops: FileHops,
    submitter: RefCell<Submitter>,
    sender: PortSender<u64>,
    waiting: Waiting,
    under_way: Arc<UnderWay>,
    /// Made when it is first needed.
    file: OnceCell<SmallFile>,
}

/// Who waits for which job.
type Waiting = Rc<RefCell<HashMap<u64, (Request, OnDone)>>>;
type OnDone = Box<dyn FnOnce(&LoopHandle)>;

impl Jobs {
    pub(super) fn new(lp: &LoopHandle, file_hops: FileHops) -> io::Result<Self> {
        let pool = Pool::builder().workers(1).build().map_err(io::Error::other)?;
        let waiting = Waiting::default();
        let completed = Rc::clone(&waiting);
        let port = Port::new(lp, move |lp, number| {
            let done = completed.borrow_mut().remove(&number);
            if let Some((request, on_done)) = done {
                drop(request);
                on_done(lp);
            }
        });
        let inner = Inner {
            lp: lp.clone(),
            file_hops,
            submitter: RefCell::new(pool.submitter(|| {})),
            sender: port.sender(),
            waiting,
            under_way: Arc::default(),
            file: OnceCell::new(),
        };
        let jobs = Self { inner: Rc::new(inner) };
        jobs.start_worker();
        Ok(jobs)
    }

    /// Has the worker's thread run before the program does: on a busy machine its start takes longer than a scenario
    /// allows a job to.
    fn start_worker(&self) {
        let (started, start) = mpsc::channel();
        let job = Job::new(Class::USER, move |_| started.send(()));
        self.inner.submitter.borrow_mut().submit(job).expect("the pool is empty");
        start.recv().expect("the job sends");
    }

    /// A job of a few microseconds.
    pub(super) fn compute(&self, on_done: impl FnOnce(&LoopHandle) + 'static) {
        let sum = || (0..1000_u64).map(std::hint::black_box).sum::<u64>();
        self.run(move || assert_eq!(sum(), 499_500), on_done);
    }

    /// One job: the file's state.
    pub(super) fn stat(&self, on_done: impl FnOnce(&LoopHandle) + 'static) {
        let path = self.path();
        self.run(
            move || assert_eq!(fs::metadata(path).expect("the file is there").len(), LEN as u64),
            on_done,
        );
    }

    /// Reads the whole file, in as many jobs as the schedule says. `on_part` is told what each but the last has done.
    pub(super) fn read_file(
        &self,
        on_part: impl Fn(&'static str) + 'static,
        on_done: impl FnOnce(&LoopHandle) + 'static,
    ) {
        let path = self.path();
        if self.inner.file_hops == FileHops::Whole {
            return self.run(move || assert_eq!(fs::read(path).expect("it can be read").len(), LEN), on_done);
        }
        let steps: [(&str, Step); 4] = [
            ("open", |path, file| *file = Some(File::open(path).expect("the file is there"))),
            ("fstat", |_, file| assert_eq!(opened(file).metadata().expect("it is open").len(), LEN as u64)),
            ("read", |_, file| opened(file).read_exact(&mut [0; LEN]).expect("it has as many bytes")),
            ("close", |_, file| *file = None),
        ];
        self.run_steps(path, None, steps.into_iter(), Rc::new(on_part), Box::new(on_done));
    }

    /// Blocks until all jobs have ended and their completions wait for the loop.
    pub(super) fn wait_until_idle(&self) {
        self.inner.under_way.wait();
    }

    /// Forgets who waits.
    pub(super) fn let_go(&self) {
        drop(self.inner.waiting.take());
    }

    /// Runs steps one after the other, each submitted by the completion of the one before.
    fn run_steps(
        &self,
        path: PathBuf,
        file: Option<File>,
        mut steps: std::array::IntoIter<(&'static str, Step), 4>,
        on_part: Rc<dyn Fn(&'static str)>,
        on_done: OnDone,
    ) {
        let Some((part, step)) = steps.next() else { return on_done(&self.inner.lp) };
        let (jobs, shared) = (self.clone(), Arc::new(Mutex::new(file)));
        let (job_path, job_file) = (path.clone(), Arc::clone(&shared));
        let next = move |_: &LoopHandle| {
            let file = shared.lock().unwrap_or_else(PoisonError::into_inner).take();
            if steps.len() > 0 {
                on_part(part);
            }
            jobs.run_steps(path, file, steps, on_part, on_done);
        };
        self.run(move || step(&job_path, &mut job_file.lock().unwrap_or_else(PoisonError::into_inner)), next);
    }

    fn run(&self, work: impl FnOnce() + Send + 'static, on_done: impl FnOnce(&LoopHandle) + 'static) {
        let inner = &*self.inner;
        let number = inner.under_way.begin();
        let waiting = (inner.lp.begin_request(), Box::new(on_done) as OnDone);
        inner.waiting.borrow_mut().insert(number, waiting);
        let (sender, under_way) = (inner.sender.clone(), Arc::clone(&inner.under_way));
        let job = Job::new(Class::USER, move |_| {
            work();
            // If the loop is gone, nobody waits.
            let _ = sender.send(number);
            under_way.end();
        });
        let mut submitter = inner.submitter.borrow_mut();
        submitter.submit(job).expect("the pool takes as many jobs as a scenario has");
        submitter.take(&mut Vec::new()); // the port has told already
    }

    fn path(&self) -> PathBuf {
        let file =
            self.inner.file.get_or_init(|| SmallFile::create().expect("the temporary folder is writable"));
        file.path().to_owned()
    }
}

/// A step of reading a file, on the worker.
type Step = fn(&Path, &mut Option<File>);

fn opened(file: &mut Option<File>) -> &mut File {
    file.as_mut().expect("an earlier step has opened it")
}

/// Counts the jobs that are under way.
#[derive(Default)]
struct UnderWay {
    counts: Mutex<Counts>,
    idle: Condvar,
}

#[derive(Default)]
struct Counts {
    begun: u64,
    ended: u64,
}

impl UnderWay {
    /// The number of the job.
    fn begin(&self) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.begun += 1;
        counts.begun
    }

    fn end(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).ended += 1;
        self.idle.notify_all();
    }

    fn wait(&self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        while counts.ended < counts.begun {
            counts = self.idle.wait(counts).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
