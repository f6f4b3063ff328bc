//! How a pool is set up.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::class::put;
use super::{ClassSpec, Limits, Order, Pool};

/// The variables that set the number of workers; the first that is set counts.
const VARIABLES: [&str; 2] = ["PHASELOOP_POOL_SIZE", "UV_THREADPOOL_SIZE"];
/// Workers if nobody says otherwise. Source: libuv.
const WORKERS: usize = 4;

type Hook = Arc<dyn Fn(usize) + Send + Sync>;
type Lookup = Box<dyn Fn(&str) -> Option<OsString>>;

/// Sets up a [`Pool`]. No thread starts before the first job.
///
/// ```
/// use std::time::Duration;
/// use fs_pool::pool::{ClassSpec, Pool};
///
/// let pool = Pool::builder()
///     .workers(8)
///     .name("files")
///     .idle_timeout(Duration::from_secs(10))
///     .class(ClassSpec::new("fs").weight(3))
///     .build()?;
/// assert_eq!(pool.workers(), 8);
/// # Ok::<(), fs_pool::pool::BuildError>(())
/// ```
pub struct PoolBuilder {
    workers: Option<usize>,
    lookup: Lookup,
    config: Config,
}

/// The settings that stay as they are while the pool lives.
pub(crate) struct Config {
    pub(crate) name: Cow<'static, str>,
    pub(crate) stack_size: Option<usize>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) on_thread_start: Option<Hook>,
    pub(crate) on_thread_stop: Option<Hook>,
    pub(crate) classes: Vec<ClassSpec>,
    pub(crate) limits: Limits,
    order: Option<Order>,
    spinning_pays: bool,
}

impl PoolBuilder {
    pub(crate) fn new() -> Self {
        let config = Config {
            name: "phaseloop".into(),
            stack_size: None,
            idle_timeout: None,
            on_thread_start: None,
            on_thread_stop: None,
            classes: ClassSpec::built_in(),
            limits: Limits::default(),
            order: None,
            // Where threads share one CPU, who spins keeps off the one that would answer.
            spinning_pays: thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1),
        };
        Self { workers: None, lookup: Box::new(|name| std::env::var_os(name)), config }
    }

    /// How many threads the pool may have: 1 to 1024.
    ///
    /// By default what the environment says in `PHASELOOP_POOL_SIZE` or, if that is not set, in `UV_THREADPOOL_SIZE`;
    /// otherwise 4.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Looks the variables up elsewhere than in the process's environment. `|_| None` ignores them.
    pub fn env(mut self, lookup: impl Fn(&str) -> Option<OsString> + 'static) -> Self {
        self.lookup = Box::new(lookup);
        self
    }

    /// The first part of the threads' names, before `-` and the worker's index. The default is `phaseloop`.
    ///
    /// # Platform
    /// Linux shows the first 15 bytes of a thread's name.
    pub fn name(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.config.name = name.into();
        self
    }

    /// The stack of each thread in bytes. The default is that of `std::thread`: 2 MiB, or `RUST_MIN_STACK`.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.config.stack_size = Some(bytes);
        self
    }

    /// Ends a thread that has had nothing to do for this long. By default threads stay. A new one starts when needed.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.config.idle_timeout = Some(timeout);
        self
    }

    /// Calls `hook` with the worker's index on each new thread, before its first job. A panic in it is ignored. With a
    /// hook, more threads may start than the first jobs need, since none counts on a thread that is not through with it.
    pub fn on_thread_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.config.on_thread_start = Some(Arc::new(hook));
        self
    }

    /// Calls `hook` with the worker's index on each thread that ends, after its last job. A panic in it is ignored.
    pub fn on_thread_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.config.on_thread_stop = Some(Arc::new(hook));
        self
    }

    /// Adds a class, or replaces the settings of the one with its name.
    pub fn class(mut self, spec: ClassSpec) -> Self {
        put(&mut self.config.classes, spec);
        self
    }

    /// How the next job is chosen. By default [`Order::Submission`] while the pool has exactly one worker and
    /// [`Order::Fair`] otherwise.
    pub fn order(mut self, order: Order) -> Self {
        self.config.order = Some(order);
        self
    }

    /// Replaces the bounds.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Makes the pool.
    ///
    /// # Errors
    /// If a setting, or a variable of the environment that is used, is out of its range. The error names it and shows
    /// its value.
    pub fn build(self) -> Result<Pool, BuildError> {
        let workers = match self.workers {
            Some(workers) => check_workers(workers)?,
            None => workers_from(&self.lookup)?.unwrap_or(WORKERS),
        };
        let count = self.config.classes.len();
        if count > Limits::CLASSES_MAX {
            return Err(BuildError::Classes { count });
        }
        if let Some(fault) = self.config.classes.iter().find_map(ClassSpec::fault) {
            return Err(BuildError::Class { fault });
        }
        if self.config.name.contains('\0') {
            return Err(BuildError::Name { name: self.config.name.into_owned() });
        }
        Ok(Pool::new(self.config, workers))
    }
}

impl fmt::Debug for PoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("PoolBuilder");
        out.field("workers", &self.workers).field("classes", &self.config.classes).finish_non_exhaustive()
    }
}

impl Config {
    pub(crate) fn order_for(&self, workers: usize) -> Order {
        self.order.unwrap_or(Order::natural(workers))
    }

    pub(crate) fn spin_time(&self) -> Duration {
        // Beyond a few milliseconds it would no longer be a moment's look.
        let time = self.limits.spin_time_max.min(Duration::from_millis(10));
        if self.spinning_pays { time } else { Duration::ZERO }
    }

    pub(crate) fn bite_ns(&self) -> u64 {
        u64::try_from(self.limits.bite_time.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// What a pool cannot be made, or resized, with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A number of workers out of 1 to 1024, or no number at all: where it came from, and what it was.
    Workers {
        /// `workers`, or the name of the variable.
        from: &'static str,
        /// The value, as it was found.
        value: String,
    },
    /// More than 64 classes.
    Classes {
        /// How many there were.
        count: usize,
    },
    /// A class with settings out of range.
    Class {
        /// What is wrong, with the class and the value.
        fault: String,
    },
    /// A thread name with a zero byte in it.
    Name {
        /// The name.
        name: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workers { from, value } => {
                write!(f, "{from} is {value:?}, not a number from 1 to {}", Limits::WORKERS_MAX)
            }
            Self::Classes { count } => write!(f, "{count} classes, more than {}", Limits::CLASSES_MAX),
            Self::Class { fault } => f.write_str(fault),
            Self::Name { name } => write!(f, "thread name {name:?} has a zero byte"),
        }
    }
}

impl std::error::Error for BuildError {}

pub(crate) fn check_workers(workers: usize) -> Result<usize, BuildError> {
    if (1..=Limits::WORKERS_MAX).contains(&workers) {
        Ok(workers)
    } else {
        Err(BuildError::Workers { from: "workers", value: workers.to_string() })
    }
}

/// The number of workers in the first variable that is set.
fn workers_from(lookup: &Lookup) -> Result<Option<usize>, BuildError> {
    let Some((from, value)) = VARIABLES.iter().find_map(|name| Some((*name, lookup(name)?))) else {
        return Ok(None);
    };
    let number = value.to_str().and_then(|text| text.parse().ok());
    match number.filter(|it| (1..=Limits::WORKERS_MAX).contains(it)) {
        Some(number) => Ok(Some(number)),
        None => Err(BuildError::Workers { from, value: value.to_string_lossy().into_owned() }),
    }
}
