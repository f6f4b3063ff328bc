//! Streams that several consumers share: entries are read by one of them, and kept until it says that they are done.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use redis::{ToRedisArgs, Value, cmd};

use super::client::Client;
use super::dedicated::Dedicated;
use super::error::Error;
use crate::later::later;

/// An entry of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Its id, such as `1700000000000-0`.
    pub id: String,
    /// Its fields, in their order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// How often it was given to a consumer: 1 for a new one. More for one that was not acknowledged; put aside what comes
    /// again and again.
    pub deliveries: u64,
}

impl Entry {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The first field of that name, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.field(name)?).ok()
    }
}

/// Who reads which stream, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerOptions {
    /// The stream's key. It is made if there is none.
    pub stream: String,
    /// The group, which gets each entry once. It is made if there is none.
    pub group: String,
    /// The consumer's name. One that comes back under its name begins with what it had not acknowledged; so no two at a time
    /// may have the same.
    pub name: String,
    /// Whether a group that is made begins with the first entry of the stream. By default it begins with what comes next.
    pub from_first: bool,
    /// Entries that are read at once; 16.
    pub batch: usize,
    /// How long one read waits for entries; 5 s.
    pub block: Duration,
    /// After which time an entry that nobody acknowledged is taken from its consumer; 60 s. More than anybody works on one.
    pub claim_idle: Duration,
    /// How often such entries are looked for; every 30 s, and at the beginning.
    pub claim_every: Duration,
}

impl ConsumerOptions {
    /// The defaults, for a consumer of a group of a stream.
    pub fn new(stream: impl Into<String>, group: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            group: group.into(),
            name: name.into(),
            from_first: false,
            batch: 16,
            block: Duration::from_secs(5),
            claim_idle: Duration::from_secs(60),
            claim_every: Duration::from_secs(30),
        }
    }
}

/// A consumer of a stream, in a group. Each entry is given to one consumer of the group, and again, to any of them, if it is not
/// acknowledged: at least once, so what is done with it must bear to be done twice.
///
/// It has a connection of its own, on which it waits, and makes it anew.
///
/// # Examples
/// ```no_run
/// use phaseloop_server::redis::{Client, Consumer, ConsumerOptions, Error};
///
/// async fn bill(redis: &Client) -> Result<(), Error> {
///     redis.append("orders", 100_000, &[("order", "7"), ("status", "paid")]).await?;
///     let mut consumer = Consumer::new(redis, ConsumerOptions::new("orders", "billing", "worker-1"));
///     loop {
///         match consumer.next().await {
///             Ok(entry) => {
///                 // ... send the bill of entry.text("order")
///                 consumer.ack(&entry.id).await?;
///             }
///             Err(error) if error.is_temporary() => continue, // the next call pauses first
///             Err(error) => return Err(error),
///         }
///     }
/// }
/// ```
pub struct Consumer {
    client: Client,
    options: ConsumerOptions,
    own: Option<Dedicated>,
    ready: VecDeque<Entry>,
    /// The newest entry that this consumer was given.
    newest: String,
    /// What it was given and has not seen comes before what is new.
    is_catching_up: bool,
    /// A read is under way whose answer may be lost.
    is_reading: bool,
    claim_from: String,
    claim_at: Instant,
    failures: u32,
}

const FIRST: &str = "0-0";

impl Client {
    /// Appends an entry to a stream, which keeps about `len_max` of them. The answer is its id.
    ///
    /// # Errors
    /// [`Error`]. One that [may have run](Error::may_have_run) may have appended it.
    ///
    /// # Cancel safety
    /// It is appended or not.
    pub async fn append<F: ToRedisArgs, V: ToRedisArgs>(
        &self,
        stream: &str,
        len_max: usize,
        fields: &[(F, V)],
    ) -> Result<String, Error> {
        let mut command = cmd("XADD");
        command.arg(stream).arg("MAXLEN").arg("~").arg(len_max).arg("*");
        for (field, value) in fields {
            command.arg(field).arg(value);
        }
        self.query(&command).await
    }
}

