//! The client of Redis, against a real one.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

#[cfg(feature = "socketio-redis")]
mod adapter;
mod cache;
mod client;
#[cfg(feature = "redis-aio")]
mod commands;
mod lock;
mod pubsub;
mod server;
mod stream;
#[cfg(feature = "dev-certificates")]
mod tls;
mod tree;
