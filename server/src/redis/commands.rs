//! The crate redis' own way to ask: `AsyncCommands`.

use std::fmt;
use std::future::Future;

use phaseloop::LoopBound;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, Value};

use super::answer;
use super::client::Client;
use super::error::Error;
use super::vet;

/// A client for what asks for connections of the crate `redis`: its [`AsyncCommands`](redis::AsyncCommands), which want `Send`. Made by
/// [`Client::commands`]. Behind the feature `redis-aio`.
///
/// It is `Send` and works on the loop's thread only. Errors are those of the crate; `Error::from` gives back ours.
///
/// # Panics
/// Its methods, on another thread.
///
/// # Examples
/// ```no_run
/// use phaseloop_server::redis::{Client, Error};
/// use redis::AsyncCommands;
///
/// async fn visits(redis: &Client) -> Result<u64, Error> {
///     let mut redis = redis.commands();
///     Ok(redis.incr("visits", 1).await?)
/// }
/// ```
pub struct Commands(LoopBound<Client>);

impl Client {
    /// The client as a connection of the crate `redis`.
    pub fn commands(&self) -> Commands {
        Commands(LoopBound::new(self.lp(), self.clone()))
    }
}

impl Clone for Commands {
    fn clone(&self) -> Self {
        self.0.get().commands()
    }
}

impl ConnectionLike for Client {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let vetted = vet::shared(command);
        let replies = self.request(command.get_packed_command(), 1, self.options().command_timeout);
        self.bind(async move {
            vetted?;
            Ok(replies.await?.pop().unwrap_or_default())
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let vetted = pipeline.cmd_iter().try_for_each(vet::shared);
        let all = answer::count(pipeline);
        let replies = self.request(pipeline.get_packed_pipeline(), all, self.options().command_timeout);
        let is_transaction = pipeline.is_transaction();
        self.bind(async move {
            vetted?;
            let replies = replies.await?;
            if is_transaction {
                answer::check_transaction(&replies)?;
            }
            Ok(replies.into_iter().skip(offset).take(count).collect())
        })
    }

    fn get_db(&self) -> i64 {
        self.options().db
    }
}

impl Client {
    /// A future of this thread as one that may be sent, and is not.
    fn bind<'a, T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, Error>> + 'static,
    ) -> RedisFuture<'a, T> {
        let future = Box::pin(async move { RedisResult::Ok(future.await?) });
        Box::pin(LoopBound::new(self.lp(), future))
    }
}

impl ConnectionLike for Commands {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.get_mut().req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.get_mut().req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get().get_db()
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Commands").field(&self.0).finish()
    }
}
