//! One request and its answer: between hyper and the handler.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use phaseloop::channel::oneshot;
use pin_project_lite::pin_project;

use super::body::{Body, TakesOver};
use super::connection::{Connection, Served};
use super::error::{BodyError, BoxError, StatusError, Trouble, status_of};
use super::handler::Handler;
use super::upgrade::Upgrader;
use super::watch::UnderWay;
use crate::proto::host::is_host;

/// Answers a request. The request counts as under way from this call on, not from the first poll.
pub(crate) fn answer<H: Handler>(
    connection: &Connection<H>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Outgoing>, Infallible>> {
    let mut under_way = connection.watch.begin();
    let asked = Asked::by(connection, &request);
    let (step, upgrader) = match refusal(connection, &request) {
        Some(error) => (Step::Refused { error }, None),
        None => {
            let mut request = request.map(|incoming| Body::received(incoming, connection, &mut under_way));
            let upgrader = offer_takeover(&mut request, &mut under_way);
            (Step::Handled { future: connection.served.handler.handle(request) }, upgrader)
        }
    };
    Exchange { connection, asked, upgrader, under_way: Some(under_way), step }
}

pin_project! {
    /// A request that is being answered. Not an async function, which would hold the request several times, and copy it each time.
    struct Exchange<'a, H, F> {
        connection: &'a Connection<H>,
        asked: Asked,
        upgrader: Option<Upgrader>,
        // `None` once it is answered.
        under_way: Option<UnderWay>,
        #[pin]
        step: Step<F>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        // No handler sees it.
        Refused { error: StatusError },
        Handled {
            #[pin]
            future: F,
        },
    }
}

/// What must be known of a request when it is answered, and the request is gone.
struct Asked {
    version: Version,
    is_get: bool,
    is_connect: bool,
    /// The connection takes no more.
    is_last: bool,
    /// What errors are told with, where anybody wants to hear of them.
    told: Option<Box<(Method, Uri)>>,
}

impl Asked {
    fn by<H>(connection: &Connection<H>, request: &Request<Incoming>) -> Self {
        let Served { limits, on_trouble, .. } = &*connection.served;
        Self {
            version: request.version(),
            is_get: request.method() == Method::GET,
            is_connect: request.method() == Method::CONNECT,
            is_last: connection.watch.requests() >= limits.requests_per_connection_max,
            told: on_trouble.as_ref().map(|_| Box::new((request.method().clone(), request.uri().clone()))),
        }
    }
}

impl<H, F: Future<Output = Result<Response<Body>, BoxError>>> Future for Exchange<'_, H, F> {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.step.project() {
            StepProjection::Refused { error } => text(error, true),
            StepProjection::Handled { future } => match ready!(future.poll(cx)) {
                Ok(response) => response,
                Err(error) => {
                    *this.upgrader = None;
                    failure(this.connection, this.asked, error)
                }
            },
        };
        let mut under_way = this.under_way.take().expect("a future that is done is not polled");
        finish(this.connection, this.asked, this.upgrader.take(), &mut response, &mut under_way);
        Poll::Ready(Ok(response.map(|body| Outgoing { body, gave: false, under_way })))
    }
}

/// What the connection adds to an answer, and takes from it.
fn finish<H>(
    connection: &Connection<H>,
    asked: &Asked,
    upgrader: Option<Upgrader>,
    response: &mut Response<Body>,
    under_way: &mut UnderWay,
) {
    if asked.version == Version::HTTP_2 {
        return;
    }
    let status = response.status();
    let agrees = status == StatusCode::SWITCHING_PROTOCOLS || (asked.is_connect && status.is_success());
    if agrees && upgrader.is_some() {
        connection.agreed.set(upgrader);
    } else if asked.is_last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if asked.version == Version::HTTP_11 && asked.is_get && status == StatusCode::OK {
        connection.lasting.part(response, under_way);
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
        (host, _) => authority_fault(request, host)?,
    };
    Some(StatusError::new(StatusCode::BAD_REQUEST, fault))
}

/// What is wrong with the authority of a target, where it names one: always in HTTP/2. RFC 9113, section 8.3.1.
fn authority_fault(request: &Request<Incoming>, host: Option<&HeaderValue>) -> Option<&'static str> {
    let authority = request.uri().authority()?.as_str().as_bytes();
    if !is_host(authority) {
        return Some("the authority is none");
    }
    let differs = |host: &HeaderValue| !host.as_bytes().eq_ignore_ascii_case(authority);
    let is_other = request.version() == Version::HTTP_2 && host.is_some_and(differs);
    is_other.then_some("the Host is another than the authority")
}

/// Has a request take its connection over, if it asks for that. Gives the way on which the connection is handed over.
fn offer_takeover(request: &mut Request<Body>, under_way: &mut UnderWay) -> Option<Upgrader> {
    let is_connect = request.method() == Method::CONNECT;
    // hyper leaves something in the extensions of whoever asks for an upgrade, and is quicker to ask than all fields.
    let asks = is_connect || (!request.extensions().is_empty() && request.headers().contains_key(UPGRADE));
    match request.version() {
        Version::HTTP_11 if asks => {
            let (upgrader, receiver) = oneshot();
            request.body_mut().set_takes_over(TakesOver::Http1(receiver));
            return Some(upgrader);
        }
        Version::HTTP_2 if is_connect => {
            request.body_mut().set_takes_over(TakesOver::Http2(under_way.share()));
        }
        _ => {}
    }
    None
}

/// The answer to a request whose handler failed. Whoever wants to hear of it does.
fn failure<H>(connection: &Connection<H>, asked: &mut Asked, error: BoxError) -> Response<Body> {
    let Answered { mut response, error } = Answered::of(error);
    let status = response.status();
    // A body that was not read stands between this answer and the next request. hyper knows; the peer should too.
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(told) = asked.told.take() {
        let (method, uri) = *told;
        connection.served.tell(&Trouble::Handler { method, uri, status, error });
    }
    response
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
    error.add_headers(headers);
    if closes {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The body of an answer on its way out.
pub(crate) struct Outgoing {
    body: Body,
    /// hyper has a piece and has not asked for the next one.
    gave: bool,
    under_way: UnderWay,
}

impl Outgoing {
    fn asked(&mut self) {
        if std::mem::take(&mut self.gave) {
            self.under_way.watch().piece_was_taken();
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
            self.under_way.watch().gave_piece();
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
