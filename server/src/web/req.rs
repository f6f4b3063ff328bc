//! A request, as handlers and middleware see it.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use super::limits::BodyLimits;
use super::path::Param;
use super::state::State;
use super::{Result, cookie};
use crate::http::{Body, Bytes, ConnectionInfo, HeaderMap, Method, Request, Uri, header};

/// A request on its way through middleware and handlers.
///
/// Reading the body is in [`json`](Self::json), [`form`](Self::form), [`text`](Self::text), [`bytes`](Self::bytes), or piece by
/// piece from [`take_body`](Self::take_body).
///
/// # Examples
/// ```
/// use phaseloop_server::web::express::App;
///
/// let mut app = App::new();
/// app.get("/users/:id", async |req, res, _next| {
///     let id: u32 = req.param_as("id")?; // what is no number is a 400
///     let page = req.query("page").unwrap_or_else(|| "1".into());
///     res.text(format!("user {id}, page {page}\n"))
/// });
/// # drop(app);
/// ```
pub struct Req {
    parts: http::request::Parts,
    pub(super) body: Body,
    /// The body, once it was read whole.
    pub(super) read: Option<Bytes>,
    connection: Option<Rc<ConnectionInfo>>,
    /// What earlier middleware left.
    pub state: State,
    pub(super) limits: Rc<BodyLimits>,
    pub(super) at: Place,
    pub(super) params: Vec<Param>,
    pub(super) route: Option<Rc<str>>,
    /// A route was for its path and its method.
    pub(super) is_routed: bool,
    /// The methods of the routes that were for its path alone.
    pub(super) allowed: Vec<Method>,
}

/// Where in the nesting of routers a request is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// How many bytes of the path are behind it.
    pub(super) base: usize,
    /// How many parameters belong to the routers around.
    pub(super) params: usize,
}

impl Req {
    pub(super) fn new(request: Request<Body>, limits: &Rc<BodyLimits>) -> Self {
        let (parts, body) = request.into_parts();
        let connection = body.connection().cloned();
        Self {
            parts,
            body,
            read: None,
            connection,
            state: State::default(),
            limits: Rc::clone(limits),
            at: Place::default(),
            params: Vec::new(),
            route: None,
            is_routed: false,
            allowed: Vec::new(),
        }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The target, as it came.
    pub fn uri(&self) -> &Uri {
        &self.parts.uri
    }

    /// The path from here on: inside a router that is mounted, what comes behind its prefix. Percent-encoding is left in it.
    pub fn path(&self) -> &str {
        let path = self.parts.uri.path().get(self.at.base..).unwrap_or("");
        if path.is_empty() { "/" } else { path }
    }

    /// What the routers around have taken of the path.
    pub fn base_path(&self) -> &str {
        self.parts.uri.path().get(..self.at.base).unwrap_or("")
    }

    /// The pattern of the route that took the request, without the prefixes of the routers around. For logs and measurements.
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// The header.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The header, to be changed for those behind.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.parts.headers
    }

    /// A field of the header as text; of several the first. `None` also for one that is not of visible ASCII.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The value of a `:name` in the pattern, decoded. Of two of the same name the inner one.
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().rev().find(|(found, _)| **found == *name).map(|(_, value)| &**value)
    }

    /// The value of a `:name`, as something else than text.
    ///
    /// # Errors
    /// 400 if it is none; 500 if the pattern has no such name.
    pub fn param_as<T: std::str::FromStr>(&self, name: &str) -> Result<T> {
        let value = self.param(name).ok_or_else(|| super::Error::other(format!("no parameter {name:?}")))?;
        let bad = || format!("{name:?} can not be {:?}", value.chars().take(80).collect::<String>());
        value.parse().map_err(|_| super::Error::new(http::StatusCode::BAD_REQUEST, bad()))
    }

    /// The first value of this name in the query, decoded.
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// The names and values of the query, decoded; at most [`BodyLimits::fields_max`].
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let query = self.parts.uri.query().unwrap_or("");
        form_urlencoded::parse(query.as_bytes()).take(self.limits.fields_max)
    }

    /// The value of a cookie, decoded.
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        let fields = self.parts.headers.get_all(header::COOKIE).into_iter();
        fields.filter_map(|field| field.to_str().ok()).find_map(|field| cookie::find(field, name))
    }

    /// Whether the media type of the body is this one, such as `application/json`; `+json` for the kind at the end.
    pub fn is(&self, media_type: &str) -> bool {
        let given = self.header(header::CONTENT_TYPE).unwrap_or("").split(';').next().unwrap_or("").trim();
        match media_type.strip_prefix('+') {
            Some(_) => given.to_ascii_lowercase().ends_with(media_type),
            None => given.eq_ignore_ascii_case(media_type),
        }
    }

    /// The connection it came on; `None` if it came from no server of ours.
    pub fn connection(&self) -> Option<&ConnectionInfo> {
        self.connection.as_deref()
    }

    /// The other end of the connection: a proxy, where one stands in front.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.connection().map(|connection| connection.peer)
    }

    /// Takes the body out, to be read piece by piece. It is empty afterwards.
    pub fn take_body(&mut self) -> Body {
        match self.read.take() {
            Some(read) => read.into(),
            None => std::mem::take(&mut self.body),
        }
    }

    /// Puts a body in: for middleware that decodes what comes.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.read = None;
        self.body = body.into();
    }

    /// Takes the request out, for a handler or service of another kind, or for an [`upgrade`](crate::http::upgrade). The body is
    /// empty afterwards; the head stays.
    pub fn take_request(&mut self) -> Request<Body> {
        Request::from_parts(self.parts.clone(), self.take_body())
    }

    /// Goes to another router, with the parameters of those around it alone.
    pub(super) fn enter(&mut self, at: Place) {
        self.at = at;
        self.params.truncate(at.params);
    }

    pub(super) fn push_params(&mut self, params: Vec<Param>) {
        self.params.extend(params);
        self.at.params = self.params.len();
    }
}

impl fmt::Debug for Req {
    /// Without the query and the header, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Req")
            .field("method", self.method())
            .field("path", &self.uri().path())
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}
