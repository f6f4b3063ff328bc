//! A connection that one user has.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use phaseloop::{JoinHandle, LoopHandle};
use redis::{Cmd, FromRedisValue, Pipeline};

use super::answer;
use super::client::closed;
use super::connect::connect;
use super::error::Error;
use super::link::Link;
use super::options::Options;
use super::vet;

/// A connection of one's own: for commands that wait, and for `WATCH`. Made by [`Client::dedicated`](super::Client::dedicated); dropping it
/// closes it. When it ends, all that follows is [`Error::Unavailable`].
///
/// # Examples
/// A transaction that begins again if somebody else was faster:
/// ```no_run
/// use phaseloop_server::redis::{Client, Cmd, Error, cmd, pipe};
///
/// async fn withdraw(redis: &Client, amount: i64) -> Result<i64, Error> {
///     let own = redis.dedicated().await?;
///     loop {
///         own.query::<()>(cmd("WATCH").arg("balance")).await?;
///         let balance: i64 = own.query(&Cmd::get("balance")).await?;
///         let done: Option<((),)> = own.pipeline(pipe().atomic().set("balance", balance - amount)).await?;
///         if done.is_some() {
///             return Ok(balance - amount);
///         }
///     }
/// }
/// ```
pub struct Dedicated {
    link: Link,
    command_timeout: Duration,
    task: JoinHandle<()>,
}

impl Dedicated {
    pub(super) async fn connect(lp: &LoopHandle, options: &Options) -> Result<Self, Error> {
        let (link, driver) = connect(lp, options, Rc::new(|_, _| {})).await?;
        let task = lp.spawn(async move {
            driver.await; // whoever waits is told why
        });
        task.unref();
        Ok(Self { link, command_timeout: options.command_timeout, task })
    }

    /// As [`Client::query`](super::Client::query), with commands that wait.
    ///
    /// # Errors
    /// [`Error`].
    ///
    /// # Cancel safety
    /// A command that was sent is not called back. What a command that waits has taken by then is lost: drop the connection
    /// with it.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        self.query_within(command, self.command_timeout).await
    }

    /// As [`query`](Self::query), with another time for the answer than [`Options::command_timeout`].
    ///
    /// # Errors
    /// [`Error`]. A timeout ends the connection.
    ///
    /// # Cancel safety
    /// As [`query`](Self::query).
    pub async fn query_within<T: FromRedisValue>(&self, command: &Cmd, limit: Duration) -> Result<T, Error> {
        vet::dedicated(command)?;
        let replies = self.link.send(&command.get_packed_command(), 1, limit)?.await;
        answer::one(replies.map_err(|_| closed())??)
    }

    /// As [`Client::pipeline`](super::Client::pipeline). The answer to a transaction whose `WATCH` saw a change is nil: ask for an `Option`.
    ///
    /// # Errors
    /// [`Error`].
    ///
    /// # Cancel safety
    /// As [`query`](Self::query).
    pub async fn pipeline<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Error> {
        pipeline.cmd_iter().try_for_each(vet::dedicated)?;
        let commands = pipeline.get_packed_pipeline();
        let replies = self.link.send(&commands, answer::count(pipeline), self.command_timeout)?.await;
        answer::several(pipeline, replies.map_err(|_| closed())??)
    }
}

impl Drop for Dedicated {
    fn drop(&mut self) {
        self.link.end(closed());
        self.task.abort();
    }
}

impl fmt::Debug for Dedicated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedicated").finish_non_exhaustive()
    }
}
