//! In place of HTTP/2 where the feature `http2` is off.

use std::convert::Infallible;
use std::future::{Pending, pending};
use std::io;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use phaseloop::LoopHandle;

use super::connect::Unwatched;
use super::kept::Sender;
use crate::http::Body;
use crate::joint::cork::Cork;
use crate::joint::wire::Wire;

/// There is none.
#[derive(Clone)]
pub(super) struct Http2Sender(Infallible);

impl Http2Sender {
    pub(super) fn is_closed(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn try_send_request(
        &mut self,
        _: Request<Body>,
    ) -> Pending<Result<Response<Incoming>, TrySendError<Request<Body>>>> {
        pending()
    }
}

pub(super) async fn speak<S>(_: &LoopHandle, _: Wire<S, Unwatched>, _: Cork) -> io::Result<Sender> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "HTTP/2 needs the feature `http2`"))
}
