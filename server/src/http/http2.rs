//! Serving HTTP/2 through hyper and h2.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http::Request;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::server::conn::http2;
use hyper::service::{HttpService, service_fn};
use phaseloop::LoopHandle;

use super::connection::{Connection, Driven, End, Transport, drive, linger};
use super::error::Fault;
use super::exchange::answer;
use super::handler::Handler;
use super::registry::Member;
use super::watch::Watch;
use crate::joint::runtime::LoopTimer;
use crate::joint::wire::Wire;

/// Whether it is offered by default.
pub(crate) const IS_SPOKEN: bool = true;

/// The protocol that an extended CONNECT asks for. RFC 8441.
#[cfg(any(feature = "ws", feature = "socketio"))]
pub(crate) fn asked_protocol<B>(request: &http::Request<B>) -> Option<&str> {
    let protocol = request.extensions().get::<hyper::ext::Protocol>();
    protocol.filter(|_| request.method() == http::Method::CONNECT).map(|protocol| protocol.as_str())
}

pub(crate) async fn serve<H: Handler, S: Transport>(
    connection: Rc<Connection<H>>,
    wire: Wire<S, Rc<Watch>>,
    member: Member,
) -> Result<(), End> {
    let (lp, limits) = (&connection.served.lp, &connection.served.limits);
    let cork = wire.stream().cork().clone();
    let begins = Begins { lp: lp.clone(), is_whole: Rc::default() };
    let is_whole = Rc::clone(&begins.is_whole);
    let mut builder = http2::Builder::new(begins);
    builder.timer(LoopTimer::new(lp));
    builder.max_header_list_size(u32::try_from(limits.head_len_max).unwrap_or(u32::MAX));
    builder.max_concurrent_streams(limits.streams_per_connection_max);
    builder.max_send_buf_size(limits.stream_send_buffer_len_max);
    builder.enable_connect_protocol();
    let service = {
        let connection = Rc::clone(&connection);
        service_fn(move |request: Request<Incoming>| {
            is_whole.set(request.body().is_end_stream());
            let connection = Rc::clone(&connection);
            async move { answer(&connection, request).await }
        })
    };
    // The cork takes what is short, and the list of buffers would cost more than a second write into it. TLS makes one record of a list.
    let wire = if connection.info.tls.is_none() { wire.one_by_one() } else { wire };
    let mut driven = builder.serve_connection(wire, service);
    let ended = drive(&connection, &cork, member.entry(), &mut driven).await;
    drop(driven);
    // A GOAWAY that says why may still be on its way.
    if !matches!(ended, Err(End::Fault(Fault::Cut | Fault::WriteStall))) {
        linger(lp, limits, cork).await;
    }
    ended
}

/// Where streams begin. A request that came whole is handled where it was read: most are answered by then, and never wait in a queue. One with
/// a body is a task, behind what of the body is here already: its length may be wrong, which goes before any answer.
#[derive(Clone)]
struct Begins {
    lp: LoopHandle,
    /// Whether the request that the service was called with last, whose stream begins next, has no body.
    is_whole: Rc<Cell<bool>>,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Begins {
    fn execute(&self, stream: F) {
        let task = if self.is_whole.take() { self.lp.spawn_now(stream) } else { self.lp.spawn(stream) };
        task.detach();
    }
}

impl<I, S, E> Driven for http2::Connection<I, S, E>
where
    S: HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    E: Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        Pin::new(self).poll(cx)
    }

    fn wind_down(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}
