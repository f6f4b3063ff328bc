//! The runtimes that the questions are put to: how each is built, and its echo server.

pub(crate) mod compio;
pub(crate) mod floor;
pub(crate) mod hyper;
#[cfg(feature = "libuv")]
pub(crate) mod libuv;
#[cfg(feature = "libuv")]
pub(crate) mod libuv_pool;
pub(crate) mod monoio;
pub(crate) mod node;
pub(crate) mod phaseloop;
pub(crate) mod phaseloop_web;
pub(crate) mod smol;
pub(crate) mod tokio;
pub(crate) mod tokio_ws;
