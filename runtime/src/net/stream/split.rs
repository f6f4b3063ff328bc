//! The two directions of a stream as values of their own.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::ByteStream;
use crate::net::family::{StreamFamily, Tcp};
use crate::net::sys;

/// The reading half of a borrowed stream.
#[derive(Debug)]
pub struct ReadHalf<'a, K: StreamFamily = Tcp>(pub(super) &'a ByteStream<K>);

/// The writing half of a borrowed stream.
#[derive(Debug)]
pub struct WriteHalf<'a, K: StreamFamily = Tcp>(pub(super) &'a ByteStream<K>);

/// The reading half of a stream. The connection closes when both halves are dropped.
#[derive(Debug)]
pub struct OwnedReadHalf<K: StreamFamily = Tcp>(pub(super) ByteStream<K>);

/// The writing half of a stream. Dropping it sends the end of the stream, behind what is queued.
#[derive(Debug)]
pub struct OwnedWriteHalf<K: StreamFamily = Tcp>(pub(super) ByteStream<K>, KeepsOpen);

/// The half is dropped without sending the end of the stream.
type KeepsOpen = bool;

impl<K: StreamFamily> ByteStream<K> {
    /// Borrows the stream in two halves, so that one part of a task reads while another writes. Costs nothing.
    ///
    /// It is not called `split`, since the method of that name of futures' `AsyncReadExt` would be taken instead.
    pub fn halves(&mut self) -> (ReadHalf<'_, K>, WriteHalf<'_, K>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream for two tasks.
    pub fn into_split(self) -> (OwnedReadHalf<K>, OwnedWriteHalf<K>) {
        (OwnedReadHalf(self.clone()), OwnedWriteHalf(self, false))
    }
}

impl<K: StreamFamily> OwnedReadHalf<K> {
    /// Joins the halves of one stream again.
    ///
    /// # Errors
    /// Both halves, if they are not of the same stream.
    pub fn reunite(self, write: OwnedWriteHalf<K>) -> Result<ByteStream<K>, (Self, OwnedWriteHalf<K>)> {
        if !Rc::ptr_eq(&self.0.core, &write.0.core) {
            return Err((self, write));
        }
        write.forget();
        Ok(self.0)
    }
}

impl<K: StreamFamily> OwnedWriteHalf<K> {
    /// Drops the half without sending the end of the stream.
    pub fn forget(mut self) {
        self.1 = true;
    }
}

impl<K: StreamFamily> Drop for OwnedWriteHalf<K> {
    fn drop(&mut self) {
        if self.1 {
            return;
        }
        // The peer may be gone already, and then there is nobody to tell.
        let _ = match self.0.core.has_queued() {
            false => self.0.core.base.with(sys::shutdown_write),
            true => self.0.shutdown_with(|_, _| {}),
        };
    }
}

macro_rules! read_half {
    ($type:ty) => {
        impl<K: StreamFamily> $type {
            /// [`ByteStream::read`].
            pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read(buf).await
            }

            /// [`ByteStream::read_exact`].
            pub async fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
                self.0.read_exact(buf).await
            }

            /// [`ByteStream::peek`].
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.peek(buf).await
            }

            /// [`ByteStream::poll_read`].
            pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                self.0.poll_read(cx, buf)
            }
        }
    };
}

macro_rules! write_half {
    ($type:ty) => {
        impl<K: StreamFamily> $type {
            /// [`ByteStream::write`].
            pub async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.0.write(buf).await
            }

            /// [`ByteStream::write_all`].
            pub async fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                self.0.write_all(buf).await
            }

            /// [`ByteStream::shutdown`].
            pub async fn shutdown(&mut self) -> io::Result<()> {
                self.0.shutdown().await
            }

            /// [`ByteStream::poll_write`].
            pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.0.poll_write(cx, buf)
            }
        }
    };
}

read_half!(ReadHalf<'_, K>);
read_half!(OwnedReadHalf<K>);
write_half!(WriteHalf<'_, K>);
write_half!(OwnedWriteHalf<K>);
