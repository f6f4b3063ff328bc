//! What is read before the database is asked.

use std::any::Any;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::channel::{Sender, oneshot};
use redis::{Cmd, cmd};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::error::Error;
use super::lock::chance;

/// Values as JSON in Redis, that expire. Cheap to clone; clones are the same cache.
///
/// Keys have a prefix, and times to live a random spread, so that what was stored together does not expire together.
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use phaseloop_server::redis::{Cache, Client, Error};
/// # #[derive(serde::Serialize, serde::Deserialize)]
/// # struct Profile { name: String }
/// # async fn from_database(id: u64) -> Result<Profile, String> { Ok(Profile { name: id.to_string() }) }
///
/// async fn profile(redis: &Client, id: u64) -> Result<Profile, String> {
///     let profiles = Cache::new(redis, "profile:", Duration::from_secs(300));
///     profiles.get_or_load(&id.to_string(), async || from_database(id).await).await
/// }
/// ```
#[derive(Clone)]
pub struct Cache {
    client: Client,
    prefix: Rc<str>,
    ttl: Duration,
    spread: Duration,
    on_error: Option<OnError>,
    /// Who waits for a value that somebody loads.
    loading: Rc<RefCell<HashMap<String, Vec<Sender<Outcome>>>>>,
}

type OnError = Rc<dyn Fn(&Error)>;

/// What became of a load.
#[derive(Clone)]
enum Outcome {
    Loaded(Rc<str>),
    Failed(Rc<dyn Any>),
}

enum Joined {
    /// Nobody does: the caller is to.
    First,
    Done(Outcome),
}

impl Cache {
    /// A cache whose keys begin with `prefix` and whose values live for `ttl`, and up to a tenth longer.
    pub fn new(client: &Client, prefix: &str, ttl: Duration) -> Self {
        let loading = Rc::default();
        Self { client: client.clone(), prefix: prefix.into(), ttl, spread: ttl / 10, on_error: None, loading }
    }

    /// How much longer values may live, by chance; a tenth of their time.
    pub fn spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }

    /// What is told of errors that [`get_or_load`](Self::get_or_load) works around.
    pub fn on_error(mut self, on_error: impl Fn(&Error) + 'static) -> Self {
        self.on_error = Some(Rc::new(on_error));
        self
    }

    /// The value of a key, if there is one.
    ///
    /// # Errors
    /// [`Error`]; `Unexpected` for a value of another shape.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, Error> {
        let text: Option<String> = self.client.query(&Cmd::get(self.key(key))).await?;
        text.map(|text| self.read(key, &text)).transpose()
    }

    /// Stores a value.
    ///
    /// # Errors
    /// [`Error`]; `Invalid` for a value that can not be JSON.
    ///
    /// # Cancel safety
    /// It is stored or not.
    pub async fn set<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<(), Error> {
        let text = serde_json::to_string(value).map_err(|error| Error::Invalid(error.to_string()))?;
        self.client.query(&self.store(key, &text)).await
    }

    /// Forgets a value; false if there was none.
    ///
    /// # Errors
    /// [`Error`].
    ///
    /// # Cancel safety
    /// It is forgotten or not.
    pub async fn remove(&self, key: &str) -> Result<bool, Error> {
        self.client.query(&Cmd::del(self.key(key))).await
    }

    /// The value of a key; what `load` gives, which is then stored, if there is none.
    ///
    /// Whoever asks for a key that this cache is just loading waits for that load and shares its outcome, of this process: others
    /// load it for themselves. Where Redis fails, or has something of another shape, it is as if it had nothing; [`on_error`](Self::on_error)
    /// hears why.
    ///
    /// # Errors
    /// Those of `load`.
    ///
    /// # Cancel safety
    /// A load is given up with its caller; if others wait for it, one of them loads then.
    pub async fn get_or_load<T, E>(&self, key: &str, load: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: Clone + 'static,
    {
        let found = self.get(key).await;
        if let Ok(Some(value)) = found {
            return Ok(value);
        }
        if let Err(error) = &found {
            self.tell(error);
        }
        let mut flight = match self.join(key).await {
            Joined::First => Some(Flight { cache: self, key, outcome: None }),
            Joined::Done(Outcome::Loaded(text)) => match self.read(key, &text) {
                Ok(value) => return Ok(value),
                Err(_) => None, // of another type: it is loaded apart
            },
            Joined::Done(Outcome::Failed(error)) => match error.downcast_ref::<E>() {
                Some(error) => return Err(error.clone()),
                None => None,
            },
        };
        let loaded = load().await;
        let outcome = match &loaded {
            Ok(value) => self.keep(key, value).map(Outcome::Loaded),
            Err(error) => Some(Outcome::Failed(Rc::new(error.clone()))),
        };
        if let Some(flight) = &mut flight {
            flight.outcome = outcome;
        }
        loaded
    }

    /// Stores what was loaded. Nobody waits for that: what is asked next on this connection finds it.
    fn keep<T: Serialize>(&self, key: &str, value: &T) -> Option<Rc<str>> {
        match serde_json::to_string(value) {
            Ok(text) => {
                let stored = self.client.tell(&self.store(key, &text));
                stored.unwrap_or_else(|error| self.tell(&error));
                Some(text.into())
            }
            Err(error) => {
                self.tell(&Error::Invalid(error.to_string()));
                None
            }
        }
    }

    /// Waits for whoever loads a key.
    async fn join(&self, key: &str) -> Joined {
        loop {
            let receiver = {
                let mut loading = self.loading.borrow_mut();
                let Some(waiting) = loading.get_mut(key) else {
                    loading.insert(key.to_owned(), Vec::new());
                    return Joined::First;
                };
                let (sender, receiver) = oneshot();
                waiting.push(sender);
                receiver
            };
            // A load that was given up is for the first of those who waited.
            if let Ok(outcome) = receiver.await {
                return Joined::Done(outcome);
            }
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn store(&self, key: &str, text: &str) -> Cmd {
        let ttl = self.ttl.saturating_add(self.spread.mul_f64(chance()));
        let mut command = cmd("SET");
        command.arg(self.key(key)).arg(text).arg("PX").arg(ttl.as_millis().max(1) as u64);
        command
    }

    fn read<T: DeserializeOwned>(&self, key: &str, text: &str) -> Result<T, Error> {
        serde_json::from_str(text)
            .map_err(|error| Error::Unexpected(format!("the value of {:?}: {error}", self.key(key))))
    }

    fn tell(&self, error: &Error) {
        if let Some(on_error) = &self.on_error {
            on_error(error);
        }
    }
}

/// A load that others may wait for, until it is dropped.
struct Flight<'a> {
    cache: &'a Cache,
    key: &'a str,
    outcome: Option<Outcome>,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let waiting = self.cache.loading.borrow_mut().remove(self.key).unwrap_or_default();
        if let Some(outcome) = &self.outcome {
            for sender in waiting {
                // Whoever waited may have stopped.
                let _ = sender.send(outcome.clone());
            }
        }
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Cache");
        out.field("prefix", &self.prefix).field("ttl", &self.ttl).finish_non_exhaustive()
    }
}
