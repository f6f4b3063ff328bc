//! The example `redis_kit`: what a server does with Redis.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures::StreamExt;
use phaseloop::{EventLoop, LoopHandle, spawn};
use phaseloop_server::redis::{
    Cache, Client, Cmd, Consumer, ConsumerOptions, Error, Event, Options, cmd, pipe,
};
use serde_json::{Value, json};

use crate::command_line::Refusal;
use crate::page::Page;

/// Where Redis is expected unless `REDIS_URL` says otherwise.
pub const DEFAULT_URL: &str = "redis://127.0.0.1:6379/";

/// Shows each use with the server at `url`, under keys that are removed in the end.
///
/// # Errors
/// There is no Redis; what to start is in the message.
pub fn run(page: &Page, url: &str) -> io::Result<()> {
    let options = Options::url(url).map_err(|error| Refusal::error(error.to_string()))?;
    let lp = EventLoop::new()?;
    lp.block_on(show(&lp, page, options))?.map_err(io::Error::other)
}

async fn show(lp: &LoopHandle, page: &Page, options: Options) -> Result<(), String> {
    let redis = Client::connect(lp, options).await.map_err(|error| {
        format!("{error}\nstart one with `redis-server`, or say where it is: REDIS_URL=redis://host:6379/")
    })?;
    // The number of this connection is nobody else's.
    let name: u64 = redis.query(cmd("CLIENT").arg("ID")).await.map_err(|error| error.to_string())?;
    let kit = Kit { redis, page: page.clone(), prefix: format!("redis_kit:{name}:") };
    let shown = kit.all().await;
    kit.clean_up().await.map_err(|error| error.to_string())?;
    shown.map_err(|error| error.to_string())
}

struct Kit {
    redis: Client,
    page: Page,
    prefix: String,
}

impl Kit {
    async fn all(&self) -> Result<(), Error> {
        self.cache().await?;
        self.lock().await?;
        self.messages().await?;
        self.stream().await?;
        self.counter().await?;
        self.leaderboard().await
    }

    fn title(&self, text: &str, is_first: bool) {
        self.page.headline(text, is_first);
    }