impl Consumer {
    /// A consumer. It connects with the first [`next`](Self::next).
    pub fn new(client: &Client, options: ConsumerOptions) -> Self {
        Self {
            client: client.clone(),
            options,
            own: None,
            ready: VecDeque::new(),
            newest: FIRST.to_owned(),
            is_catching_up: true,
            is_reading: false,
            claim_from: FIRST.to_owned(),
            claim_at: client.lp().now(),
            failures: 0,
        }
    }

    /// The next entry, however long it takes.
    ///
    /// # Errors
    /// [`Error`]. The call after one that failed pauses first, as the client does between attempts to connect, and goes on where this one was.
    ///
    /// # Cancel safety
    /// What an answer under way would have brought comes with the next call, or after [`ConsumerOptions::claim_idle`].
    pub async fn next(&mut self) -> Result<Entry, Error> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(entry);
            }
            if self.failures > 0 {
                let pause = super::client::pause(self.client.options(), self.failures - 1);
                self.client.lp().sleep(pause).await;
            }
            match self.fill().await {
                Ok(()) => self.failures = 0,
                // The stream is gone, with its groups: what comes is new to them.
                Err(Error::Refused { code, .. }) if code == "NOGROUP" && self.failures == 0 => {
                    self.own = None;
                    self.options.from_first = true;
                    self.newest = FIRST.to_owned();
                    self.failures = 1;
                }
                Err(error) => {
                    self.own = None;
                    self.failures = self.failures.saturating_add(1);
                    return Err(error);
                }
            }
        }
    }

    /// Says that an entry is done. False if it was not this group's to do, or done before.
    ///
    /// # Errors
    /// [`Error`]. An entry that was not acknowledged comes again.
    ///
    /// # Cancel safety
    /// It is acknowledged or not.
    pub async fn ack(&self, id: &str) -> Result<bool, Error> {
        Ok(self.ack_all(&[id]).await? > 0)
    }

    async fn ack_all(&self, ids: &[&str]) -> Result<usize, Error> {
        let mut command = cmd("XACK");
        command.arg(&self.options.stream).arg(&self.options.group).arg(ids);
        // Twice is as good as once.
        self.client.idempotent().query(&command).await
    }

    /// Reads some entries, or none.
    async fn fill(&mut self) -> Result<(), Error> {
        if self.is_reading || self.own.is_none() {
            self.own = None; // an answer may be on its way that nobody would take
            self.own = Some(self.client.dedicated().await?);
            self.is_reading = false;
            self.is_catching_up = true;
            self.make_group().await?;
        }
        if self.is_catching_up {
            return self.catch_up().await;
        }
        if self.client.lp().now() >= self.claim_at {
            return self.claim().await;
        }
        let until_claim = self.claim_at - self.client.lp().now();
        let block = self.options.block.min(until_claim).as_millis().max(1) as u64;
        let entries = self.read(">", Some(block)).await?;
        if let Some(last) = entries.last() {
            self.newest.clone_from(&last.id);
        }
        self.ready.extend(entries);
        Ok(())
    }

    async fn make_group(&self) -> Result<(), Error> {
        let mut command = cmd("XGROUP");
        let start = if self.options.from_first { "0" } else { "$" };
        command.arg("CREATE").arg(&self.options.stream).arg(&self.options.group).arg(start).arg("MKSTREAM");
        match self.client.query::<()>(&command).await {
            Err(Error::Refused { code, .. }) if code == "BUSYGROUP" => Ok(()),
            made => made,
        }
    }

    /// What this consumer was given and has not seen: before a crash, or in an answer that was lost.
    async fn catch_up(&mut self) -> Result<(), Error> {
        loop {
            let found = self.read(&self.newest.clone(), None).await?;
            let Some(newest) = found.last().map(|entry| entry.id.clone()) else {
                self.is_catching_up = false;
                return Ok(());
            };
            // An entry that was deleted meanwhile is nobody's work any more.
            let (mut entries, gone): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|entry| !entry.fields.is_empty());
            if !gone.is_empty() {
                let ids: Vec<_> = gone.iter().map(|entry| entry.id.as_str()).collect();
                self.ack_all(&ids).await?;
            }
            self.count_deliveries(&mut entries).await?;
            self.newest = newest;
            self.ready.extend(entries);
            if !self.ready.is_empty() {
                return Ok(());
            }
        }
    }

    /// Takes over what others have left lying.
    async fn claim(&mut self) -> Result<(), Error> {
        let options = &self.options;
        let mut command = cmd("XAUTOCLAIM");
        command.arg(&options.stream).arg(&options.group).arg(&options.name);
        command.arg(options.claim_idle.as_millis() as u64).arg(&self.claim_from);
        command.arg("COUNT").arg(options.batch);
        let mut answer = items(self.client.query(&command).await?)?.into_iter();
        let next: String = redis::from_redis_value(answer.next().unwrap_or_default())?;
        let mut entries = entries(answer.next().unwrap_or_default())?;
        self.count_deliveries(&mut entries).await?;
        if next == FIRST {
            self.claim_at = later(self.client.lp().now(), self.options.claim_every);
        }
        self.claim_from = next;
        self.ready.extend(entries);
        Ok(())
    }

    async fn read(&mut self, from: &str, block: Option<u64>) -> Result<Vec<Entry>, Error> {
        let options = &self.options;
        let mut command = cmd("XREADGROUP");
        command.arg("GROUP").arg(&options.group).arg(&options.name).arg("COUNT").arg(options.batch);
        if let Some(block) = block {
            command.arg("BLOCK").arg(block);
        }
        command.arg("STREAMS").arg(&options.stream).arg(from);
        let limit =
            self.client.options().command_timeout.saturating_add(Duration::from_millis(block.unwrap_or(0)));
        let Some(own) = &self.own else { return Err(super::client::closed()) };
        self.is_reading = true;
        let answer: Value = own.query_within(&command, limit).await?;
        self.is_reading = false;
        let found = match answer {
            Value::Nil => return Ok(Vec::new()),
            Value::Map(streams) => streams.into_iter().next().map(|(_, entries)| entries),
            other => return Err(Error::Unexpected(format!("{other:?} to XREADGROUP"))),
        };
        entries(found.unwrap_or_default())
    }

    /// Asks how often entries were given to somebody.
    async fn count_deliveries(&self, entries: &mut [Entry]) -> Result<(), Error> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let mut command = cmd("XPENDING");
        command.arg(&self.options.stream).arg(&self.options.group);
        // Others of this consumer may lie between.
        command.arg(&first.id).arg(&last.id).arg(10 * entries.len()).arg(&self.options.name);
        let pending: Vec<(String, String, u64, u64)> = self.client.query(&command).await?;
        let counts: HashMap<String, u64> =
            pending.into_iter().map(|(id, _, _, deliveries)| (id, deliveries)).collect();
        for entry in entries {
            entry.deliveries = counts.get(&entry.id).copied().unwrap_or(2);
        }
        Ok(())
    }
}

fn items(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Nil => Ok(Vec::new()),
        other => Err(Error::Unexpected(format!("{other:?} for a list"))),
    }
}

/// Entries as `[[id, [field, value, ...]], ...]`. One that was deleted has no fields, or is nil.
fn entries(value: Value) -> Result<Vec<Entry>, Error> {
    let pairs = items(value)?.into_iter().filter(|entry| *entry != Value::Nil);
    let entry = |pair: Value| {
        let mut pair = items(pair)?.into_iter();
        let id = redis::from_redis_value(pair.next().unwrap_or_default())?;
        let mut flat = items(pair.next().unwrap_or_default())?.into_iter();
        let mut fields = Vec::with_capacity(flat.len() / 2);
        while let (Some(field), Some(value)) = (flat.next(), flat.next()) {
            let Value::BulkString(value) = value else {
                return Err(Error::Unexpected(format!("{value:?} for the value of a field")));
            };
            fields.push((redis::from_redis_value(field)?, value));
        }
        Ok(Entry { id, fields, deliveries: 1 })
    };
    pairs.map(entry).collect()
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("options", &self.options).finish_non_exhaustive()
    }
}
