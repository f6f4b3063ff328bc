//! One request and its answer: between hyper and the handler.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use phaseloop::channel::oneshot;

use super::body::{Body, Riding};
use super::connection::Connection;
use super::error::{BodyError, BoxError, StatusError, Trouble, status_of};
use super::handler::Handler;
use super::upgrade::Upgrader;
use super::watch::{UnderWay, Watch};
use crate::proto::host::is_host;

/// Answers a request. The request counts as under way from this call on, not from the first poll.
pub(crate) fn answer<H: Handler>(
    connection: Rc<Connection<H>>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Outgoing>, Infallible>> {
    let under_way = connection.watch.begin();
    async move {
        let (version, is_connect) = (request.version(), request.method() == Method::CONNECT);
        let is_get = request.method() == Method::GET;
        let is_last = connection.watch.requests() >= connection.served.limits.requests_per_connection_max;
        let (mut response, upgrader) = match refusal(&connection, &request) {
            Some(error) => (text(&error, true), None),
            None => handled(&connection, request, &under_way).await,
        };
        if version != Version::HTTP_2 {
            let status = response.status();
            let agrees = status == StatusCode::SWITCHING_PROTOCOLS || (is_connect && status.is_success());
            if agrees && upgrader.is_some() {
                connection.agreed.set(upgrader);
            } else if is_last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
        }
        if version == Version::HTTP_11 && is_get && response.status() == StatusCode::OK {
            connection.lasting.part(&mut response, &under_way);
        }
        let watch = Rc::clone(&connection.watch);
        Ok(response.map(|body| Outgoing { body, watch, gave: false, _under_way: under_way }))
    }
}

/// What is wrong with a request before a handler sees it.
fn refusal<H>(connection: &Connection<H>, request: &Request<Incoming>) -> Option<StatusError> {
    let (uri, headers) = (request.uri(), request.headers());
    let uri_len = uri.path_and_query().map_or(0, |path| path.as_str().len());
    if uri_len > connection.served.limits.uri_len_max {
        return Some(StatusCode::URI_TOO_LONG.into());
    }
    // RFC 9112, section 3.2: 400 for HTTP/1.1 without a Host, and for any request with two or with one that is none.
    let mut hosts = headers.get_all(HOST).iter();
    let fault = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => "a request needs a Host",
        (_, Some(_)) => "a request has one Host",
        (Some(host), _) if !is_host(host.as_bytes()) => "the Host is none",
        _ => return None,
    };
    Some(StatusError::new(StatusCode::BAD_REQUEST, fault))
}

async fn handled<H: Handler>(
    connection: &Rc<Connection<H>>,
    request: Request<Incoming>,
    under_way: &Rc<UnderWay>,
) -> (Response<Body>, Option<Upgrader>) {
    let served = &connection.served;
    let is_connect = request.method() == Method::CONNECT;
    let asks = is_connect || request.headers().contains_key(UPGRADE);
    let (upgrader, upgraded) = (asks && request.version() == Version::HTTP_11).then(oneshot).unzip();
    let told = served.on_trouble.as_ref().map(|_| (request.method().clone(), request.uri().clone()));
    let request = request.map(|incoming| {
        let mut body = Body::received(incoming, &served.limits, &served.lp);
        let takes_over = is_connect && upgraded.is_none();
        let riding = Riding {
            connection: Rc::clone(&connection.info),
            upgraded,
            under_way: takes_over.then(|| Rc::clone(under_way)),
        };
        body.set_riding(riding, under_way);
        body
    });
    match served.handler.handle(request).await {
        Ok(response) => (response, upgrader),
        Err(error) => {
            let Answered { mut response, error } = Answered::of(error);
            let status = response.status();
            // A body that was not read stands between this answer and the next request. hyper knows; the peer should too.
            if status == StatusCode::PAYLOAD_TOO_LARGE {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if let Some((method, uri)) = told {
                served.tell(&Trouble::Handler { method, uri, status, error });
            }
            (response, None)
        }
    }
}

/// An error with the answer to it. A handler that fails with one has its answer sent, and the error within told of.
pub(crate) struct Answered {
    pub(crate) response: Response<Body>,
    pub(crate) error: BoxError,
}

impl Answered {
    /// What an error is answered with: its own answer, or a text.
    pub(crate) fn of(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(answered) => *answered,
            Err(error) => Self { response: text(&status_of(&*error), false), error },
        }
    }
}

impl Error for Answered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

fn text(error: &StatusError, closes: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{}\n", error.message())));
    *response.status_mut() = error.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The body of an answer on its way out.
pub(crate) struct Outgoing {
    body: Body,
    watch: Rc<Watch>,
    /// hyper has a piece and has not asked for the next one.
    gave: bool,
    _under_way: Rc<UnderWay>,
}

impl Outgoing {
    fn asked(&mut self) {
        if std::mem::take(&mut self.gave) {
            self.watch.piece_was_taken();
        }
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.asked();
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_some() {
            self.gave = true;
            self.watch.gave_piece();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.asked();
    }
}
