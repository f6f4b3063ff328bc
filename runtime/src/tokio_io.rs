//! tokio's stream traits for the streams of a loop, so that codecs and drivers written against them read and write ours.
//!
//! Only the traits come in, [`tokio::io::AsyncRead`] and [`tokio::io::AsyncWrite`]: tokio without features, and so without a
//! runtime. [`ByteStream`], borrowed or in halves, and [`PipeStream`] have them; so has [`LoopBound`] around whatever has
//! them, for libraries that ask for `Send` as well. They are the futures-io traits under other names: the same limits, the same
//! budget, the same cancel safety.
//!
//! Today: a read clears the part of the buffer that was never written before it reads into it, once for a buffer that is used
//! again, each time for one that is fresh.
//!
//! # Examples
//! ```
//! use phaseloop::{EventLoop, net::UnixStream};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let lp = EventLoop::new()?;
//! let (mut a, mut b) = UnixStream::pair(&lp)?;
//! let number = lp.block_on(async {
//!     a.write_u32(7).await?; // tokio's method, on our stream, without a runtime of tokio
//!     b.read_u32().await
//! })??;
//! assert_eq!(number, 7);
//! # Ok::<(), std::io::Error>(())
//! ```

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::loop_bound::LoopBound;
use crate::net::pipe::PipeStream;
use crate::net::{ByteStream, OwnedReadHalf, OwnedWriteHalf, ReadHalf, StreamFamily, WriteHalf};

macro_rules! async_read {
    ([$($params:tt)*] $type:ty) => {
        impl<$($params)*> AsyncRead for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let len = ready!(futures_io::AsyncRead::poll_read(self, cx, buf.initialize_unfilled()))?;
                buf.advance(len);
                Poll::Ready(Ok(()))
            }
        }
    };
}

/// `$vectored` says whether several buffers go in one system call, or only the first.
macro_rules! async_write {
    ([$($params:tt)*] $type:ty, $vectored:literal) => {
        impl<$($params)*> AsyncWrite for $type {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                $vectored
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_close(self, cx)
            }
        }
    };
}

async_read!([K: StreamFamily] ByteStream<K>);
async_write!([K: StreamFamily] ByteStream<K>, true);
async_read!([K: StreamFamily] &ByteStream<K>);
async_write!([K: StreamFamily] &ByteStream<K>, true);
async_read!([K: StreamFamily] ReadHalf<'_, K>);
async_write!([K: StreamFamily] WriteHalf<'_, K>, true);
async_read!([K: StreamFamily] OwnedReadHalf<K>);
async_write!([K: StreamFamily] OwnedWriteHalf<K>, true);
async_read!([] PipeStream);
async_write!([] PipeStream, false);
async_read!([] & PipeStream);
async_write!([] & PipeStream, false);

impl<S: AsyncRead + Unpin + 'static> AsyncRead for LoopBound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin + 'static> AsyncWrite for LoopBound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.try_get().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(LoopBound::get_mut(&mut self)).poll_shutdown(cx)
    }
}
