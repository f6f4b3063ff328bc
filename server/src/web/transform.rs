//! A body that goes through a writer on its way: what compresses and decompresses.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fs_pool::compress::{CompressError, CompressWriter};
use futures_io::AsyncWrite;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::http::{Body, BodyError, BodySender, Bytes, StatusCode, StatusError};

/// Bytes that wait to be read on the other side.
const HIGH_WATER: usize = 64 * 1024;

/// What comes out of a writer when `body` goes in.
pub(super) fn through(
    body: Body,
    make: impl FnOnce(Sink) -> Result<CompressWriter<Sink>, CompressError>,
) -> Result<Body, CompressError> {
    let (sender, receiver) = Body::channel(HIGH_WATER);
    let writer = make(Sink(Some(sender)))?;
    Ok(Body::wrap(Driven { pump: Some(Box::pin(pump(body, writer))), receiver }))
}

/// Moves a body through a writer. Each piece is flushed: who sends one has a reason to.
async fn pump<W: AsyncWrite + Unpin>(mut body: Body, mut writer: W) -> io::Result<()> {
    while let Some(piece) = body.chunk().await {
        let mut piece = piece.map_err(io::Error::other)?;
        while !piece.is_empty() {
            let written = std::future::poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, &piece)).await?;
            drop(piece.split_to(written));
        }
        std::future::poll_fn(|cx| Pin::new(&mut writer).poll_flush(cx)).await?;
    }
    std::future::poll_fn(|cx| Pin::new(&mut writer).poll_close(cx)).await
}

/// A body that is made by a future, which runs while it is read: no task, and dropped with it.
struct Driven {
    pump: Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>,
    receiver: Body,
}

impl HttpBody for Driven {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
        if let Some(pump) = &mut self.pump {
            match pump.as_mut().poll(cx) {
                Poll::Ready(Err(error)) => {
                    (self.pump, self.receiver) = (None, Body::empty()); // whoever reads on finds the end
                    return Poll::Ready(Some(Err(blame(error))));
                }
                Poll::Ready(Ok(())) => self.pump = None,
                Poll::Pending => {}
            }
        }
        Pin::new(&mut self.receiver).poll_frame(cx)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// A body's sender as something to write to.
pub(super) struct Sink(Option<BodySender>);

impl AsyncWrite for Sink {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Some(sender) = &mut self.0 else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        ready!(sender.poll_ready(cx));
        match sender.try_send(buf.to_vec()) {
            Ok(()) => Poll::Ready(Ok(buf.len())),
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(sender) = self.0.take() {
            sender.finish();
        }
        Poll::Ready(Ok(()))
    }
}

/// Says what went wrong as what it is to whoever sent the bytes.
fn blame(error: io::Error) -> BodyError {
    let status = match error.kind() {
        io::ErrorKind::FileTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => StatusCode::BAD_REQUEST,
        // What the body itself failed with is inside.
        _ => {
            return BodyError::Other(
                error.into_inner().unwrap_or_else(|| io::Error::other("the body failed").into()),
            );
        }
    };
    BodyError::Other(StatusError::new(status, error.to_string()).into())
}
