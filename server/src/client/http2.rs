//! HTTP/2 for a client.

use std::future::Future;
use std::io;

use hyper::client::conn::http2;
use hyper::rt::Executor;
use phaseloop::LoopHandle;

use super::connect::{Unwatched, drive};
use super::kept::Sender;
use crate::http::Body;
use crate::joint::cork::Cork;
use crate::joint::runtime::LoopTimer;
use crate::joint::wire::Wire;

/// The end of a connection that takes requests. Clones are the same connection.
pub(super) type Http2Sender = http2::SendRequest<Body>;

/// Spawns hyper's tasks, none of which keeps the loop alive: whoever waits for an answer does.
#[derive(Clone)]
struct Background(LoopHandle);

impl<F> Executor<F> for Background
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future).unref();
    }
}

pub(super) async fn speak<S>(lp: &LoopHandle, wire: Wire<S, Unwatched>, cork: Cork) -> io::Result<Sender>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin + 'static,
{
    // hyper polls a client's connection in a task of its own, which drains nothing. h2 gathers its frames itself.
    cork.uncork();
    let mut builder = http2::Builder::new(Background(lp.clone()));
    builder.timer(LoopTimer::new(lp));
    let (sender, connection) = builder.handshake::<_, Body>(wire).await.map_err(io::Error::other)?;
    drive(lp, connection, cork);
    Ok(Sender::Http2(sender))
}
