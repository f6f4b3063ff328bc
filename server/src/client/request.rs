//! The client itself: one request, from its URI to its answer.

use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use phaseloop::LoopHandle;

use super::connect::{Connector, Resolve, resolve_literals};
use super::error::ClientError;
use super::kept::{Kept, Sender, Target};
use super::options::ClientOptions;
use super::redirect;
use crate::http::Body;
use crate::joint::cork::Spares;
use crate::joint::wire::Scratch;

/// An HTTP client of one loop. Clones share their connections.
///
/// Connections that nobody uses do not keep the loop alive.
#[derive(Clone)]
pub struct Client {
    inner: Rc<Inner>,
}

struct Inner {
    options: ClientOptions,
    connector: Connector,
    kept: Kept,
}

impl Client {
    /// A client with the default options, without TLS, that knows addresses and `localhost`.
    pub fn new(lp: &LoopHandle) -> Self {
        Self::with_options(lp, ClientOptions::default())
    }

    /// A client with options.
    pub fn with_options(lp: &LoopHandle, options: ClientOptions) -> Self {
        let connector = Connector {
            lp: lp.clone(),
            resolve: resolve_literals(),
            encrypt: None,
            version: options.version,
            connect_time: options.connect,
            scratch: Scratch::default(),
            spares: Spares::default(),
        };
        Self { inner: Rc::new(Inner { options, connector, kept: Kept::default() }) }
    }

    /// The same client, finding names as `resolve` does. It shares no connections with this one.
    pub fn resolve(self, resolve: Resolve) -> Self {
        self.changed(|connector| connector.resolve = resolve)
    }

