//! Locks that expire.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::rc::Rc;
use std::time::{Duration, Instant};

use redis::{Cmd, ToRedisArgs, cmd};

use super::client::Client;
use super::error::Error;
use super::link::Link;
use crate::later::later;

/// A lock that was taken, until it is released, dropped or expires. Made by [`Client::try_lock`] and [`Client::lock`].
///
/// It is a key with a token that nobody else knows, set if there is none, that expires by itself (`SET NX PX`). Whoever holds it too long
/// has lost it, and another may hold it meanwhile: ask [`remaining`](Self::remaining) before what must not be done twice, and [`extend`](Self::extend) in
/// time. Releasing and extending compare the token on the server, so they never touch another's lock.
///
/// It is a lock of one server: one that fails over may give it to two. What must be right whatever happens belongs into a transaction
/// of the data itself.
///
/// Dropping it releases it, without waiting: by the next connection, if there is none now or it does not answer. The last 1024 are kept
/// for that; others expire.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use phaseloop_server::redis::{Client, Error};
///
/// async fn settle(redis: &Client) -> Result<bool, Error> {
///     let Some(lock) = redis.try_lock("lock:order:7", Duration::from_secs(10)).await? else {
///         return Ok(false); // somebody else does
///     };
///     // ... what only one may do at a time
///     lock.release().await // false if it took too long
/// }
/// ```
#[must_use = "dropping it releases it"]
pub struct Lock {
    client: Client,
    key: String,
    token: String,
    until: Cell<Instant>,
    is_ours: Cell<bool>,
}

const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end";
const EXTEND: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) \
     else return 0 end";

/// Between attempts to take a lock.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(100);

impl Client {
    /// Takes a lock for `ttl`, at least 1 ms; `None` if somebody has it.
    ///
    /// # Errors
    /// [`Error`]. After one that [may have run](Error::may_have_run) the lock is released if it was taken, as one that is dropped.
    ///
    /// # Cancel safety
    /// As after such an error.
    pub async fn try_lock(&self, key: &str, ttl: Duration) -> Result<Option<Lock>, Error> {
        let token = token()?;
        let (until, millis) = (Cell::new(later(self.lp().now(), ttl)), millis(ttl)?);
        // Made before it is taken, so that it is released however this ends.
        let lock = Lock { client: self.clone(), key: key.to_owned(), token, until, is_ours: Cell::new(true) };
        let mut command = cmd("SET");
        command.arg(key).arg(&lock.token).arg("NX").arg("PX").arg(millis);
        // Sent again it would find its own token, and take it for somebody else's.
        let taken: Result<Option<String>, Error> = self.once().query(&command).await;
        lock.is_ours.set(match &taken {
            Ok(taken) => taken.is_some(),
            Err(error) => error.may_have_run(),
        });
        Ok(taken?.map(|_| lock))
    }

