//! Times as counts in buckets whose width grows with the value: eight a doubling, so that a readout is at most an
//! eighth too high, from 1 ns to 36 minutes.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets a doubling, as a power of two.
const SUB_BITS: u32 = 3;
const SUB: usize = 1 << SUB_BITS;
/// Values from 2^41 ns on (36 minutes) count in the last bucket.
const EXPONENT_MAX: u32 = 40;
const BUCKETS: usize = (EXPONENT_MAX - SUB_BITS + 2) as usize * SUB;

/// A histogram that one thread writes and any thread reads, without locks: 2.5 KiB.
///
/// INVARIANT single-writer: only the worker whose slot it belongs to records, so an addition is a load and a store. All
/// is relaxed: the counts publish nothing, and a reader may see one bucket later than another.
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
    max_ns: AtomicU64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum_ns: AtomicU64::new(0),
            max_ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn record(&self, ns: u64) {
        add(&self.buckets[bucket(ns)], 1);
        add(&self.sum_ns, ns);
        if ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.store(ns, Ordering::Relaxed);
        }
    }

    pub(crate) fn add_to(&self, times: &mut Times) {
        for (sum, bucket) in times.buckets.iter_mut().zip(&self.buckets) {
            *sum += bucket.load(Ordering::Relaxed);
        }
        times.sum_ns = times.sum_ns.saturating_add(self.sum_ns.load(Ordering::Relaxed));
        times.max_ns = times.max_ns.max(self.max_ns.load(Ordering::Relaxed));
    }
}

/// Adds to a number that only the calling thread writes.
pub(crate) fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

fn bucket(ns: u64) -> usize {
    if ns < SUB as u64 {
        return ns as usize;
    }
    let exponent = ns.ilog2();
    if exponent > EXPONENT_MAX {
        return BUCKETS - 1;
    }
    let sub = (ns >> (exponent - SUB_BITS)) as usize & (SUB - 1);
    (exponent - SUB_BITS + 1) as usize * SUB + sub
}

/// The largest value that counts in a bucket.
fn upper_ns(bucket: usize) -> u64 {
    if bucket < SUB {
        return bucket as u64;
    }
    let (row, sub) = (bucket / SUB - 1, bucket % SUB);
    (((SUB + sub + 1) as u64) << row) - 1
}

/// How long something took, many times over: what was counted until a snapshot was made.
#[derive(Clone)]
pub struct Times {
    buckets: Box<[u64; BUCKETS]>,
    sum_ns: u64,
    max_ns: u64,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), sum_ns: 0, max_ns: 0 }
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their mean, or zero if there are none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.checked_div(self.count()).unwrap_or(0))
    }

    /// The longest, exactly.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The time that `percent` of the counted ones did not exceed, at most an eighth too high. Zero if there are none.
    ///
    /// # Panics
    /// If `percent` is not within 0 to 100.
    #[track_caller]
    pub fn percentile(&self, percent: f64) -> Duration {
        assert!((0.0..=100.0).contains(&percent), "a percentile is within 0 to 100, not {percent}");
        let rank = ((percent / 100.0 * self.count() as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        reached.map_or(Duration::ZERO, |bucket| Duration::from_nanos(upper_ns(bucket).min(self.max_ns)))
    }
}

impl fmt::Debug for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Times");
        out.field("count", &self.count()).field("mean", &self.mean());
        out.field("p50", &self.percentile(50.0))
            .field("p99", &self.percentile(99.0))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_at_most_an_eighth_below_the_top_of_its_bucket() {
        let mut ns = 1_u64;
        while ns < 1 << 40 {
            for value in [ns, ns + ns / 3, ns * 2 - 1] {
                let top = upper_ns(bucket(value));
                assert!(top >= value && top - value <= value / 8, "{value} counts up to {top}");
            }
            ns *= 2;
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper_ns(index)), index);
            assert_eq!(bucket(upper_ns(index) + 1), index + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_read_from_the_counts() {
        let histogram = Histogram::new();
        (1..=1000).for_each(|us| histogram.record(us * 1000));
        let mut times = Times::new();
        histogram.add_to(&mut times);
        assert_eq!(times.count(), 1000);
        assert_eq!(times.max(), Duration::from_millis(1));
        assert_eq!(times.mean(), Duration::from_nanos(500_500));
        let median = times.percentile(50.0).as_micros();
        assert!((500..=563).contains(&median), "{median}");
        assert_eq!(times.percentile(100.0), Duration::from_millis(1));
    }

    #[test]
    fn nothing_counted_reads_as_zero() {
        let times = Times::new();
        assert_eq!((times.mean(), times.max(), times.percentile(99.0)), Default::default());
    }
}
