//! Copies of what the database would say.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::Later;
use crate::refusal::Refusal;

/// Keeps texts for a while.
pub(crate) trait Cache {
    fn kind(&self) -> &'static str;

    fn check(&self) -> Later<'_, Result<(), Refusal>>;

    fn get<'a>(&'a self, key: &'a str) -> Later<'a, Result<Option<String>, Refusal>>;

    /// Keeps `value` for about `ttl`: up to a tenth longer, so that what was cached together does not end together.
    fn set<'a>(&'a self, key: &'a str, value: String, ttl: Duration) -> Later<'a, Result<(), Refusal>>;

    fn remove<'a>(&'a self, key: &'a str) -> Later<'a, Result<(), Refusal>>;
}

/// `ttl` and up to a tenth of it, by a number that differs from key to key and from time to time.
pub(crate) fn spread(ttl: Duration, salt: u64) -> Duration {
    let mut mixed = salt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 32;
    ttl + (ttl / 10).mul_f64((mixed % 1000) as f64 / 1000.0)
}

/// A cache in the process: bounded, the oldest half is dropped when it is full.
#[derive(Default)]
pub(crate) struct LocalCache {
    young: RefCell<HashMap<String, (String, Instant)>>,
    old: RefCell<HashMap<String, (String, Instant)>>,
}

/// Entries of each half.
const ENTRIES_MAX: usize = 5_000;

impl Cache for LocalCache {
    fn kind(&self) -> &'static str {
        "process"
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn get<'a>(&'a self, key: &'a str) -> Later<'a, Result<Option<String>, Refusal>> {
        Box::pin(async move {
            let now = phaseloop::current().now();
            let found = |half: &RefCell<HashMap<String, (String, Instant)>>| half.borrow().get(key).cloned();
            let entry = found(&self.young).or_else(|| found(&self.old));
            Ok(entry.filter(|(_, until)| *until > now).map(|(value, _)| value))
        })
    }

    fn set<'a>(&'a self, key: &'a str, value: String, ttl: Duration) -> Later<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let now = phaseloop::current().now();
            let mut young = self.young.borrow_mut();
            if young.len() >= ENTRIES_MAX && !young.contains_key(key) {
                *self.old.borrow_mut() = std::mem::take(&mut *young);
            }
            let until = now + spread(ttl, young.len() as u64 + key.len() as u64);
            young.insert(key.to_owned(), (value, until));
            Ok(())
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Later<'a, Result<(), Refusal>> {
        Box::pin(async move {
            self.young.borrow_mut().remove(key);
            self.old.borrow_mut().remove(key);
            Ok(())
        })
    }
}
