//! In place of HTTP/2 where the feature `http2` is off: no connection gets here, since none is taken for HTTP/2.

use std::io;
use std::rc::Rc;

use super::connection::{Connection, End, Transport};
use super::registry::Member;
use super::watch::Watch;
use crate::joint::wire::Wire;

/// Whether it is offered by default.
pub(crate) const IS_SPOKEN: bool = false;

pub(crate) async fn serve<H, S: Transport>(
    _connection: Rc<Connection<H>>,
    _wire: Wire<S, Rc<Watch>>,
    _member: Member,
) -> Result<(), End> {
    Err(io::Error::from(io::ErrorKind::Unsupported).into())
}

/// The protocol that an extended CONNECT asks for: there is no such request.
#[cfg(any(feature = "ws", feature = "socketio"))]
pub(crate) fn asked_protocol<B>(_: &http::Request<B>) -> Option<&str> {
    None
}
