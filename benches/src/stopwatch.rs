//! CPU time of this process and time on the wall, read together.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::question::Sample;

/// Two clocks that were read when the measured work began.
pub struct Stopwatch {
    cpu: Duration,
    wall: Instant,
}

impl Stopwatch {
    /// Reads both clocks.
    pub fn start() -> Self {
        Stopwatch { cpu: process_cpu(), wall: Instant::now() }
    }

    /// Reads both clocks again: what `ops` operations cost since `start`.
    pub fn stop(self, ops: u64) -> Sample {
        let cpu = process_cpu() - self.cpu;
        Sample { ops, cpu, wall: self.wall.elapsed(), grown_bytes: 0 }
    }
}

/// Runs `work` and says what `ops` operations cost this thread: others may be busy beside it.
pub fn of_this_thread(ops: u64, work: impl FnOnce()) -> Sample {
    let now = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let (cpu, wall) = (now(), Instant::now());
    work();
    Sample { ops, cpu: now() - cpu, wall: wall.elapsed(), grown_bytes: 0 }
}

/// CPU time that all threads of this process have used.
pub fn process_cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
