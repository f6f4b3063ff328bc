//! HTTP/2 for a client.

use std::io;

use hyper::client::conn::http2;
use phaseloop::LoopHandle;

use super::connect::{Unwatched, drive};
use super::kept::Sender;
use crate::http::Body;
use crate::joint::cork::Cork;
use crate::joint::runtime::{LoopExecutor, LoopTimer};
use crate::joint::wire::Wire;

/// The end of a connection that takes requests. Clones are the same connection.
pub(super) type Http2Sender = http2::SendRequest<Body>;

pub(super) async fn speak<S>(lp: &LoopHandle, wire: Wire<S, Unwatched>, cork: Cork) -> io::Result<Sender>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin + 'static,
{
    // hyper polls a client's connection in a task of its own, which drains nothing. h2 gathers its frames itself.
    cork.uncork();
    let mut builder = http2::Builder::new(LoopExecutor::new(lp));
    builder.timer(LoopTimer::new(lp));
    let (sender, connection) = builder.handshake::<_, Body>(wire).await.map_err(io::Error::other)?;
    drive(lp, connection, cork);
    Ok(Sender::Http2(sender))
}
