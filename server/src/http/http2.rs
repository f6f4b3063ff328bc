//! Serving HTTP/2 through hyper and h2.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

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
    let mut builder = http2::Builder::new(AtOnce(lp.clone()));
    builder.timer(LoopTimer::new(lp));
    builder.max_header_list_size(u32::try_from(limits.head_len_max).unwrap_or(u32::MAX));
    builder.max_concurrent_streams(limits.streams_per_connection_max);
    builder.max_send_buf_size(limits.stream_send_buffer_len_max);
    builder.enable_connect_protocol();
    let service = {
        let connection = Rc::clone(&connection);
        service_fn(move |request| {
            let connection = Rc::clone(&connection);
            async move { answer(&connection, request).await }
        })
    };
    // Frames are short: the cork takes them, and the list of buffers would cost more than a second write into it.
    let mut driven = builder.serve_connection(wire.one_by_one(), service);
    let ended = drive(&connection, &cork, member.entry(), &mut driven).await;
    drop(driven);
    // A GOAWAY that says why may still be on its way.
    if !matches!(ended, Err(End::Fault(Fault::Cut | Fault::WriteStall))) {
        linger(lp, limits, cork).await;
    }
    ended
}

/// Begins with a stream where it came: most are answered by then, and never wait in a queue.
#[derive(Clone)]
struct AtOnce(LoopHandle);

impl<F: Future<Output = ()> + 'static> Executor<F> for AtOnce {
    fn execute(&self, stream: F) {
        self.0.spawn_now(stream).detach();
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