    /// The same client, for `https` too. It shares no connections with this one.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: &crate::tls::ClientTls) -> Self {
        let encrypt: Rc<dyn super::connect::Encrypt> = Rc::new(tls.clone());
        self.changed(|connector| connector.encrypt = Some(encrypt))
    }

    fn changed(self, change: impl FnOnce(&mut Connector)) -> Self {
        let Inner { options, connector, .. } = &*self.inner;
        let mut connector = Connector {
            lp: connector.lp.clone(),
            resolve: Rc::clone(&connector.resolve),
            encrypt: connector.encrypt.clone(),
            version: connector.version,
            connect_time: connector.connect_time,
            scratch: Scratch::default(),
            spares: Spares::default(),
        };
        change(&mut connector);
        Self { inner: Rc::new(Inner { options: options.clone(), connector, kept: Kept::default() }) }
    }

    /// Gets `uri`.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    ///
    /// # Cancel safety
    /// As [`request`](Self::request).
    pub async fn get(&self, uri: &str) -> Result<Response<Body>, ClientError> {
        let parsed: Uri = uri.parse().map_err(|_| ClientError::BadUri(uri.to_owned()))?;
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = parsed;
        self.request(request).await
    }

    /// Sends a request to the server that its absolute URI names, and gives the answer once its head is there.
    ///
    /// A connection that was kept and turns out to be closed is replaced by a fresh one if nothing was sent on it.
    ///
    /// # Errors
    /// Why there is no answer. An answer of any status is one.
    ///
    /// # Cancel safety
    /// Dropping the future gives the request up: HTTP/1.1 closes the connection, HTTP/2 resets the stream.
    pub async fn request(&self, mut request: Request<Body>) -> Result<Response<Body>, ClientError> {
        for redirects in 0.. {
            let again = self.again(&request);
            let (uri, method) = (request.uri().clone(), request.method().clone());
            let response = self.once(request).await?;
            let followed = self.inner.options.redirects_max > 0;
            let next = followed.then(|| redirect::next(response.status(), response.headers(), &uri, &method));
            let Some(next) = next.flatten() else { return Ok(response) };
            let Some(mut following) = again.filter(|again| !next.keeps_body || again.1) else {
                return Ok(response);
            };
            if redirects >= self.inner.options.redirects_max {
                return Err(ClientError::TooManyRedirects(uri));
            }
            if !next.keeps_body {
                *following.0.body_mut() = Body::empty();
                for header in [http::header::CONTENT_LENGTH, http::header::CONTENT_TYPE] {
                    following.0.headers_mut().remove(header);
                }
            }
            if !redirect::same_origin(&uri, &next.uri) {
                redirect::forget_secrets(following.0.headers_mut());
            }
            following.0.headers_mut().remove(HOST);
            (*following.0.uri_mut(), *following.0.method_mut()) = (next.uri, next.method);
            request = following.0;
        }
        unreachable!("the count of redirects ends the loop")
    }

    #[cfg(feature = "ws")]
    pub(crate) fn lp(&self) -> &LoopHandle {
        &self.inner.connector.lp
    }

    #[cfg(feature = "ws")]
    pub(crate) fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// A fresh connection to the server that an absolute URI names.
    #[cfg(feature = "ws")]
    pub(crate) async fn open(&self, uri: &Uri) -> Result<super::Opened, ClientError> {
        let Inner { options, connector, .. } = &*self.inner;
        let target = target(uri)?;
        let opening = connector.open(&target.host, target.port, target.encrypted);
        let opened = connector.lp.timeout(options.connect, opening).await;
        let opened = opened.map_err(|_| ClientError::SlowConnect(uri.clone()))?;
        opened.map_err(|error| ClientError::Connect(uri.clone(), error))
    }

    /// Connections that are kept.
    pub fn kept(&self) -> usize {
        self.inner.kept.len()
    }

    /// Closes connections that nobody uses.
    pub fn close_kept(&self) {
        self.inner.kept.clear();
    }

    /// A copy of a request, to be sent again, and whether its body is in it. `None` if no redirect is followed.
    fn again(&self, request: &Request<Body>) -> Option<(Request<Body>, bool)> {
        if self.inner.options.redirects_max == 0 {
            return None;
        }
        let body = request.body().copy();
        let has_body = body.is_some();
        let mut copy = Request::new(body.unwrap_or_default());
        *copy.method_mut() = request.method().clone();
        *copy.headers_mut() = request.headers().clone();
        Some((copy, has_body))
    }

    async fn once(&self, mut request: Request<Body>) -> Result<Response<Body>, ClientError> {
        let Inner { options, connector, kept } = &*self.inner;
        let (uri, lp) = (request.uri().clone(), &connector.lp);
        let target = target(&uri)?;
        loop {
            let found = kept.take(&target, lp.now(), options.idle);
            let was_kept = found.is_some();
            let mut sender = match found {
                Some(sender) => sender,
                None => {
                    let connecting = connector.connect(&target.host, target.port, target.encrypted);
                    let connected = lp.timeout(options.connect, connecting).await;
                    let connected = connected.map_err(|_| ClientError::SlowConnect(uri.clone()))?;
                    let sender = connected.map_err(|error| ClientError::Connect(uri.clone(), error))?;
                    self.share(&target, &sender);
                    sender
                }
            };
            prepare(&mut request, &uri, &sender);
            let answered = lp.timeout(options.head, send(&mut sender, request)).await;
            match answered.map_err(|_| ClientError::SlowAnswer(uri.clone()))? {
                Ok(response) => {
                    self.keep(target, sender);
                    return Ok(response.map(Body::answered));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if was_kept => request = unsent,
                    _ => return Err(ClientError::Broken(uri, error.into_error())),
                },
            }
        }
    }

    /// Lets others use a fresh connection of HTTP/2. Today: requests that come before it is there open their own.
    fn share(&self, target: &Target, sender: &Sender) {
        if let Sender::Http2(shared) = sender {
            self.inner.put(target.clone(), Sender::Http2(shared.clone()));
        }
    }

    /// Keeps a connection of HTTP/1.1 once its answer was read.
    fn keep(&self, target: Target, sender: Sender) {
        let Sender::Http1(mut sender) = sender else { return };
        let inner = Rc::clone(&self.inner);
        let waiting = async move {
            if poll_fn(|cx| sender.poll_ready(cx)).await.is_ok() {
                inner.put(target, Sender::Http1(sender));
            }
        };
        self.inner.connector.lp.spawn(waiting).unref();
    }
}

impl Inner {
    fn put(&self, target: Target, sender: Sender) {
        let Self { options, connector, kept } = self;
        kept.put(target, sender, connector.lp.now(), options);
    }
}

async fn send(
    sender: &mut Sender,
    request: Request<Body>,
) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
    match sender {
        Sender::Http1(sender) => sender.try_send_request(request).await,
        Sender::Http2(sender) => sender.try_send_request(request).await,
    }
}

/// Whom a URI leads to.
fn target(uri: &Uri) -> Result<Target, ClientError> {
    let bad = || ClientError::BadUri(uri.to_string());
    let encrypted = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(bad()),
    };
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?.to_owned();
    let port = uri.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
    Ok(Target { encrypted, host, port })
}

/// Writes the URI as the version of HTTP wants it: HTTP/1.1 as a path and a Host, HTTP/2 whole.
fn prepare(request: &mut Request<Body>, uri: &Uri, sender: &Sender) {
    if let Sender::Http2(_) = sender {
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri.clone();
        request.headers_mut().remove(HOST);
        return;
    }
    *request.version_mut() = Version::HTTP_11;
    let host = uri.authority().map(|authority| match authority.as_str().rsplit_once('@') {
        Some((_, host)) => host,
        None => authority.as_str(),
    });
    if let Some(Ok(host)) = host.map(HeaderValue::from_str)
        && !request.headers().contains_key(HOST)
    {
        request.headers_mut().insert(HOST, host);
    }
    if request.method() != Method::CONNECT {
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = path.into();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("kept", &self.kept()).finish_non_exhaustive()
    }
}
