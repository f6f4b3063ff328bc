//! Files as streams: read and written piece by piece, no faster than the other side can go.
//!
//! Both kinds have two fronts on one state: futures ([futures-io](futures_io)'s traits, and a `Stream` of chunks) and
//! callbacks. Events come in the order of Node's file streams: open, ready, data, end, close; open, ready, drain, finish,
//! close; an error comes right before close, and after it nothing but close.

mod read;
mod slot;
mod write;

pub use read::{ReadControl, ReadOptions, ReadStream};
pub use write::{StreamError, WriteControl, WriteStream};
