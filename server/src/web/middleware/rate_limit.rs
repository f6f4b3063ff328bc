//! So many requests and no more.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::http::{StatusCode, header};
use crate::web::koa::middleware;
use crate::web::{Error, Middleware, Req};

/// Lets each client make so many requests at once and so many a second, and answers others with 429 and `Retry-After`.
///
/// A client is an address, of IPv6 the first 64 bits, unless [`key`](Self::key) says otherwise: behind a proxy it must. The table is
/// bounded: when it is full, those that were silent longest are forgotten, and begin anew.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{koa::App, middleware::RateLimit};
///
/// let mut app = App::new();
/// app.with(RateLimit::new(20, 5.0).key(|req| req.header("x-api-key").map(str::to_owned)));
/// # drop(app);
/// ```
#[derive(Debug)]
pub struct RateLimit<K = fn(&Req) -> Option<String>> {
    burst: u32,
    per_s: f64,
    keys_max: usize,
    key: K,
}

impl RateLimit {
    /// A limit of `burst` requests at once, at least one, and `per_s` a second from then on.
    ///
    /// # Panics
    /// If `per_s` is not above zero.
    #[track_caller]
    pub fn new(burst: u32, per_s: f64) -> Self {
        assert!(per_s > 0.0 && per_s.is_finite(), "a rate of {per_s} requests a second lets nobody in again");
        Self { burst: burst.max(1), per_s, keys_max: 10_000, key: Self::by_address }
    }

    /// The key that there is by default: the address of the peer, of IPv6 the first 64 bits. For a [`key`](Self::key) that limits some
    /// requests and not others.
    pub fn by_address(req: &Req) -> Option<String> {
        Some(match req.peer_addr()?.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) => address.to_string(),
                None => format!("{:x}::/64", address.to_bits() >> 64),
            },
        })
    }
}

impl<K> RateLimit<K> {
    /// Says who a client is. A request with no key is not limited.
    pub fn key<F: Fn(&Req) -> Option<String> + 'static>(self, key: F) -> RateLimit<F> {
        let Self { burst, per_s, keys_max, .. } = self;
        RateLimit { burst, per_s, keys_max, key }
    }

    /// How many clients are remembered; 10,000, of some 50 bytes each, however long their keys are.
    pub fn keys_max(mut self, keys_max: usize) -> Self {
        self.keys_max = keys_max.max(2);
        self
    }
}

impl<K: Fn(&Req) -> Option<String> + 'static> From<RateLimit<K>> for Middleware {
    fn from(limit: RateLimit<K>) -> Self {
        let buckets = RefCell::new(Buckets::new(limit.burst, limit.per_s, limit.keys_max));
        middleware(async move |ctx, next| {
            let key = (limit.key)(ctx.req);
            let wait = key.and_then(|key| buckets.borrow_mut().take(&key, phaseloop::current().now()).err());
            let Some(wait) = wait else { return next.run(ctx).await };
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            ctx.set(header::RETRY_AFTER, seconds);
            Err(Error::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("too many requests; try again in {seconds} s"),
            ))
        })
    }
}

/// Token buckets in two generations: who is seen moves to the young one; when that is full, the old one is dropped.
#[derive(Debug)]
struct Buckets {
    burst: f64,
    per_s: f64,
    half: usize,
    /// Clients are known by a hash of their key, which may be as long as a header and which nobody outside can foresee.
    hash: RandomState,
    young: HashMap<u64, Bucket>,
    old: HashMap<u64, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Buckets {
    fn new(burst: u32, per_s: f64, keys_max: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { burst: f64::from(burst), per_s, half: keys_max / 2, hash: RandomState::new(), young, old }
    }

    /// Takes a token, or says how long until there is one.
    fn take(&mut self, key: &str, now: Instant) -> Result<(), Duration> {
        let key = self.hash.hash_one(key);
        let known = self.young.get(&key).copied().or_else(|| self.old.remove(&key));
        let mut bucket = known.unwrap_or(Bucket { tokens: self.burst, filled: now });
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket = Bucket { tokens: (bucket.tokens + since * self.per_s).min(self.burst), filled: now };
        let taken = bucket.tokens >= 1.0;
        let wait = (1.0 - bucket.tokens) / self.per_s;
        bucket.tokens -= f64::from(u8::from(taken));
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, bucket);
        if taken { Ok(()) } else { Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX)) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Buckets;

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let (mut buckets, start) = (Buckets::new(2, 0.5, 10), Instant::now());
        let mut take = |seconds| buckets.take("a", start + Duration::from_secs(seconds));
        assert_eq!([take(0), take(0), take(0)], [Ok(()), Ok(()), Err(Duration::from_secs(2))]);
        assert_eq!(
            [take(1), take(2), take(2)],
            [Err(Duration::from_secs(1)), Ok(()), Err(Duration::from_secs(2))]
        );
        assert_eq!([take(1000), take(1000)], [Ok(()), Ok(())]);
        assert!(take(1000).is_err(), "silence saves no more than the burst");
    }

    #[test]
    fn the_table_is_bounded_and_who_is_active_stays_in_it() {
        let (mut buckets, now) = (Buckets::new(1, 0.001, 100), Instant::now());
        assert!(buckets.take("busy", now).is_ok());
        for n in 0..10_000 {
            assert!(buckets.take(&n.to_string(), now).is_ok());
            assert!(n % 40 != 0 || buckets.take("busy", now).is_err(), "{n}");
            assert!(buckets.young.len() + buckets.old.len() <= 100);
        }
    }
}
