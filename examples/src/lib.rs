//! The examples of phaseloop, one module each, and the little that they share.
//!
//! A program in `src/bin` reads its command line and runs its module here. An example writes on a [`page::Page`], which
//! is standard output for the program and memory for the test that keeps the example true (`tests/tests/examples.rs`).

pub mod cat;
pub mod chat;
pub mod chat_tcp;
pub mod cluster_http;
pub mod command_line;
pub mod copy_tree;
pub mod descriptors;
pub mod echo;
pub mod embed;
pub mod event_order;
pub mod express_users;
pub mod gzip_file;
pub mod http2_time;
pub mod koa_users;
pub mod lines;
pub mod node_child;
pub mod onion;
pub mod page;
pub mod panics;
pub mod port_forward;
pub mod progress_bar;
#[cfg(feature = "redis")]
pub mod redis_kit;
pub mod serve;
pub mod sha_tree;
pub mod shell;
pub mod soak;
pub mod socketio_conformance;
pub mod sse_ticks;
pub mod static_site;
pub mod tail_f;
pub mod task_bus;
pub mod threadpool;
pub mod timers;
pub mod tty_keys;
pub mod udp_echo;
pub mod upload_progress;
pub mod watch;
pub mod ws_echo;

/// The programs in the README compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
