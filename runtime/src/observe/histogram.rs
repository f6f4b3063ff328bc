//! Times as counts in buckets whose width grows with the value: 64 a doubling.

use std::fmt;
use std::time::Duration;

use crate::time::clock::{Nanos, nanos};

/// Buckets a doubling, as a power of two.
const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
/// Values from 2^42 ns on (73 minutes) count in the last bucket.
const EXPONENT_MAX: u32 = 41;
const BUCKETS: usize = (EXPONENT_MAX - SUB_BITS + 2) as usize * SUB;

/// How long something took, many times over: 19 KiB, whatever is recorded.
///
/// A percentile is at most 1.6 % too high; count, minimum, maximum and mean are exact, and the deviation is so up to the
/// rounding of a sum of squares: one of a few millionths of the mean may be lost in it.
///
/// # Examples
/// ```
/// # use std::time::Duration;
/// use phaseloop::observe::Histogram;
///
/// let mut times = Histogram::new();
/// (1..=1000).for_each(|us| times.record(Duration::from_micros(us)));
/// assert_eq!(times.count(), 1000);
/// assert_eq!(times.min(), Duration::from_micros(1));
/// assert_eq!(times.mean(), Duration::from_nanos(500_500));
/// let p99 = times.percentile(99.0);
/// assert!(p99 >= Duration::from_micros(990) && p99 < Duration::from_micros(1006));
/// ```
#[derive(Clone, PartialEq)]
pub struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    min: Nanos,
    max: Nanos,
    sum: u128,
    squares: f64,
}

impl Histogram {
    /// Makes one that has recorded nothing.
    pub fn new() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), count: 0, min: Nanos::MAX, max: 0, sum: 0, squares: 0.0 }
    }

    /// Records a time. What is longer than 73 minutes is counted among the longest, and is exact in `max` and `mean`.
    pub fn record(&mut self, time: Duration) {
        self.record_nanos(nanos(time));
    }

    pub(super) fn record_nanos(&mut self, time: Nanos) {
        self.buckets[bucket(time)] += 1;
        self.count += 1;
        self.min = self.min.min(time);
        self.max = self.max.max(time);
        self.sum += u128::from(time);
        self.squares += (time as f64) * (time as f64);
    }

    /// Forgets what was recorded.
    pub fn reset(&mut self) {
        *self = Self::new();
    }

    /// How many times were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The shortest; zero if there are none.
    pub fn min(&self) -> Duration {
        Duration::from_nanos(if self.count == 0 { 0 } else { self.min })
    }

    /// The longest; zero if there are none.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The mean; zero if there are none.
    pub fn mean(&self) -> Duration {
        let mean = self.sum.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(Nanos::try_from(mean).unwrap_or(Nanos::MAX))
    }

    /// The standard deviation; zero if there are none.
    pub fn stddev(&self) -> Duration {
        if self.count == 0 {
            return Duration::ZERO;
        }
        let count = self.count as f64;
        let mean = self.sum as f64 / count;
        let variance = (self.squares / count - mean * mean).max(0.0); // below zero by rounding alone
        Duration::from_nanos(variance.sqrt() as Nanos)
    }

    /// The time that `percent` of the recorded ones did not exceed, at most 1.6 % too high; zero if there are none.
    ///
    /// # Panics
    /// If `percent` is not within 0 to 100.
    #[track_caller]
    pub fn percentile(&self, percent: f64) -> Duration {
        assert!((0.0..=100.0).contains(&percent), "a percentile is within 0 to 100, not {percent}");
        let rank = ((percent / 100.0 * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        reached.map_or(Duration::ZERO, |bucket| Duration::from_nanos(upper(bucket).clamp(self.min, self.max)))
    }

    /// How many of the recorded times lie in each of the ranges that `bounds` part: up to and with the first bound, up to the
    /// second, and so on; at last those above all. A time that shares a bucket with a bound may be counted below it.
    ///
    /// For drawing: `bounds` go up.
    pub fn counts(&self, bounds: &[Duration]) -> Vec<u64> {
        let mut counts = vec![0; bounds.len() + 1];
        for (index, count) in self.buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
            let range = bounds.partition_point(|bound| nanos(*bound) < lower(index));
            counts[range] += count;
        }
        counts
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("min", &self.min())
            .field("mean", &self.mean())
            .field("p50", &self.percentile(50.0))
            .field("p99", &self.percentile(99.0))
            .field("max", &self.max())
            .finish()
    }
}

fn bucket(time: Nanos) -> usize {
    if time < SUB as u64 {
        return time as usize;
    }
    let exponent = time.ilog2();
    if exponent > EXPONENT_MAX {
        return BUCKETS - 1;
    }
    let sub = (time >> (exponent - SUB_BITS)) as usize & (SUB - 1);
    (exponent - SUB_BITS + 1) as usize * SUB + sub
}

/// The smallest value that counts in a bucket.
fn lower(bucket: usize) -> Nanos {
    if bucket < SUB {
        return bucket as Nanos;
    }
    let (row, sub) = (bucket / SUB - 1, bucket % SUB);
    ((SUB + sub) as Nanos) << row
}

/// The largest value that counts in a bucket.
fn upper(bucket: usize) -> Nanos {
    if bucket == BUCKETS - 1 { Nanos::MAX } else { lower(bucket + 1) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_its_bucket_which_is_narrow() {
        let mut time: Nanos = 1;
        while time < 1 << 41 {
            for value in [time, time + time / 3, time * 2 - 1] {
                let (low, high) = (lower(bucket(value)), upper(bucket(value)));
                assert!((low..=high).contains(&value), "{value} counts in {low} to {high}");
                assert!(high - low <= value / 64, "{low} to {high} is too wide");
            }
            time *= 2;
        }
        assert_eq!(bucket(Nanos::MAX), BUCKETS - 1);
    }

    fn recorded(times: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        times.into_iter().for_each(|ns| histogram.record(Duration::from_nanos(ns)));
        histogram
    }

    #[test]
    fn mean_and_deviation_are_those_of_the_values() {
        let times = recorded([2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!((times.mean().as_nanos(), times.stddev().as_nanos()), (5, 2));
        assert_eq!((times.min().as_nanos(), times.max().as_nanos()), (2, 9));
        assert_eq!(times.percentile(50.0).as_nanos(), 4);
        assert_eq!(times.percentile(100.0).as_nanos(), 9);
    }

    #[test]
    fn ranges_hold_all_that_was_recorded() {
        let times = recorded([1, 10, 11, 20, 5000]);
        let bounds = [10, 20, 100].map(Duration::from_nanos);
        assert_eq!(times.counts(&bounds), [2, 2, 0, 1]);
        assert_eq!(times.counts(&[]), [5]);
    }

    #[test]
    fn nothing_recorded_reads_as_zero_also_after_a_reset() {
        let mut times = Histogram::new();
        times.record(Duration::MAX);
        assert_eq!(times.max(), Duration::from_nanos(Nanos::MAX));
        assert_eq!(times.percentile(50.0), times.max());
        times.reset();
        let zero = Duration::ZERO;
        assert_eq!(
            [times.min(), times.max(), times.mean(), times.stddev(), times.percentile(99.0)],
            [zero; 5]
        );
    }
}