    fn say(&self, text: impl std::fmt::Display) {
        self.page.line(format_args!("  {text}"));
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A profile is read from the database once, however many ask.
    async fn cache(&self) -> Result<(), Error> {
        self.title("A cache: JSON with a time to live, and a random spread on it", true);
        let cache = Cache::new(&self.redis, &self.key("profile:"), Duration::from_secs(300))
            .spread(Duration::from_secs(60));
        let reads = Rc::new(Cell::new(0));
        let ask = || async {
            let load = async || {
                reads.set(reads.get() + 1);
                phaseloop::sleep(Duration::from_millis(2)).await; // a database takes its time
                Ok::<Value, Error>(json!({ "name": "Ada", "city": "London" }))
            };
            cache.get_or_load("7", load).await
        };
        let together = futures::future::try_join_all((0..100).map(|_| ask())).await?;
        self.say(format_args!(
            "{} asked at once, the database was read {} time",
            together.len(),
            reads.get()
        ));
        let again = ask().await?;
        self.say(format_args!(
            "profile 7 is {}, and the database was read {} time",
            again["name"],
            reads.get()
        ));
        let left: i64 = self.redis.query(&Cmd::ttl(self.key("profile:7"))).await?;
        self.say(format_args!("it lives for 300 to 360 seconds: {}", (299..=360).contains(&left)));
        Ok(())
    }

    /// One worker settles an order at a time.
    async fn lock(&self) -> Result<(), Error> {
        self.title("A lock: SET NX PX with a token, released by whoever has it", false);
        let key = self.key("lock:order:42");
        let ttl = Duration::from_secs(10);
        let Some(first) = self.redis.try_lock(&key, ttl).await? else { return self.unexpected("a lock") };
        self.say("worker a has order 42");
        let second = self.redis.try_lock(&key, ttl).await?;
        self.say(format_args!("worker b gets it: {}", second.is_some()));
        let waiting = spawn({
            let (redis, key) = (self.redis.clone(), key.clone());
            async move { redis.lock(&key, ttl, Duration::from_secs(5)).await }
        });
        self.say(format_args!("worker a releases what it still has: {}", first.release().await?));
        let Ok(Ok(Some(third))) = waiting.await else { return self.unexpected("no lock") };
        self.say(format_args!("worker b, who waited, has it: {}", !third.remaining().is_zero()));
        Ok(())
    }

    /// What becomes of an order is told to all who watch it.
    async fn messages(&self) -> Result<(), Error> {
        self.title("Messages: the status of an order", false);
        let (one, all) = (self.key("order:42"), self.key("order:*"));
        let mut watcher = self.redis.subscribe(&one).await?;
        let mut auditor = self.redis.psubscribe(&all).await?;
        for status in ["paid", "shipped"] {
            let heard = self.redis.publish(&one, json!({ "status": status }).to_string()).await?;
            self.say(format_args!("{status}: {heard} subscriptions of it"));
        }
        for (who, subscription) in [("watcher", &mut watcher), ("auditor", &mut auditor)] {
            for _ in 0..2 {
                match subscription.next().await.transpose()? {
                    Some(Event::Message(message)) => {
                        self.say(format_args!("{who}: {}", message.text().unwrap_or("no text")));
                    }
                    // After a reconnect: what was missed is read from where it is kept.
                    other => self.say(format_args!("{who}: {other:?}")),
                }
            }
        }
        Ok(())
    }

    /// Orders are worked on by a group, and none is lost with a worker.
    async fn stream(&self) -> Result<(), Error> {
        self.title("A stream: work that outlives a worker", false);
        let stream = self.key("orders");
        let worker = |name: &str| {
            let mut options = ConsumerOptions::new(stream.as_str(), "billing", name);
            options.from_first = true;
            options.claim_idle = Duration::ZERO; // so that the example need not wait
            Consumer::new(&self.redis, options)
        };
        for order in 1..=3 {
            self.redis.append(&stream, 10_000, &[("order", order.to_string())]).await?;
        }
        let mut a = worker("a");
        for _ in 0..3 {
            let entry = a.next().await?;
            let order = entry.text("order").unwrap_or("?").to_owned();
            if order == "1" {
                a.ack(&entry.id).await?;
            }
            let outcome = if order == "1" { "done" } else { "begun" };
            self.say(format_args!("worker a: order {order} {outcome}"));
        }
        drop(a);
        self.say("worker a crashes");
        let mut b = worker("b");
        for _ in 0..2 {
            let entry = b.next().await?;
            let order = entry.text("order").unwrap_or("?");
            self.say(format_args!("worker b: order {order}, given out {} times, done", entry.deliveries));
            b.ack(&entry.id).await?;
        }
        let pending: (u64, Unread, Unread, Unread) =
            self.redis.query(cmd("XPENDING").arg(&stream).arg("billing")).await?;
        self.say(format_args!("left over: {}", pending.0));
        Ok(())
    }

    async fn counter(&self) -> Result<(), Error> {
        self.title("A counter: INCR", false);
        let key = self.key("visits");
        let visit = Cmd::incr(&key, 1);
        let visits = (0..3).map(|_| self.redis.query::<u64>(&visit));
        let visits = futures::future::try_join_all(visits).await?;
        self.say(format_args!("visits: {visits:?}"));
        Ok(())
    }

    async fn leaderboard(&self) -> Result<(), Error> {
        self.title("A leaderboard: a sorted set", false);
        let key = self.key("scores");
        let scores = [(310, "eve"), (120, "bob"), (250, "ann")];
        let mut play = pipe();
        play.atomic().zadd_multiple(&key, &scores).ignore().zincr(&key, "ann", 100).ignore();
        let (best, rank): (Vec<(String, u64)>, u64) =
            self.redis.pipeline(play.zrevrange_withscores(&key, 0, 2).zrevrank(&key, "bob")).await?;
        for (place, (name, score)) in best.iter().enumerate() {
            self.say(format_args!("{}. {name} {score}", place + 1));
        }
        self.say(format_args!("bob is number {}", rank + 1));
        Ok(())
    }

    fn unexpected<T>(&self, what: &str) -> Result<T, Error> {
        self.say(format_args!("somebody else uses {}: {what} was not expected", self.prefix));
        Err(Error::Unavailable("the keys of the example are in use".into()))
    }

    /// Removes the keys of this run.
    async fn clean_up(&self) -> Result<(), Error> {
        let names = ["profile:7", "lock:order:42", "orders", "visits", "scores"];
        let keys: Vec<String> = names.iter().map(|name| self.key(name)).collect();
        self.redis.query(&Cmd::del(keys)).await
    }
}

/// What the example does not look at.
type Unread = phaseloop_server::redis::Value;
