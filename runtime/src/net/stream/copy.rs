//! Copying between two streams, both ways at once: what a proxy does.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use super::ByteStream;
use crate::net::family::StreamFamily;

/// Bytes that were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// From the first stream to the second.
    pub forth: u64,
    /// From the second stream to the first.
    pub back: u64,
}

/// Copying ended before both streams did.
#[derive(Debug)]
pub struct CopyFailed {
    /// Bytes that were written until then.
    pub copied: Copied,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for CopyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Copied { forth, back } = self.copied;
        write!(f, "copying ended after {forth} bytes forth and {back} back: {}", self.error)
    }
}

impl Error for CopyFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl From<CopyFailed> for io::Error {
    fn from(failed: CopyFailed) -> Self {
        Self::new(failed.error.kind(), failed)
    }
}

/// Copies what comes from either stream to the other, until both have ended.
///
/// The end of one stream is passed on, and the other direction goes on. A slow receiver slows its sender down: of each direction
/// at most [`Limits::read_buffer_len`](crate::Limits::read_buffer_len) bytes are held here, and nothing while both keep up, since the
/// bytes lie in the loop's read buffer.
///
/// # Errors
/// The first error of either stream, with the bytes that were copied. Both streams stay open.
///
/// # Cancel safety
/// Bytes that were read and not written are lost if the future is dropped.
///
/// # Examples
/// ```
/// # use phaseloop::{EventLoop, net::{UnixStream, copy_bidirectional}};
/// # let lp = EventLoop::new()?;
/// let ((client, inside), (outside, server)) = (UnixStream::pair(&lp)?, UnixStream::pair(&lp)?);
/// let proxy = lp.spawn(async move { copy_bidirectional(&inside, &outside).await });
/// lp.block_on(async {
///     client.write_all(b"ping").await?;
///     client.shutdown().await?;
///     let mut buf = [0; 8];
///     assert_eq!(server.read(&mut buf).await?, 4);
///     assert_eq!(server.read(&mut buf).await?, 0);
///     server.close();
///     Ok::<_, std::io::Error>(())
/// })??;
/// let copied = lp.block_on(proxy)?.expect("no panic")?;
/// assert_eq!((copied.forth, copied.back), (4, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn copy_bidirectional<A: StreamFamily, B: StreamFamily>(
    a: &ByteStream<A>,
    b: &ByteStream<B>,
) -> Result<Copied, CopyFailed> {
    let (mut forth, mut back) = (Way::default(), Way::default());
    poll_fn(|cx| {
        // Both, whatever one says: each registers its own wakers.
        let polled = [forth.poll(cx, a, b), back.poll(cx, b, a)];
        let copied = Copied { forth: forth.copied, back: back.copied };
        let mut is_done = true;
        for way in polled {
            match way {
                Poll::Ready(Err(error)) => return Poll::Ready(Err(CopyFailed { copied, error })),
                Poll::Ready(Ok(())) => {}
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(Ok(copied)) } else { Poll::Pending }
    })
    .await
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What was read and could not be written at once. Empty, and without memory, while the receiver keeps up.
    rest: Vec<u8>,
    written: usize,
    copied: u64,
    stage: Stage,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Copying,
    /// The sender has ended, which the receiver is to be told.
    Ending,
    Done,
}

impl Way {
    fn poll<A: StreamFamily, B: StreamFamily>(
        &mut self,
        cx: &mut Context<'_>,
        from: &ByteStream<A>,
        to: &ByteStream<B>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_rest(cx, to))?;
            match self.stage {
                Stage::Copying => {
                    let lp = from.lp();
                    let mut buffer = lp.borrow_read_buffer();
                    let moved = self.poll_move(cx, from, to, &mut buffer);
                    lp.return_read_buffer(buffer);
                    ready!(moved)?;
                }
                Stage::Ending => {
                    match ready!(to.poll_shutdown(cx)) {
                        // It was shut down or closed before, or its peer is gone: told already.
                        Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                        ended => ended?,
                    }
                    self.stage = Stage::Done;
                }
                Stage::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads once, and writes that at once as far as it goes. The rest is kept.
    fn poll_move<A: StreamFamily, B: StreamFamily>(
        &mut self,
        cx: &mut Context<'_>,
        from: &ByteStream<A>,
        to: &ByteStream<B>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<()>> {
        let len = ready!(from.poll_read(cx, buffer))?;
        if len == 0 {
            self.stage = Stage::Ending;
            return Poll::Ready(Ok(()));
        }
        let written = match to.poll_write(cx, &buffer[..len]) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        self.copied += written as u64;
        self.rest = buffer[written..len].to_vec();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_rest<B: StreamFamily>(
        &mut self,
        cx: &mut Context<'_>,
        to: &ByteStream<B>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.rest.len() {
            match ready!(to.poll_write(cx, &self.rest[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => {
                    self.written += len;
                    self.copied += len as u64;
                }
            }
        }
        self.rest = Vec::new(); // gives the memory back
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}
