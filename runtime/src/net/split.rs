//! The two directions of a stream as values of their own.

use std::io;
use std::task::{Context, Poll};

use super::stream::TcpStream;

/// The reading half of a borrowed stream.
#[derive(Debug)]
pub struct ReadHalf<'a>(pub(super) &'a TcpStream);

/// The writing half of a borrowed stream.
#[derive(Debug)]
pub struct WriteHalf<'a>(pub(super) &'a TcpStream);

/// The reading half of a stream. The connection closes when both halves are dropped.
#[derive(Debug)]
pub struct OwnedReadHalf(pub(super) TcpStream);

/// The writing half of a stream. Dropping it sends the end of the stream, behind what is queued.
#[derive(Debug)]
pub struct OwnedWriteHalf(pub(super) TcpStream);

impl TcpStream {
    /// Splits the stream so that one part of a task reads while another writes. Costs nothing.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Splits the stream for two tasks.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (OwnedReadHalf(self.clone()), OwnedWriteHalf(self))
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        // The peer may be gone already, and then there is nobody to tell.
        let _ = match self.0.write_queue_len() {
            0 => self.0.with_socket(|socket| socket.shutdown(std::net::Shutdown::Write)),
            _ => self.0.shutdown_with(|_, _| {}),
        };
    }
}

macro_rules! read_half {
    ($type:ty) => {
        impl $type {
            /// [`TcpStream::read`].
            pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read(buf).await
            }

            /// [`TcpStream::read_exact`].
            pub async fn read_exact(&mut self, buf: &mut [u8]) -> io::Result<()> {
                self.0.read_exact(buf).await
            }

            /// [`TcpStream::peek`].
            pub async fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.peek(buf).await
            }

            /// [`TcpStream::poll_read`].
            pub fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
                self.0.poll_read(cx, buf)
            }
        }
    };
}

macro_rules! write_half {
    ($type:ty) => {
        impl $type {
            /// [`TcpStream::write`].
            pub async fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.0.write(buf).await
            }

            /// [`TcpStream::write_all`].
            pub async fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
                self.0.write_all(buf).await
            }

            /// [`TcpStream::shutdown`].
            pub async fn shutdown(&mut self) -> io::Result<()> {
                self.0.shutdown().await
            }

            /// [`TcpStream::poll_write`].
            pub fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.0.poll_write(cx, buf)
            }
        }
    };
}

read_half!(ReadHalf<'_>);
read_half!(OwnedReadHalf);
write_half!(WriteHalf<'_>);
write_half!(OwnedWriteHalf);
