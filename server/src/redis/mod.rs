//! A client of Redis that lives on the loop: no runtime of anybody else's, no thread.
//!
//! [`Client`] shares one connection among all its users and makes it anew when it ends; [`Dedicated`] is a connection of one's
//! own. On them: [`Subscription`]s, [`Lock`]s, [`Cache`]s, and [`Consumer`]s of streams. Commands, pipelines and values are those of
//! the crate [`redis`](driver); with the feature `redis-aio` its `AsyncCommands` work too. The server must speak RESP3: Redis 6 or later,
//! Valkey. Not done: clusters and sentinels.
//!
//! Everything is bounded by [`Options`]; [`Error`] says who can do something about what went wrong.

mod answer;
mod cache;
mod client;
#[cfg(feature = "redis-aio")]
mod commands;
mod connect;
mod dedicated;
mod error;
mod frames;
mod link;
mod lock;
mod options;
mod pubsub;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod vet;

pub use cache::Cache;
pub use client::{Client, Status};
#[cfg(feature = "redis-aio")]
pub use commands::Commands;
pub use connect::{BoxStream, Encrypt, Stream};
pub use dedicated::Dedicated;
pub use error::Error;
pub use lock::Lock;
pub use options::Options;
pub use pubsub::{Event, Gap, Message, Subscription};
pub use stream::{Consumer, ConsumerOptions, Entry};
#[cfg(feature = "tls")]
pub use tls::encrypt_with;

/// The crate whose commands and values these are.
pub use ::redis as driver;
pub use ::redis::{Cmd, FromRedisValue, Pipeline, ToRedisArgs, Value, cmd, pipe};
