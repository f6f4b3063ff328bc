//! A loop with files, for tests.
#![allow(dead_code)] // each test file uses a part

use std::path::{Path, PathBuf};
use std::{fmt, fs as blocking};

use fs_pool::fs::{Fs, FsError, FsLimits, Operation};
use fs_pool::pool::{Class, Pool};
use fs_pool::request::LoopPool;
use phaseloop::{EventLoop, RunMode, Schedule};

use super::on_loop::settle;
use super::support::pool;

/// A loop, its files and a fresh folder, which goes at the end.
pub(crate) struct World {
    pub(crate) lp: EventLoop,
    pub(crate) pool: Pool,
    pub(crate) fs: Fs,
    pub(crate) folder: PathBuf,
}

impl World {
    pub(crate) fn new(schedule: Schedule) -> Self {
        let lp = EventLoop::builder().schedule(schedule).build().expect("it works");
        let pool = pool(1);
        let fs = crate::front::front(&LoopPool::new(&lp, &pool), FsLimits::default());
        let folder = lp
            .block_on(fs.mkdtemp(std::env::temp_dir().join("phaseloop-")))
            .expect("it works")
            .expect("it works");
        Self { lp, pool, fs, folder }
    }

    /// Whether files are done by io_uring.
    pub(crate) fn by_ring(&self) -> bool {
        self.fs.uses_io_uring()
    }

    /// Another front, with other bounds.
    pub(crate) fn with_limits(&self, limits: FsLimits) -> Fs {
        crate::front::front(self.fs.pool(), limits)
    }

    /// Jobs of files that were begun, wherever.
    pub(crate) fn jobs(&self) -> u64 {
        self.pool.snapshot().class(Class::FS).submitted + crate::front::ring_jobs(&self.fs)
    }

    /// One turn, at whose poll phase what was begun before is done.
    pub(crate) fn turn(&self) {
        settle(&self.pool);
        // The kernel tells only the loop, so there the poll phase waits for it.
        let mode = if self.by_ring() { RunMode::Once } else { RunMode::NoWait };
        self.lp.run(mode).expect("it works");
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    #[track_caller]
    pub(crate) fn ok<T: 'static>(&self, operation: Operation<T>) -> T {
        self.lp.block_on(operation).expect("it works").expect("it works")
    }

    #[track_caller]
    pub(crate) fn fails<T: fmt::Debug + 'static>(&self, operation: Operation<T>) -> FsError {
        self.lp.block_on(operation).expect("it works").expect_err("it fails")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        blocking::remove_dir_all(&self.folder).ok();
    }
}

pub(crate) fn world() -> World {
    World::new(Schedule::node26())
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lp.schedule().name)
    }
}

/// How many descriptors lead to a path.
pub(crate) fn descriptors(path: &Path) -> usize {
    let fds = blocking::read_dir("/proc/self/fd").expect("it works").flatten();
    fds.filter(|fd| blocking::read_link(fd.path()).is_ok_and(|to| to == path)).count()
}
