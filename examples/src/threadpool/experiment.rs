//! The jobs, and when each was where.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fs_pool::fs::Fs;
use fs_pool::hash::{Algorithm, Hash, Pbkdf2};
use fs_pool::pool::{Class, ClassSpec, JobContext, Pool, Share, Shutdown};
use fs_pool::request::{LoopPool, RequestError};
use phaseloop::{EventLoop, RunMode};

/// Workers of the pool, as in libuv.
const WORKERS: usize = 4;
/// Jobs of each kind.
const JOBS: usize = 6;

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `crypto.pbkdf2`.
    Hash,
    /// `fs.readFile`.
    File,
}

/// How jobs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// They are not: one queue, as in libuv.
    One,
    /// Hashes and files are classes of their own, and one worker is kept free of hashes.
    Several,
}

/// One job: times since all were given.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// What it does.
    pub kind: Kind,
    /// Which of its kind, from 1.
    pub number: usize,
    /// Who ran it.
    pub worker: usize,
    /// When the worker began.
    pub started: Duration,
    /// When the worker was done.
    pub ended: Duration,
    /// When the callback ran on the loop.
    pub told: Duration,
}

impl Span {
    /// What it is called on the page and in the picture.
    pub fn name(&self) -> String {
        match self.kind {
            Kind::Hash => format!("hash {}", self.number),
            Kind::File => format!("file {}", self.number),
        }
    }
}

/// All jobs of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// In the order in which they were given.
    pub spans: Vec<Span>,
    /// Indices of `spans`, in the order in which the callbacks ran.
    pub order: Vec<usize>,
}

impl Run {
    /// When the last callback ran.
    pub fn end(&self) -> Duration {
        self.spans.iter().map(|span| span.told).max().unwrap_or_default()
    }
}

/// Gives six hashes and then six files to a pool of four, in one go, and runs the loop until all are done.
///
/// # Errors
/// When the file can not be read, or a loop or a pool can not be made.
pub fn run(file: &Path, iterations: u32, classes: Classes) -> io::Result<Run> {
    let lp = EventLoop::new()?;
    let (hashes, files) = match classes {
        Classes::One => (Class::USER, Class::USER),
        Classes::Several => (Class::CPU, Class::FS),
    };
    let pool = Pool::builder().workers(WORKERS).class(ClassSpec::new("cpu").share(Share::AllBut(1)));
    let pool = LoopPool::new(&lp, &pool.build().map_err(io::Error::other)?);
    let told = Rc::new(RefCell::new(Vec::from_iter((0..2 * JOBS).map(|_| None))));
    let order = Rc::new(RefCell::new(Vec::new()));
    let since = Instant::now();
    for place in 0..2 * JOBS {
        let (kind, number) = (if place < JOBS { Kind::Hash } else { Kind::File }, 1 + place % JOBS);
        let (class, path) = (if kind == Kind::Hash { hashes } else { files }, file.to_path_buf());
        let job = move |cx: &JobContext<'_>| -> io::Result<Span> {
            let started = since.elapsed();
            match kind {
                Kind::Hash => drop(hash(iterations)?),
                Kind::File => drop(std::fs::read(&path)?),
            }
            let ended = since.elapsed();
            Ok(Span { kind, number, worker: cx.worker(), started, ended, told: ended })
        };
        let (told, order) = (Rc::clone(&told), Rc::clone(&order));
        let given = pool.run(class, job, move |_, done| {
            let span = done.map_err(io::Error::from).and_then(|span| span);
            order.borrow_mut().push(place);
            told.borrow_mut()[place] = Some(span.map(|span| Span { told: since.elapsed(), ..span }));
        });
        given.map_err(|refused| io::Error::from(RequestError::from(refused)))?;
    }
    lp.run(RunMode::Default)?;
    let spans = told.take().into_iter().flatten().collect::<io::Result<Vec<_>>>()?;
    Ok(Run { spans, order: order.take() })
}

fn hash(iterations: u32) -> io::Result<Vec<u8>> {
    let pbkdf2 = Pbkdf2 { algorithm: Algorithm::Sha512, iterations };
    Ok(pbkdf2.derive(b"password", b"salt", 64)?)
}

/// Fills the pool with hashes that take minutes, and reads the first 4 KiB of a file in another class. Gives how long that took, and
/// how many of the hashes had ended by then. The hashes are then given up.
///
/// # Errors
/// As [`run`].
pub fn small_read_under_hashing(file: &Path) -> io::Result<(Duration, usize)> {
    let lp = EventLoop::new()?;
    let pool = Pool::builder().workers(WORKERS).class(ClassSpec::new("cpu").share(Share::AllBut(1)));
    let pool = pool.build().map_err(io::Error::other)?;
    let loop_pool = LoopPool::new(&lp, &pool);
    let (fs, hash) = (Fs::new(&loop_pool), Hash::new(&loop_pool));
    let ended = Rc::new(Cell::new(0));
    let pbkdf2 = Pbkdf2 { algorithm: Algorithm::Sha512, iterations: i32::MAX as u32 };
    for _ in 0..64 {
        let ended = Rc::clone(&ended);
        let hashing = hash.pbkdf2(pbkdf2, "password", "salt", 64);
        let given = hashing.run(move |_, _| ended.set(ended.get() + 1));
        given.map_err(|refused| io::Error::from(RequestError::from(refused)))?;
    }
    let opened = lp.block_on(fs.open(file))??;
    let since = Instant::now();
    let read = lp.block_on(opened.read_at(4096, 0))?;
    let took = (since.elapsed(), ended.get());
    read?;
    // Queued ones never run, and running ones look once a millisecond whether they are still wanted.
    pool.shutdown(Shutdown::Cancel);
    Ok(took)
}
