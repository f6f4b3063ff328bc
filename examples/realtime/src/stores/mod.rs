//! The ways to databases, caches and other workers.

mod cache;
mod cluster;
pub(crate) mod database;
mod faults;
mod hub;
mod locks;
#[cfg(feature = "mongo")]
pub(crate) mod mongo;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod rooms;
mod schema;

pub(crate) use cache::{Cache, LocalCache};
pub(crate) use cluster::{ClusterHub, Post, PostOffice};
pub(crate) use database::{Database, Tx};
pub(crate) use hub::{Hub, LocalHub, ROOMS};
pub(crate) use locks::{LocalLocks, Lock, Locks};
pub(crate) use rooms::{ClusterRooms, PEOPLE_MAX};

use std::future::Future;
use std::pin::Pin;

/// What a store will have done. Traits of stores are objects, so their futures are boxed.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;