    /// Takes a lock for `ttl`, waiting up to `patience` for whoever has it; `None` if that was not enough. It asks again and
    /// again, after 10 to 100 ms.
    ///
    /// # Errors
    /// As [`try_lock`](Self::try_lock).
    ///
    /// # Cancel safety
    /// As [`try_lock`](Self::try_lock).
    pub async fn lock(&self, key: &str, ttl: Duration, patience: Duration) -> Result<Option<Lock>, Error> {
        let end = later(self.lp().now(), patience);
        let mut pause = PAUSE_MIN;
        loop {
            let lock = self.try_lock(key, ttl).await?;
            let left = end.saturating_duration_since(self.lp().now());
            if lock.is_some() || left.is_zero() {
                return Ok(lock);
            }
            self.lp().sleep(pause.mul_f64(0.5 + chance() / 2.0).min(left)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl Lock {
    /// What is locked.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How long it is surely held yet, by this machine's clock, which began before the server's did. Zero if it may be lost.
    pub fn remaining(&self) -> Duration {
        match self.is_ours.get() {
            true => self.until.get().saturating_duration_since(self.client.lp().now()),
            false => Duration::ZERO,
        }
    }

    /// Holds it for `ttl` from now, at least 1 ms; false if it was lost.
    ///
    /// # Errors
    /// [`Error`]. It is not known then whether it was extended; [`remaining`](Self::remaining) counts by what ends sooner.
    ///
    /// # Cancel safety
    /// As after an error.
    pub async fn extend(&self, ttl: Duration) -> Result<bool, Error> {
        let command = self.script(EXTEND, Some(millis(ttl)?));
        let until = later(self.client.lp().now(), ttl);
        // It may be shortened, and the answer be lost.
        self.until.set(self.until.get().min(until));
        let extended: bool = self.client.query(&command).await?;
        if extended {
            self.until.set(until);
        } else {
            self.is_ours.set(false);
        }
        Ok(extended)
    }

    /// Releases it; false if it was lost before.
    ///
    /// # Errors
    /// [`Error`]. If it was not released then, it is asked for again, as of one that is dropped.
    ///
    /// # Cancel safety
    /// It is released.
    pub async fn release(self) -> Result<bool, Error> {
        let asked = self.client.once().query(&self.script(RELEASE, None::<u64>));
        let released = asked.await;
        if released.is_ok() {
            self.is_ours.set(false);
        }
        released
    }

    fn script(&self, text: &str, arg: impl ToRedisArgs) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(text).arg(1).arg(&self.key).arg(&self.token).arg(arg);
        command
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.is_ours.get() {
            return;
        }
        let command = self.script(RELEASE, None::<u64>).get_packed_command();
        let releases = &self.client.core().releases;
        match self.client.link_or_error() {
            Ok(link) => releases.ask(&link, self.client.options().command_timeout, command),
            Err(_) => releases.owe(command),
        }
    }
}

/// Locks to be released by the next connection, since this one could not be asked, or gave no answer: a server that hung may take a lock
/// when it goes on, for a client that has given up.
#[derive(Default)]
pub(super) struct Releases {
    owed: RefCell<VecDeque<Vec<u8>>>,
}

/// How many of them are kept. Those before expire.
const RELEASES_MAX: usize = 1024;

impl Releases {
    fn owe(&self, command: Vec<u8>) {
        let mut owed = self.owed.borrow_mut();
        if owed.len() >= RELEASES_MAX {
            owed.pop_front();
        }
        owed.push_back(command);
    }

    /// A new connection.
    pub(super) fn settle(self: &Rc<Self>, link: &Link, limit: Duration) {
        self.owed.take().into_iter().for_each(|command| self.ask(link, limit, command));
    }

    /// Beside what callers may have under way: there are no more than locks that were taken. A connection that ends meanwhile is followed by
    /// another.
    fn ask(self: &Rc<Self>, link: &Link, limit: Duration, command: Vec<u8>) {
        let (releases, lost) = (Rc::clone(self), command.clone());
        let sent = link.send_beyond(&command, 1, limit, move |replies| {
            if replies.is_err() {
                releases.owe(lost);
            }
        });
        if sent.is_err() {
            self.owe(command);
        }
    }
}

impl fmt::Debug for Lock {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("key", &self.key)
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

fn millis(ttl: Duration) -> Result<u64, Error> {
    match u64::try_from(ttl.as_millis()) {
        Ok(millis @ 1..) => Ok(millis),
        _ => Err(Error::Invalid(format!("a time of {ttl:?} to live is not from 1 ms up"))),
    }
}

/// What nobody can guess.
fn token() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::Invalid(format!("the system has no random bytes: {error}")))?;
    let mut token = String::with_capacity(32);
    for byte in bytes {
        // A string takes all that is written.
        let _ = write!(token, "{byte:02x}");
    }
    Ok(token)
}

/// From 0 to 1.
pub(super) fn chance() -> f64 {
    // Without chance all come together, which is no reason to fail.
    getrandom::u64().unwrap_or(u64::MAX) as f64 / u64::MAX as f64
}
