//! From a request to a WebSocket.

use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;

use http::header::{
    CONNECTION, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};

use super::connection::Connection;
use super::deflate::{self, Agreed};
use super::handshake;
use super::link::Link;
use super::opening::{Shared, Terms};
use super::options::WsOptions;
use super::sender::WsSender;
use super::served;
use super::socket::{WebSocket, WsCallbacks};
use crate::http::{Body, StatusError, Upgrading, asked_protocol, upgrade};
use crate::proto::websocket::Role;

/// Accepts WebSockets, over HTTP/1.1 and HTTP/2. Clones share what connections can share: make one and keep it.
///
/// # Examples
/// ```
/// use phaseloop_server::http::{Body, Handler, Request, Server};
/// use phaseloop_server::ws::{Acceptor, WsOptions};
///
/// fn echo_server() -> Server<impl Handler> {
///     let acceptor = Acceptor::new(WsOptions::default());
///     Server::new(move |request: Request<Body>| {
///         let response = acceptor.answer(request, async |mut socket| {
///             while let Some(message) = socket.next().await {
///                 if socket.send(message).await.is_err() {
///                     break;
///                 }
///             }
///         });
///         async { response }
///     })
/// }
/// # drop(echo_server());
/// ```
#[derive(Clone)]
pub struct Acceptor {
    shared: Shared,
    protocols: Rc<[Box<str>]>,
    origin: Option<Rc<OriginCheck>>,
}

type OriginCheck = dyn Fn(Option<&str>, &Request<Body>) -> bool;

impl Acceptor {
    /// Accepts connections with these limits and times, from anywhere.
    pub fn new(options: WsOptions) -> Self {
        Self { shared: Shared::new(options), protocols: Rc::default(), origin: None }
    }

    /// Speaks these subprotocols. The client's first one among them is chosen; if there is none, the connection is made without.
    pub fn protocols<P: Into<Box<str>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Lets `check` say whether a page of that origin may connect; it is answered with 403 if not. There is an origin where a
    /// browser asks: without this check, any page that a user visits can connect with the user's cookies.
    pub fn origin(mut self, check: impl Fn(Option<&str>, &Request<Body>) -> bool + 'static) -> Self {
        self.origin = Some(Rc::new(check));
        self
    }

    /// Compresses messages where the client offers it: permessage-deflate, RFC 7692.
    #[cfg(feature = "ws-deflate")]
    pub fn deflate(mut self, options: super::DeflateOptions) -> Self {
        self.shared = self.shared.deflate(options);
        self
    }

    /// True if `request` asks for a WebSocket, rightly or not: for a path that serves pages as well.
    pub fn is_asked(request: &Request<Body>) -> bool {
        match request.version() {
            Version::HTTP_2 => asked_protocol(request) == Some("websocket"),
            _ => handshake::has_token(request.headers(), &UPGRADE, "websocket"),
        }
    }

    /// Answers `request`: with a WebSocket, which `serve` gets as [`Opening::serve`] has it, or with what is wrong.
    pub fn answer<F>(
        &self,
        mut request: Request<Body>,
        serve: impl FnOnce(WebSocket) -> F + 'static,
    ) -> Response<Body>
    where
        F: Future<Output = ()> + 'static,
    {
        match self.accept(&mut request) {
            Ok((response, opening)) => {
                opening.serve(serve);
                response
            }
            Err(refused) => refused.response(),
        }
    }

    /// Agrees to a WebSocket. Send the answer, to which headers may be added, and await the connection elsewhere: it is there
    /// once the answer has left.
    ///
    /// # Errors
    /// What is wrong with the request. Returned from a handler, it becomes the right answer, header and all.
    pub fn accept(&self, request: &mut Request<Body>) -> Result<(Response<Body>, Opening), Refused> {
        if !Self::is_asked(request) {
            return Err(Refusal::NotAsked.into());
        }
        let headers = request.headers();
        let is_http2 = request.version() == Version::HTTP_2;
        let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| handshake::is_key(key.as_bytes()));
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Refusal::Version.into());
        }
        let answer = match key {
            _ if is_http2 => None,
            Some(key) if request.method() == Method::GET && handshake::switches(headers) => {
                Some(handshake::accept(key.as_bytes()))
            }
            _ => return Err(Refusal::Malformed.into()),
        };
        if let Some(check) = &self.origin {
            let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
            if !check(origin, request) {
                return Err(Refusal::Origin.into());
            }
        }
        let protocol = handshake::choose_protocol(headers, &self.protocols).map(Box::from);
        let agreed = deflate::agree(&self.shared, headers);
        let upgrading = upgrade(request).map_err(|_| Refusal::Malformed)?;
        let response = respond(answer, protocol.as_deref(), agreed.as_ref());
        let terms = Terms { role: Role::Server, protocol, agreed };
        Ok((response, Opening { shared: self.shared.clone(), upgrading, terms }))
    }
}

