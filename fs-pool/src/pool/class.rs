//! Classes: what kind of job it is, and what that kind may use.

use std::borrow::Cow;
use std::time::Duration;

/// The class of a job: the lane it queues in and the share of the workers it may use.
///
/// The four built-in classes exist in every pool. Others are made with [`PoolBuilder::class`](super::PoolBuilder::class)
/// and found by name with [`Pool::class`](super::Pool::class); they belong to the pool that made them.
///
/// ```
/// use fs_pool::pool::{ClassSpec, Pool};
///
/// let pool = Pool::builder().class(ClassSpec::new("thumbnails").weight(2)).build()?;
/// assert!(pool.class("thumbnails").is_some());
/// # Ok::<(), fs_pool::pool::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(pub(crate) u16);

impl Class {
    /// File system calls.
    pub const FS: Self = Self(0);
    /// Name lookups. By default they hold at most half of the workers: a dead name server must not stop file work.
    pub const DNS: Self = Self(1);
    /// Hashing, compression and whatever else computes.
    pub const CPU: Self = Self(2);
    /// Whatever the user of the library submits.
    pub const USER: Self = Self(3);

    /// The class's place in the pool's list of classes: below 64, stable for the life of the pool.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Which of a class's waiting jobs goes first. Jobs of one priority are taken in the order they were submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// After the class's high jobs. The default.
    #[default]
    Normal,
    /// Before all normal jobs of its class that have not started. It gives no advantage over other classes.
    High,
}

/// How many workers a class may hold at once. It is worked out again when the pool is resized, and is never below 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of them.
    All,
    /// Half of them, rounded down.
    Half,
    /// All but this many, which are so kept free for other classes.
    AllBut(usize),
    /// At most this many.
    AtMost(usize),
}

impl Share {
    pub(crate) fn of(self, workers: usize) -> usize {
        let share = match self {
            Self::All => workers,
            Self::Half => workers / 2,
            Self::AllBut(kept) => workers.saturating_sub(kept),
            Self::AtMost(most) => most.min(workers),
        };
        share.max(1)
    }
}

/// What submitting does when the class's queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// The job is given back in the error. The default.
    Reject,
    /// The submitting thread is blocked until there is room or, if a time is given, until it has passed; then the job
    /// is given back. Not for the thread of a loop, which it would stop; and a job that submits to its own full class
    /// may wait for itself: give a time.
    Wait(Option<Duration>),
    /// The submitter keeps the job and queues it when there is room. It keeps at most
    /// [`Limits::late_len_max`](super::Limits::late_len_max) a class; above that the job is given back.
    ///
    /// Late jobs keep their place in the order of submission, but no room is kept for them: while others fill the class,
    /// they wait. They are moved by the submitter's own calls (submit,
    /// flush, take, wait); the submitter's bell rings when there is room again.
    Late,
}

/// How a class is set up: name, weight, share, bound and what happens when it is full.
///
/// A spec with the name of a built-in class (`fs`, `dns`, `cpu`, `user`) replaces that class's settings.
///
/// ```
/// use fs_pool::pool::{Class, ClassSpec, Pool, Share, WhenFull};
///
/// let pool = Pool::builder()
///     .workers(8)
///     .class(ClassSpec::new("cpu").share(Share::AllBut(2)).queue_len_max(100).when_full(WhenFull::Late))
///     .build()?;
/// assert_eq!(pool.class("cpu"), Some(Class::CPU));
/// # Ok::<(), fs_pool::pool::BuildError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClassSpec {
    pub(crate) name: Cow<'static, str>,
    pub(crate) weight: u32,
    pub(crate) share: Share,
    pub(crate) queue_len_max: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) brief: bool,
}

impl ClassSpec {
    /// Jobs that may wait in one class by default: 16,384. At some 200 bytes a job that is 3 MiB; whoever queues more
    /// should say so.
    pub const QUEUE_LEN_MAX: usize = 16_384;

    /// A class of this name with weight 1, all workers, a queue of 16,384 jobs, and jobs given back when it is full.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            weight: 1,
            share: Share::All,
            queue_len_max: Self::QUEUE_LEN_MAX,
            when_full: WhenFull::Reject,
            brief: false,
        }
    }

    /// How much of the workers' time the class gets when others have queued work too: in proportion to the weights.
    ///
    /// From 1 to 1000; the default is 1. A job below 10 us counts as 10 us, one above 100 ms as 100 ms.
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// How many workers the class may hold at once.
    pub fn share(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// How many jobs may wait, staged ones included. Jobs that a worker has taken are not counted.
    pub fn queue_len_max(mut self, jobs: usize) -> Self {
        self.queue_len_max = jobs;
        self
    }

    /// What submitting does when the queue is full.
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// Promises that the jobs of this class take a few microseconds and never wait for anything, least of all for
    /// another job's completion.
    ///
    /// Their completions are then delivered once a bite (at most [`Limits::bite_len_max`](super::Limits::bite_len_max) jobs) and not once a job,
    /// which saves wake-ups, most of all on one CPU. A job that breaks the promise delays the completions of the jobs
    /// before it in its bite.
    pub fn brief(mut self) -> Self {
        self.brief = true;
        self
    }

    pub(crate) fn built_in() -> Vec<Self> {
        vec![Self::new("fs"), Self::new("dns").share(Share::Half), Self::new("cpu"), Self::new("user")]
    }

    /// What is wrong with the settings, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let name = &self.name;
        if name.is_empty() {
            return Some("a class needs a name".into());
        }
        if !(1..=1000).contains(&self.weight) {
            return Some(format!("class {name}: weight {} is not within 1 to 1000", self.weight));
        }
        if self.queue_len_max == 0 {
            return Some(format!("class {name}: a queue of 0 jobs takes none"));
        }
        None
    }
}

/// Puts `spec` into `list`: in place of the one with its name, or at the end.
pub(crate) fn put(list: &mut Vec<ClassSpec>, spec: ClassSpec) {
    match list.iter_mut().find(|old| old.name == spec.name) {
        Some(old) => *old = spec,
        None => list.push(spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_below_one_worker() {
        assert_eq!(Share::Half.of(1), 1);
        assert_eq!(Share::Half.of(4), 2);
        assert_eq!(Share::Half.of(5), 2);
        assert_eq!(Share::AllBut(8).of(4), 1);
        assert_eq!(Share::AtMost(0).of(4), 1);
        assert_eq!(Share::AtMost(9).of(4), 4);
    }
}
