//! Many jobs of all kinds on a loop, given up in all ways: no completion, thread, descriptor or byte is lost.
#![allow(clippy::unwrap_used)]

#[path = "support/by_pool.rs"]
mod front;
#[path = "support/on_loop.rs"]
mod on_loop;
mod support;
#[path = "stress/sys.rs"]
mod sys;

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fs_pool::fs::{Fs, FsError, FsLimits, Operation};
use fs_pool::pool::{Class, ClassSpec, JobContext, Pool, Priority, Shutdown, SubmitError};
use fs_pool::request::{JobId, LoopPool, PoolFuture, RequestError};
use on_loop::{Gate, run};
use phaseloop::{EventLoop, LoopHandle, RunMode};
use support::{Alive, Dice, PATIENCE, Token, builder};

#[global_allocator]
static ALLOCATOR: sys::Counting = sys::Counting;

/// These tests count what the whole process holds, so they run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

/// What the test's own thread and the test runner may come to hold meanwhile. A job takes more than a hundred bytes.
const SLACK: isize = 32 * 1024;

// --- bounds -----------------------------------------------------------------------------------------------------------

#[test]
fn a_million_jobs_of_a_loop_against_a_bound_take_bounded_memory_and_come_back() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let pool = builder().workers(1).class(ClassSpec::new("user").queue_len_max(10_000)).build().unwrap();
    let lp = EventLoop::new().unwrap();
    let jobs = LoopPool::new(&lp, &pool);
    let (gate, blocker) = Gate::new();
    jobs.run(Class::FS, blocker, |_, _| ()).unwrap();
    gate.wait_started();
    let (alive, called, mut rejected) = (Alive::default(), Rc::new(Cell::new(0)), 0);
    let before = sys::held();
    sys::take_held_max();
    for _ in 0..1_000_000 {
        let (token, heard, called) = (alive.token(), alive.token(), Rc::clone(&called));
        let on_done = move |_: &LoopHandle, _: Result<(), RequestError>| {
            drop(heard);
            called.set(called.get() + 1);
        };
        if let Err(refused) = jobs.run(Class::USER, move |_| drop(token), on_done) {
            let SubmitError::Full(job) = refused else { panic!("{refused}") };
            assert_eq!(alive.count(), 2 * 10_000 + 1, "the job came back, and its callback is gone");
            drop(job);
            rejected += 1;
        }
    }
    let most = sys::take_held_max() as isize - before;
    assert_eq!((rejected, alive.count()), (990_000, 2 * 10_000));
    assert!(most < 10_000 * 1024, "{most} bytes for 10,000 jobs");
    gate.open();
    run(&lp);
    assert_eq!((called.get(), alive.count(), jobs.under_way()), (10_000, 0, (0, 0)));
}

// --- order ------------------------------------------------------------------------------------------------------------

#[test]
fn a_small_read_overtakes_any_number_of_long_jobs_of_another_class() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new("overtakes");
    let share = fs_pool::pool::Share::AllBut(1);
    let pool = builder().workers(4).class(ClassSpec::new("cpu").share(share)).build().unwrap();
    let lp = EventLoop::new().unwrap();
    let jobs = LoopPool::new(&lp, &pool);
    let hashed = Rc::new(Cell::new(0));
    for _ in 0..64 {
        let hashed = Rc::clone(&hashed);
        // Ends when it is told to, and not before: with all of them under way, nothing but another worker can read.
        let long = |cx: &JobContext<'_>| {
            while !cx.is_cancelled() {
                std::thread::yield_now();
            }
        };
        jobs.run(Class::CPU, long, move |_, _| hashed.set(hashed.get() + 1)).unwrap();
    }
    let fs = crate::front::front(&jobs, FsLimits::default());
    let read = lp.block_on(async {
        let file = fs.open(folder.file()).await?;
        file.read_at(4096, 0).await
    });
    assert_eq!((read.unwrap().unwrap().len(), hashed.get()), (4096, 0));
    // The kernel may have read the file before the workers had begun.
    let running = pool.snapshot().class(Class::CPU).running;
    assert!(running == 3 || fs.uses_io_uring(), "and hashing held all that it may: {running}");
    assert_eq!(pool.shutdown(Shutdown::Cancel).left, 0);
    run(&lp);
    assert_eq!(hashed.get(), 64, "each is told how it ended");
}

// --- at random --------------------------------------------------------------------------------------------------------

