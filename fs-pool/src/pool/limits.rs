//! Every bound of the pool, in one place.

use std::time::Duration;

/// The bounds of a pool: each with its unit and its reason.
///
/// The bounds that belong to one class (queue length, share of the workers) are in [`ClassSpec`](super::ClassSpec).
///
/// ```
/// use fs_pool::pool::{Limits, Pool};
///
/// let pool = Pool::builder().limits(Limits { bite_len_max: 8, ..Limits::default() }).build()?;
/// # Ok::<(), fs_pool::pool::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Limits {
    /// Jobs a worker takes under one lock: 32. More saves little (the lock is then below 2 ns a job) and makes a
    /// class hold its turn longer.
    pub bite_len_max: usize,
    /// Time one bite should take: 50 us. It is the longest that short jobs of one class keep others waiting, and a
    /// few times what waking a thread costs. A class whose jobs take longer is served one job at a time.
    pub bite_time: Duration,
    /// Jobs a submitter holds back before it flushes by itself: 256. Enough to make the lock and the wake cheap,
    /// and few enough that the workers start early in a long turn.
    pub stage_len_max: usize,
    /// Jobs a submitter keeps for later in one class that is full, under [`WhenFull::Late`](super::WhenFull::Late):
    /// 65,536, some 10 MiB with small closures. Above it a job is given back.
    pub late_len_max: usize,
    /// Time a worker without work looks for more before it sleeps: 10 us, about two thread wake-ups. It adapts down
    /// to nothing while looking does not pay, is off with one CPU, and at most one worker does it. Zero turns it off.
    pub spin_time_max: Duration,
    /// Slowest jobs kept with the line that made them: 16, a screen of a report.
    pub slow_len_max: usize,
}

impl Limits {
    /// Workers of one pool: 1024, as in libuv. Above it, thread stacks and switching cost more than they bring.
    pub const WORKERS_MAX: usize = 1024;
    /// Classes of one pool: 64. Choosing a class looks at each of them under the lock.
    pub const CLASSES_MAX: usize = 64;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bite_len_max: 32,
            bite_time: Duration::from_micros(50),
            stage_len_max: 256,
            late_len_max: 65_536,
            spin_time_max: Duration::from_micros(10),
            slow_len_max: 16,
        }
    }
}
