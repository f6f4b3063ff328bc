//! Serving HTTP/1.1 through hyper.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};

use super::answers;
use super::connection::{Connection, Driven, End, Transport, drive, linger, refuse};
use super::error::Fault;
use super::exchange::answer;
use super::handler::Handler;
use super::lasting::Tail;
use super::registry::Member;
use super::watch::Watch;
use crate::joint::runtime::LoopTimer;
use crate::joint::wire::Wire;

/// hyper wants at least this much.
const HEAD_LEN_MIN: usize = 8192;

pub(crate) async fn serve<H: Handler, S: Transport>(
    connection: Rc<Connection<H>>,
    wire: Wire<S, Rc<Watch>>,
    member: Member,
) -> Result<(), End> {
    let (served, cork) = (Rc::clone(&connection.served), wire.stream().cork().clone());
    let head_len_max = served.limits.head_len_max.max(HEAD_LEN_MIN);
    let mut builder = http1::Builder::new();
    // Deadlines are the watch's; hyper's own for heads has no answer and counts the time between requests too.
    builder.header_read_timeout(None).timer(LoopTimer::new(&served.lp));
    builder.max_header_size(head_len_max).max_headers(served.limits.header_count_max);
    // hyper would read on while a handler works, to notice when the peer goes, and into a fresh buffer since the request holds the
    // present one. The wire notices it instead.
    builder.half_close(true);
    // The buffer must hold the longest head. It bounds how far bodies are read ahead, too.
    builder.max_buf_size(head_len_max);
    let service = service_fn(|request| answer(&connection, request));
    let mut driven = builder.serve_connection(wire, service);
    let ended = drive(&connection, &cork, member.entry(), &mut driven).await;

    let parts = driven.into_parts();
    let (stream, ahead) = parts.io.into_parts();
    if let (Ok(()), Some(upgrader)) = (&ended, connection.agreed.take()) {
        retire(&connection.watch, &member);
        // Given back if nobody wants it, and closed by that.
        // A copy: a part of hyper's buffer would keep all of it, mostly for nothing.
        let first = [&*parts.read_buf, &*ahead].concat();
        let _ = upgrader.send(stream.into_upgraded(first.into(), member));
        return Ok(());
    }
    if let (Ok(()), Some(body)) = (&ended, connection.lasting.take()) {
        retire(&connection.watch, &member);
        let tail = Tail::new(stream, body, Rc::clone(&connection.watch), member);
        served.lp.spawn(tail.serve(Rc::clone(&served))).detach();
        return Ok(());
    }
    match ended {
        Err(End::Fault(Fault::SlowHead)) => refuse(&served, stream, answers::REQUEST_TIMEOUT).await?,
        Err(End::Fault(Fault::LongUri)) => refuse(&served, stream, answers::URI_TOO_LONG).await?,
        Err(End::Fault(_)) => {}
        // What hyper answered to bad input may still be on its way.
        Ok(()) | Err(End::Broken(_)) => linger(&served.lp, &served.limits, stream).await,
    }
    ended
}

/// Another task serves the connection from now on. What is left of this one would keep its memory.
fn retire(watch: &Watch, member: &Member) {
    watch.retire();
    member.entry().hand_over();
}

impl<I, S, B> Driven for http1::Connection<I, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: HttpBody + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn poll_serve(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        Pin::new(self).poll(cx)
    }

    fn wind_down(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}
