//! Reading a file off the loop's thread, as a pool would.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;

use phaseloop::LoopHandle;
use phaseloop::request::{Port, PortSender, Request};

/// Reads one file, in one job or in four.
///
/// Today no pool is joined to the loop, so each job gets a thread of its own, and its result comes back through a
/// [`Port`] while a [`Request`] keeps the loop alive: all that a pool needs of the loop. `fs-pool` will replace it.
///
/// To force the order, a job is waited for before it is left: it is done when the next poll phase looks, so that one
/// job takes exactly one turn. A pool does not wait.
#[derive(Clone)]
pub(crate) struct Files {
    path: PathBuf,
    jobs: usize,
    sender: PortSender<io::Result<Job>>,
    waiting: Rc<RefCell<VecDeque<Waiting>>>,
}

/// Who waits for the job, in the order of submission.
type Waiting = (Request, Callback);
type Callback = Box<dyn FnOnce(&LoopHandle)>;

/// One job on the pool, with what it works on.
enum Job {
    Stat(PathBuf),
    ReadAll(PathBuf),
    Open(PathBuf),
    StatOpen(File),
    Read(File, u64),
    Close(File),
    Done,
}

impl Files {
    pub(crate) fn new(lp: &LoopHandle, path: &Path, jobs: usize) -> Self {
        let waiting = Rc::<RefCell<VecDeque<Waiting>>>::default();
        // The port's callback submits the next job, for which it needs the port's sender.
        let this = Rc::new(RefCell::new(None::<Self>));
        let port = Port::new(lp, {
            let this = Rc::clone(&this);
            move |lp, result| {
                let files = this.borrow().clone().expect("set below, before anything was sent");
                files.completed(lp, result);
            }
        });
        let files = Self { path: path.to_owned(), jobs, sender: port.sender(), waiting };
        this.replace(Some(files.clone()));
        files
    }

    /// `fs.readFile`.
    pub(crate) fn read_file(&self, lp: &LoopHandle, on_read: impl FnOnce(&LoopHandle) + 'static) {
        let path = self.path.clone();
        let first = if self.jobs == 1 { Job::ReadAll(path) } else { Job::Open(path) };
        self.submit(lp, first, Box::new(on_read));
    }

    /// `fs.stat`: one job in every version.
    pub(crate) fn stat(&self, lp: &LoopHandle, on_stat: impl FnOnce(&LoopHandle) + 'static) {
        self.submit(lp, Job::Stat(self.path.clone()), Box::new(on_stat));
    }

    fn submit(&self, lp: &LoopHandle, job: Job, callback: Callback) {
        self.waiting.borrow_mut().push_back((lp.begin_request(), callback));
        let sender = self.sender.clone();
        let thread = thread::spawn(move || sender.send(job.run()));
        let sent = thread.join().expect("a job does not panic");
        sent.expect("the loop is here: it is the one that submits");
    }

    /// Runs in the poll phase, on the loop's thread.
    fn completed(&self, lp: &LoopHandle, result: io::Result<Job>) {
        let (request, callback) = self.waiting.borrow_mut().pop_front().expect("each job has one who waits");
        match result {
            Ok(Job::Done) => callback(lp),
            Ok(next) => self.submit(lp, next, callback),
            Err(error) => panic!("{}: {error}", self.path.display()),
        }
        drop(request);
    }
}

impl Job {
    /// Does the job, and gives what is to be done next.
    fn run(self) -> io::Result<Self> {
        match self {
            Self::Stat(path) => fs::metadata(path).map(|_| Self::Done),
            Self::ReadAll(path) => fs::read(path).map(|_| Self::Done),
            Self::Open(path) => File::open(path).map(Self::StatOpen),
            Self::StatOpen(file) => file.metadata().map(|metadata| Self::Read(file, metadata.len())),
            Self::Read(file, len) => {
                (&file).take(len).read_to_end(&mut Vec::new()).map(|_| Self::Close(file))
            }
            Self::Close(file) => {
                drop(file);
                Ok(Self::Done)
            }
            Self::Done => Ok(Self::Done),
        }
    }
}