/// The answer that agrees. RFC 6455, section 4.2.2, and RFC 8441, section 5.
fn respond(answer: Option<String>, protocol: Option<&str>, agreed: Option<&Agreed>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).expect("it is visible ASCII");
    if let Some(answer) = &answer {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, value(answer));
    }
    // What came in a header may stand in one.
    if let Some(Ok(protocol)) = protocol.map(HeaderValue::from_str) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    if let Some(agreed) = agreed {
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, value(&agreed.to_string()));
    }
    if answer.is_some() {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    }
    response
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").field("protocols", &self.protocols).finish_non_exhaustive()
    }
}

/// A connection that was agreed to. Made by [`Acceptor::accept`].
#[must_use = "the connection is closed if nobody takes it"]
pub struct Opening {
    shared: Shared,
    upgrading: Upgrading,
    terms: Terms,
}

impl Opening {
    /// The subprotocol that was chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.terms.protocol.as_deref()
    }

    /// Waits for the connection.
    ///
    /// # Errors
    /// The client went away, or the answer was changed to one that does not agree.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn socket(self) -> io::Result<WebSocket> {
        self.connection().await.map(WebSocket::start)
    }

    async fn connection(self) -> io::Result<Rc<Connection>> {
        let Self { shared, upgrading, terms } = self;
        let link = Link::Upgraded(upgrading.await?);
        Ok(shared.open(&phaseloop::current(), link, Vec::new(), terms))
    }

    /// Waits for the connection and has it call `callbacks`; no task of the caller's is needed.
    ///
    /// # Errors
    /// As [`socket`](Self::socket). Nothing is called then.
    ///
    /// # Cancel safety
    /// As [`socket`](Self::socket). Nothing is called then.
    pub async fn callbacks(self, callbacks: WsCallbacks) -> io::Result<WsSender> {
        self.connection().await.map(|connection| callbacks.start(connection))
    }

    /// Runs `serve` with the connection, once it is there, in the task that serves the connection. That saves two changes of task a
    /// message against [`socket`](Self::socket), whose connection has a task of its own.
    ///
    /// # Panics
    /// A panic of `serve` is the task's outcome. The goodbye of the socket that is dropped by it still leaves.
    pub fn serve<F: Future<Output = ()> + 'static>(self, serve: impl FnOnce(WebSocket) -> F + 'static) {
        // Boxed, so that what opening needs is gone while the connection lives.
        let opening = Box::pin(self.connection());
        phaseloop::spawn(async move {
            if let Ok(connection) = opening.await {
                served::serve(connection, serve).await;
            }
        })
        .detach();
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("protocol", &self.protocol()).finish_non_exhaustive()
    }
}

/// A request that does not become a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    why: Refusal,
    error: StatusError,
}

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It does not ask for one: 426.
    NotAsked,
    /// It asks for a version other than 13: 426.
    Version,
    /// It asks wrongly: 400.
    Malformed,
    /// The check of its origin says no: 403.
    Origin,
}

impl Refused {
    /// Why.
    pub fn why(&self) -> Refusal {
        self.why
    }

    /// The answer to the request, with the headers that belong to it.
    pub fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{}\n", self.error.message())));
        *response.status_mut() = self.error.status();
        self.error.add_headers(response.headers_mut());
        response
    }
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        let (status, message) = match why {
            Refusal::NotAsked => (StatusCode::UPGRADE_REQUIRED, "this is a WebSocket"),
            Refusal::Version => (StatusCode::UPGRADE_REQUIRED, "version 13 of WebSocket is spoken here"),
            Refusal::Malformed => (StatusCode::BAD_REQUEST, "this is no way to ask for a WebSocket"),
            Refusal::Origin => (StatusCode::FORBIDDEN, "not from that page"),
        };
        let mut error = StatusError::new(status, message);
        if status == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
            let fields = [(SEC_WEBSOCKET_VERSION, "13"), (UPGRADE, "websocket"), (CONNECTION, "Upgrade")];
            error = fields
                .into_iter()
                .fold(error, |error, (name, value)| error.with_header(name, HeaderValue::from_static(value)));
        }
        Self { why, error }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.error.message())
    }
}

impl std::error::Error for Refused {
    /// By which a server finds the status.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
