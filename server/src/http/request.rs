//! What a request of our server can tell beyond what every `http::Request` can.

use std::net::SocketAddr;

use http::Request;

use super::body::Body;
use super::connection::ConnectionInfo;

/// What is known of the connection a request came on.
///
/// It is there until the body is taken out of the request and read.
///
/// # Examples
/// ```
/// use phaseloop_server::http::{Body, Request, RequestExt};
///
/// async fn who(request: Request<Body>) -> String {
///     match request.peer_addr() {
///         Some(peer) => format!("you are {peer}\n"),
///         None => "this request came from no connection\n".to_owned(),
///     }
/// }
/// # drop(who(Request::new(Body::empty())));
/// ```
pub trait RequestExt {
    /// The connection; `None` if the request came from no server of ours.
    fn connection(&self) -> Option<&ConnectionInfo>;

    /// The other end of the connection.
    fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection().map(|connection| connection.peer)
    }
}

impl RequestExt for Request<Body> {
    fn connection(&self) -> Option<&ConnectionInfo> {
        self.body().connection().map(|connection| &**connection)
    }
}