#[test]
fn a_hundred_thousand_mixed_jobs_lose_nothing_and_leak_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut held = Vec::new();
    for (seed, ends_early) in [(11, false), (12, true), (13, false), (14, true), (15, false)] {
        random_round(seed, 20_000, ends_early);
        held.push(sys::held());
    }
    // What is made once and kept, such as the standard library's, is there after the first two.
    assert!((held[4] - held[1]).abs() < SLACK, "bytes held after each round: {held:?}");
}

/// What has become of the jobs of one round.
#[derive(Clone, Default)]
struct Ledger {
    /// Closures and results that exist.
    values: Alive,
    /// Callbacks that exist.
    callbacks: Alive,
    called: Rc<Cell<usize>>,
}

struct Round {
    jobs: LoopPool,
    fs: Fs,
    file: PathBuf,
    dice: Dice,
    ledger: Ledger,
    ids: Vec<JobId>,
    futures: Vec<PoolFuture<Token>>,
    operations: Vec<Operation<fs_pool::fs::File>>,
    /// Callbacks that the pool has taken on, and those that were given up since.
    accepted: usize,
    abandoned: usize,
}

fn random_round(seed: u64, count: u64, ends_early: bool) {
    let folder = Folder::new(&format!("round-{seed}"));
    let descriptors = descriptors();
    let pool = builder().workers(4).name("mixed").class(ClassSpec::new("user").queue_len_max(300));
    let pool = pool.build().unwrap();
    let lp = EventLoop::new().unwrap();
    let jobs = LoopPool::new(&lp, &pool);
    let ledger = Ledger::default();
    let round = Rc::new(RefCell::new(Round {
        fs: crate::front::front(&jobs, FsLimits::default()),
        jobs,
        file: folder.file(),
        dice: Dice(seed),
        ledger: ledger.clone(),
        ids: Vec::new(),
        futures: Vec::new(),
        operations: Vec::new(),
        accepted: 0,
        abandoned: 0,
    }));
    let giving = Rc::clone(&round);
    let given = lp.spawn(async move {
        for number in 0..count {
            giving.borrow_mut().step();
            if number % 50 == 0 {
                phaseloop::yield_now().await; // completions come in between
            }
        }
    });
    if ends_early {
        while round.borrow().accepted < count as usize / 8 {
            lp.run(RunMode::NoWait).unwrap();
        }
        drop(lp); // with jobs in all states, futures that are held, and a task that still gives jobs
        drop(given);
        drop(round);
        assert!(ledger.called.get() > 0, "some had ended before the loop did");
    } else {
        lp.block_on(given).unwrap().unwrap();
        end_all(&lp, round, &ledger);
        drop(lp);
    }
    assert_eq!(pool.shutdown(Shutdown::Cancel).left, 0);
    assert_eq!((ledger.values.count(), ledger.callbacks.count()), (0, 0), "seed {seed}");
    assert_counts_agree(&pool);
    drop(pool);
    // A thread that was joined is listed for a moment more: the system says that it has ended before it takes it away.
    let deadline = std::time::Instant::now() + PATIENCE;
    while threads("mixed") > 0 {
        assert!(std::time::Instant::now() < deadline, "seed {seed}: {} threads are left", threads("mixed"));
        std::thread::yield_now();
    }
    assert_eq!(self::descriptors(), descriptors, "seed {seed}");
}

/// Waits for all that is under way, and counts it.
fn end_all(lp: &EventLoop, round: Rc<RefCell<Round>>, ledger: &Ledger) {
    let futures = std::mem::take(&mut round.borrow_mut().futures);
    for future in futures {
        // Done, cancelled, timed out or panicked: it ends.
        let _ = lp.block_on(future).unwrap();
    }
    run(lp);
    // The loop does not wait for what was unreferenced.
    let jobs = round.borrow().jobs.clone();
    let deadline = std::time::Instant::now() + PATIENCE;
    let rest = async {
        while jobs.under_way().0 > 0 {
            assert!(std::time::Instant::now() < deadline, "{jobs:?}");
            phaseloop::yield_now().await;
        }
    };
    lp.block_on(rest).unwrap();
    let round = Rc::try_unwrap(round).ok().expect("the task is over").into_inner();
    assert_eq!(ledger.called.get() + round.abandoned, round.accepted, "each callback ran, or was given up");
    assert_eq!(round.jobs.under_way(), (0, 0));
}

