//! Answers that go on for long, over HTTP/1.1: once hyper has written the head it has nothing more to do, and its buffers for
//! heads, and the task that served requests, are 20 KB of memory. The rest of such an answer is written here.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderValue, Response};

use super::body::Body;
use super::channel::{BodyReceiver, BodySender};
use super::connection::{End, Served, Transport, linger};
use super::error::{BodyError, BoxError, Fault, Trouble};
use super::registry::Member;
use super::watch::{Due, UnderWay, Watch};

/// Bytes that a peer may send behind its last request: more than the end of a pipeline is an attack.
const IGNORED_MAX: usize = 64 * 1024;

/// The place where an answer is taken apart: its head goes to hyper, its body is kept.
#[derive(Default)]
pub(crate) struct Lasting(RefCell<Option<Parted>>);

struct Parted {
    body: LastBody,
    /// Feeds the body that hyper has, with nothing.
    quiet: BodySender,
}

/// What is still to be sent on a connection.
pub(crate) struct LastBody {
    receiver: BodyReceiver,
    /// The request, which goes on.
    _under_way: UnderWay,
}

impl Lasting {
    /// Takes the body of an answer that lasts.
    pub(crate) fn part(&self, response: &mut Response<Body>, under_way: &mut UnderWay) {
        let Some(receiver) = response.body_mut().take_lasting() else { return };
        let (quiet, body) = Body::channel(0);
        *response.body_mut() = body;
        // The rest goes out in chunks, whatever a handler has said.
        response.headers_mut().remove(CONTENT_LENGTH);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let body = LastBody { receiver, _under_way: under_way.share() };
        self.0.replace(Some(Parted { body, quiet }));
    }

    /// True once hyper has written the head, and asks for the body.
    pub(crate) fn is_due(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|parted| parted.quiet.is_awaited())
    }

    pub(crate) fn take(&self) -> Option<LastBody> {
        self.0.take().map(|parted| parted.body)
    }
}

/// A connection that has an answer to finish, and nothing else.
pub(crate) struct Tail<S> {
    stream: S,
    body: LastBody,
    watch: Rc<Watch>,
    member: Member,
    /// A piece in its chunk, and how much of it was written.
    chunk: Vec<u8>,
    written: usize,
    ended: bool,
    /// Why the answer ended before it was whole.
    broken: Option<BodyError>,
    ignored: usize,
}

impl<S: Transport> Tail<S> {
    pub(crate) fn new(stream: S, body: LastBody, watch: Rc<Watch>, member: Member) -> Self {
        let (chunk, written, ended, broken, ignored) = (Vec::new(), 0, false, None, 0);
        Self { stream, body, watch, member, chunk, written, ended, broken, ignored }
    }

    /// Writes the rest of the answer, and closes the connection.
    pub(crate) async fn serve<H>(mut self, served: Rc<Served<H>>) {
        let ended = poll_fn(|cx| self.poll(cx, &served)).await;
        let Self { stream, member, .. } = self;
        let error: BoxError = match ended {
            // Boxed: it is as long as the rest, and is not there while the answer goes on.
            Ok(()) => return Box::pin(linger(&served.lp, &served.limits, stream)).await,
            Err(End::Fault(Fault::Silent | Fault::Cut)) => return,
            Err(End::Fault(fault)) => fault.into(),
            Err(End::Broken(error)) => error,
        };
        served.tell(&Trouble::Connection { peer: member.entry().peer, error });
    }

    fn poll<H>(&mut self, cx: &mut Context<'_>, served: &Served<H>) -> Poll<Result<(), End>> {
        self.member.entry().listen(cx);
        if self.member.entry().is_cut() {
            return Poll::Ready(Err(End::Fault(Fault::Cut)));
        }
        let written = self.poll_write(cx)?;
        // What encrypts has records to write. Both wake this task when they can go on.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx)?;
        let drained = self.stream.cork().poll_drain(cx)?;
        if written.is_ready() && flushed.is_ready() && drained.is_ready() {
            return Poll::Ready(self.broken.take().map_or(Ok(()), |error| Err(End::Broken(error.into()))));
        }
        if served.scratch.with(|buf| self.poll_gone(cx, buf)).is_ready() {
            return Poll::Ready(Err(End::Fault(Fault::Silent)));
        }
        match ready!(self.watch.poll_due(cx, self.stream.cork())) {
            Due::End(fault) => Poll::Ready(Err(End::Fault(fault))),
            Due::Idle => Poll::Ready(Ok(())),
        }
    }

    /// Ready when the answer is over, and all of it is in the stream.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            while self.written < self.chunk.len() {
                self.written +=
                    ready!(Pin::new(&mut self.stream).poll_write(cx, &self.chunk[self.written..]))?;
            }
            (self.chunk, self.written) = (Vec::new(), 0); // a silent client owns none
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(self.body.receiver.poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers have no place behind what lasts: nobody announced them.
                    let Ok(piece) = frame.into_data() else { continue };
                    self.chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                    self.chunk.extend_from_slice(&piece);
                    self.chunk.extend_from_slice(b"\r\n");
                }
                None => (self.chunk, self.ended) = (b"0\r\n\r\n".to_vec(), true),
                // Without the last chunk, the peer sees that something is missing. What was written before still goes out.
                Some(Err(error)) => (self.broken, self.ended) = (Some(error), true),
            }
        }
    }

    /// Ready when the peer is gone, or says more than it has to.
    fn poll_gone(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<()> {
        while self.ignored < IGNORED_MAX {
            match ready!(Pin::new(&mut self.stream).poll_read(cx, buf)) {
                Ok(len @ 1..) => self.ignored += len,
                Ok(0) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }
}
