//! The realtime service: orders, users, a feed and a chat over stores, told live to WebSocket and SSE clients.
//!
//! README.md of the package has the contract and the configuration. The folders are those of the article: `routes` say which path
//! leads where, `controllers` take requests apart and put answers together, `services` know the rules, `models` what is stored,
//! `middleware` what stands around all of them; `stores` are the ways to databases and caches.

mod config;
mod controllers;
mod descriptors;
mod lead;
mod log;
mod middleware;
mod models;
mod refusal;
mod routes;
mod service;
mod services;
mod site;
mod stores;

pub use config::{Config, Database, Level, Mistakes, Secret, Stage, Tls};
pub use descriptors::raise_descriptor_limit;
pub use lead::lead;
pub use log::Log;
pub use service::{Service, StartError};