impl Round {
    fn step(&mut self) {
        match self.dice.roll(10) {
            0..5 => self.give_with_callback(),
            5..8 => self.give_with_future(),
            8 => self.read(),
            _ => self.open(),
        }
        match self.dice.roll(16) {
            0 => self.cancel(),
            1 => self.abandon(),
            2 => drop(self.take_future()),
            3 => self.cancel_future(),
            4 => self.operations.clear(),
            5 => drop(self.futures.drain(..self.futures.len() / 2)),
            _ => {}
        }
    }

    /// What a job does: returns, panics, or runs on until it is told to end or has had enough.
    fn job(&mut self) -> impl FnOnce(&JobContext<'_>) -> Token + Send + 'static {
        let (token, kind) = (self.ledger.values.token(), self.dice.roll(100));
        move |cx| match kind {
            0 => std::panic::resume_unwind(Box::new(token)),
            1..5 => {
                (0..2000).take_while(|_| !cx.is_cancelled()).for_each(|_| std::thread::yield_now());
                token
            }
            _ => token,
        }
    }

    fn class(&mut self) -> Class {
        [Class::FS, Class::DNS, Class::CPU, Class::USER][self.dice.roll(4) as usize]
    }

    fn on_done<T: 'static, E: 'static>(&self) -> impl FnOnce(&LoopHandle, Result<T, E>) + 'static {
        let (token, called) = (self.ledger.callbacks.token(), Rc::clone(&self.ledger.called));
        move |_, result| {
            drop((token, result));
            called.set(called.get() + 1);
        }
    }

    fn give_with_callback(&mut self) {
        let (job, class, on_done) = (self.job(), self.class(), self.on_done());
        let mut request = self.jobs.request(class);
        match self.dice.roll(8) {
            0 => request = request.timeout(Duration::from_micros(self.dice.roll(500))),
            1 => request = request.priority(Priority::High),
            2 => request = request.unref(),
            _ => {}
        }
        match request.run(job, on_done) {
            Ok(id) => {
                self.accepted += 1;
                self.ids.push(id);
            }
            Err(refused) => assert!(matches!(refused, SubmitError::Full(_)), "{refused}"),
        }
    }

    fn give_with_future(&mut self) {
        let (job, class) = (self.job(), self.class());
        let mut request = self.jobs.request(class);
        if self.dice.roll(4) == 0 {
            request = request.timeout(Duration::from_micros(self.dice.roll(500)));
        }
        self.futures.push(request.spawn(job));
    }

    fn read(&mut self) {
        self.accepted += 1;
        self.fs.read_file(&self.file).on_done(self.on_done::<_, FsError>());
    }

    /// The descriptor that it opens is released on the pool if nobody waits any more.
    fn open(&mut self) {
        self.operations.push(self.fs.open(&self.file));
    }

    fn take_id(&mut self) -> Option<JobId> {
        let place = self.dice.roll(self.ids.len().max(1) as u64) as usize;
        (place < self.ids.len()).then(|| self.ids.swap_remove(place))
    }

    fn cancel(&mut self) {
        if let Some(id) = self.take_id() {
            let _ = self.jobs.cancel(id); // any answer will do: the job's end says what it was
        }
    }

    fn abandon(&mut self) {
        if let Some(id) = self.take_id() {
            let before = self.ledger.callbacks.count();
            self.jobs.abandon(id);
            self.abandoned += before - self.ledger.callbacks.count();
        }
    }

    fn take_future(&mut self) -> Option<PoolFuture<Token>> {
        let place = self.dice.roll(self.futures.len().max(1) as u64) as usize;
        (place < self.futures.len()).then(|| self.futures.swap_remove(place))
    }

    fn cancel_future(&mut self) {
        if let Some(future) = self.take_future() {
            let _ = future.cancel(); // as above
            self.futures.push(future);
        }
    }
}

/// Every job that the pool took has exactly one end.
fn assert_counts_agree(pool: &Pool) {
    let snapshot = pool.snapshot();
    for class in [Class::FS, Class::DNS, Class::CPU, Class::USER] {
        let it = snapshot.class(class);
        let ended = it.completed + it.cancelled + it.panicked + it.detached;
        assert_eq!((it.submitted, it.queued, it.running), (ended, 0, 0), "{it:?}");
    }
}

/// Threads of this process whose names begin so.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|comm| comm.starts_with(name)).count()
}

/// Descriptors of this process, with the one that lists them.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// A fresh folder with a file of a page, which goes at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("phaseloop-stress-{}-{name}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("file"), [b'x'; 4096]).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        Path::join(&self.0, "file")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
