//! What answers requests: an async function, or anything else that is one.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::Body;
use super::error::BoxError;

/// Answers requests. Every `async fn(Request<Body>) -> impl IntoResponse` and closure of that shape is one.
///
/// Nothing here needs to be `Send`: a handler may hold an `Rc`, and a `Cell` in it.
///
/// # Cancel safety
/// The future is dropped when the peer goes away before it is answered.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use phaseloop_server::http::{Body, Handler, Request};
///
/// fn counting() -> impl Handler {
///     let count = Rc::new(Cell::new(0));
///     async move |_: Request<Body>| {
///         count.set(count.get() + 1);
///         format!("request number {}\n", count.get())
///     }
/// }
/// # drop(counting());
/// ```
pub trait Handler: 'static {
    /// Answers one request.
    ///
    /// # Errors
    /// Become an answer: the one that a [`StatusError`](super::StatusError) in the chain of causes says, 413 or 408 for a
    /// body that broke a limit, or 500. They are told to [`Server::on_trouble`](super::Server::on_trouble).
    ///
    /// # Cancel safety
    /// The server drops the future where it stands when its peer goes away, or the connection is cut: what must come to its end then
    /// belongs into a task of its own.
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Result<Response<Body>, BoxError>>;
}

impl<F, R> Handler for F
where
    F: AsyncFn(Request<Body>) -> R + 'static,
    R: IntoResponse,
{
    fn handle(&self, request: Request<Body>) -> impl Future<Output = Result<Response<Body>, BoxError>> {
        Answering { future: self(request) }
    }
}

pin_project! {
    /// A handler's future. An async function around it would hold the request once more, and copy it.
    struct Answering<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future<Output: IntoResponse>> Future for Answering<F> {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(IntoResponse::into_response)
    }
}

/// What a handler may return.
pub trait IntoResponse {
    /// Makes the answer of it.
    ///
    /// # Errors
    /// The handler's own.
    fn into_response(self) -> Result<Response<Body>, BoxError>;
}

impl<B: Into<Body>> IntoResponse for Response<B> {
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        Ok(self.map(Into::into))
    }
}

impl<T: IntoResponse, E: Into<BoxError>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        self.map_err(Into::into)?.into_response()
    }
}

impl IntoResponse for Infallible {
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        match self {}
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Ok(response)
    }
}

impl IntoResponse for () {
    /// An answer without a body.
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        Ok(Response::new(Body::empty()))
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        let mut response = self.1.into_response()?;
        *response.status_mut() = self.0;
        Ok(response)
    }
}

macro_rules! answers_as {
    ($media_type:literal: $($type:ty),*) => {
        $(impl IntoResponse for $type {
            fn into_response(self) -> Result<Response<Body>, BoxError> {
                let mut response = Response::new(Body::from(self));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static($media_type));
                Ok(response)
            }
        })*
    };
}

answers_as!("text/plain; charset=utf-8": &'static str, String);
answers_as!("application/octet-stream": &'static [u8], Vec<u8>, Bytes);

/// A handler that is a [`tower_service::Service`]: what middleware of the tower family wraps.
///
/// The service is cloned for each request, as that family expects, and waited for until it is ready.
#[derive(Clone, Debug)]
pub struct FromTower<S> {
    service: RefCell<S>,
}

impl<S> FromTower<S> {
    /// A handler of a service.
    pub fn new(service: S) -> Self {
        Self { service: RefCell::new(service) }
    }
}

impl<S, B> Handler for FromTower<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        // The one that was made ready must be called; the fresh clone is for the next request.
        let fresh = self.service.borrow().clone();
        let mut service = self.service.replace(fresh);
        poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
        let response = service.call(request).await.map_err(Into::into)?;
        Ok(response.map(Body::wrap))
    }
}

/// A [`tower_service::Service`] that is one of our handlers: for libraries that take services.
#[derive(Debug)]
pub struct ToTower<H> {
    handler: Rc<H>,
}

impl<H: Handler> ToTower<H> {
    /// A service of a handler.
    pub fn new(handler: H) -> Self {
        Self { handler: Rc::new(handler) }
    }
}

impl<H> Clone for ToTower<H> {
    fn clone(&self) -> Self {
        Self { handler: Rc::clone(&self.handler) }
    }
}

impl<H: Handler> Service<Request<Body>> for ToTower<H> {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>>>>;

    /// Always ready: what bounds a server is [`Limits`](super::Limits).
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let handler = Rc::clone(&self.handler);
        Box::pin(async move { handler.handle(request).await })
    }
}
