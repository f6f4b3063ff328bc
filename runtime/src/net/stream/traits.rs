//! futures-io's traits, for a stream, a borrowed stream and the halves.

use std::io::{self, IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};

use super::ByteStream;
use super::split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, WriteHalf};
use crate::net::family::StreamFamily;

macro_rules! async_read {
    ($type:ty, |$this:ident| $stream:expr) => {
        impl<K: StreamFamily> AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let $this = self.get_mut();
                ByteStream::poll_read(&$stream, cx, buf)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let $this = self.get_mut();
                ByteStream::poll_read_vectored(&$stream, cx, bufs)
            }
        }
    };
}

macro_rules! async_write {
    ($type:ty, |$this:ident| $stream:expr) => {
        impl<K: StreamFamily> AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                let $this = self.get_mut();
                ByteStream::poll_write(&$stream, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $this = self.get_mut();
                ByteStream::poll_write_vectored(&$stream, cx, bufs)
            }

            /// Nothing is buffered, so there is nothing to flush.
            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Sends the end of the stream. One that was shut down before, or whose peer is gone, is closed already.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $this = self.get_mut();
                match ByteStream::poll_shutdown(&$stream, cx) {
                    Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::NotConnected => {
                        Poll::Ready(Ok(()))
                    }
                    polled => polled,
                }
            }
        }
    };
}

async_read!(ByteStream<K>, |this| (*this));
async_write!(ByteStream<K>, |this| (*this));
async_read!(&ByteStream<K>, |this| (**this));
async_write!(&ByteStream<K>, |this| (**this));
async_read!(ReadHalf<'_, K>, |this| this.0);
async_write!(WriteHalf<'_, K>, |this| this.0);
async_read!(OwnedReadHalf<K>, |this| this.0);
async_write!(OwnedWriteHalf<K>, |this| this.0);
