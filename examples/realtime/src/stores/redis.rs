//! Cache, locks and words in Redis, shared by all workers.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use phaseloop::LoopHandle;
use phaseloop_server::redis::{Client, Cmd, Error, Event, Gap, Options, Status, cmd};
use phaseloop_server::socketio::{Io, RedisAdapter, RedisAdapterOptions};

use super::cache::spread;
use super::{Cache, Hub, Later, Lock, Locks, ROOMS};
use crate::config::Secret;
use crate::log::Log;
use crate::refusal::Refusal;

/// What all keys and channels begin with.
const PREFIX: &str = "realtime:";
/// How long a request waits for Redis.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest pause between attempts to connect again.
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// A client whose losses are logged. Where there is no Redis yet, it goes on trying.
pub(crate) async fn connect(lp: &LoopHandle, url: &Secret, log: &Log) -> Result<Client, Refusal> {
    // What is wrong with it is not said: that might show a part of its password.
    let bad = |_| Refusal::unavailable("REDIS_URL is no URL of Redis: redis://USER:PASSWORD@HOST:PORT/DB");
    let mut options = Options::url(url.reveal()).map_err(bad)?;
    options.name = Some("realtime".to_owned());
    options.connect_timeout = Duration::from_secs(2);
    options.command_timeout = PATIENCE;
    options.backoff_max = BACKOFF_MAX;
    let client = Client::connect(lp, options).await.map_err(|error| refusal(&error))?;
    let log = log.clone();
    client.on_change(move |status| match status {
        Status::Connected => log.info("redis", &[("state", &"connected")]),
        other => log.warn("redis", &[("state", &format!("{other:?}"))]),
    });
    Ok(client)
}

fn refusal(error: &Error) -> Refusal {
    let told = match error {
        Error::Refused { code, .. } if code == "OOM" => "Redis is full",
        Error::Refused { .. } => "Redis can not do this now",
        _ => "Redis is away",
    };
    let passes = error.is_temporary() || error.may_have_run();
    if passes { Refusal::unavailable(told).because(error) } else { Refusal::internal(error) }
}

/// Rooms that all workers share, and Node's servers with the official adapter and this prefix.
pub(crate) fn share_rooms(client: &Client, log: &Log) -> Box<dyn Fn(&Io)> {
    let (client, log) = (client.clone(), log.clone());
    Box::new(move |io| {
        let (client, log) = (client.clone(), log.clone());
        io.set_adapters(move |namespace| {
            let mut options = RedisAdapterOptions::default();
            options.prefix = format!("{PREFIX}chat");
            options.requests_timeout = PATIENCE;
            let log = log.clone();
            options.on_error = Some(Rc::new(move |why| log.warn("rooms", &[("error", &why)])));
            RedisAdapter::new(&client, namespace, options)
        });
    })
}

async fn ping(client: &Client) -> Result<(), Refusal> {
    client.query::<()>(&cmd("PING")).await.map_err(|error| refusal(&error))
}

pub(crate) struct RedisCache(pub(crate) Client);

impl RedisCache {
    fn command(name: &str, key: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(format!("{PREFIX}{key}"));
        command
    }
}

impl Cache for RedisCache {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        Box::pin(ping(&self.0))
    }

    fn get<'a>(&'a self, key: &'a str) -> Later<'a, Result<Option<String>, Refusal>> {
        Box::pin(async move {
            let command = Self::command("GET", key);
            self.0.query(&command).await.map_err(|error| refusal(&error))
        })
    }

    fn set<'a>(&'a self, key: &'a str, value: String, ttl: Duration) -> Later<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let salt = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| u64::from(since.subsec_nanos()));
            let ms = u64::try_from(spread(ttl, salt).as_millis()).unwrap_or(u64::MAX);
            let mut command = Self::command("SET", key);
            command.arg(value).arg("PX").arg(ms);
            self.0.query::<()>(&command).await.map_err(|error| refusal(&error))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Later<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let command = Self::command("DEL", key);
            self.0.query::<()>(&command).await.map_err(|error| refusal(&error))
        })
    }
}

pub(crate) struct RedisLocks(pub(crate) Client);

impl Locks for RedisLocks {
    fn try_lock<'a>(&'a self, name: &'a str, ttl: Duration) -> Later<'a, Result<Option<Lock>, Refusal>> {
        Box::pin(async move {
            let taken = self.0.try_lock(&format!("{PREFIX}lock:{name}"), ttl).await;
            let taken = taken.map_err(|error| refusal(&error))?;
            // Dropping it gives it back, by its token: never that of somebody else.
            Ok(taken.map(|lock| Lock::new(move || drop(lock))))
        })
    }
}

pub(crate) struct RedisHub {
    client: Client,
    log: Log,
}

impl RedisHub {
    pub(crate) fn new(client: &Client, log: &Log) -> Self {
        Self { client: client.clone(), log: log.clone() }
    }
}

fn tell(client: &Client, log: &Log, topic: &str) {
    let mut publish = cmd("PUBLISH");
    publish.arg(format!("{PREFIX}{topic}")).arg("");
    if let Err(error) = client.tell(&publish) {
        log.warn("word", &[("topic", &topic), ("error", &error)]);
    }
}

impl Hub for RedisHub {
    fn kind(&self) -> &'static str {
        "redis"
    }

    fn check(&self) -> Later<'_, Result<(), Refusal>> {
        Box::pin(ping(&self.client))
    }

    fn tell(&self, topic: &'static str) {
        tell(&self.client, &self.log, topic);
    }

    fn listen(&self, topic: &'static str, on_news: Box<dyn Fn()>) {
        let (log, client) = (self.log.clone(), self.client.clone());
        // A subscription begins with a gap; but that of a client with a connection has missed nothing.
        let mut was_there = !client.is_connected();
        let mut words = match self.client.subscribe_soon(&format!("{PREFIX}{topic}")) {
            Ok(words) => words,
            Err(error) => return log.error("word", &[("topic", &topic), ("error", &error)]),
        };
        phaseloop::spawn(async move {
            // A gap is as good as a word: there may be something new.
            while let Some(word) = words.next().await {
                match word {
                    Ok(Event::Gap(Gap::Connection)) => {
                        on_news();
                        // What was said here did not reach the others either.
                        if topic == ROOMS && was_there {
                            tell(&client, &log, topic);
                        }
                        was_there = true;
                    }
                    Ok(_) => on_news(),
                    Err(error) => log.error("word", &[("topic", &topic), ("error", &error)]),
                }
            }
        })
        .unref();
    }
}
