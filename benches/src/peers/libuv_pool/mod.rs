//! libuv's pool, used as its C users do: requests in blocks of memory that are used again, plain callbacks.

mod sys;

pub(crate) use sys::{jobs, read_chunks, read_files};
