//! Which pages of other sites may ask.

use std::time::Duration;

use crate::http::{HeaderValue, Method, header};
use crate::web::koa::{Context, middleware};
use crate::web::negotiate::joined;
use crate::web::{Middleware, Result};

/// Cross-origin resource sharing: says which other origins' pages may read answers, and answers preflights.
///
/// By default no other origin may: name them. Source: the Fetch standard, "HTTP CORS protocol".
///
/// # Examples
/// ```
/// use phaseloop_server::web::{koa::App, middleware::Cors};
///
/// let mut app = App::new();
/// app.with(Cors::new().origin("https://app.example").credentials(true).expose("x-request-id"));
/// # drop(app);
/// ```
#[derive(Debug, Default)]
pub struct Cors {
    origins: Vec<String>,
    any: bool,
    credentials: bool,
    methods: Option<String>,
    headers: Option<String>,
    exposed: Vec<String>,
    max_age: Option<Duration>,
}

impl Cors {
    /// No other origin.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the pages of an origin read: scheme, host and port as browsers send them, `https://app.example`.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Lets every page read, but not with credentials: for those, origins are named.
    pub fn any_origin(mut self) -> Self {
        self.any = true;
        self
    }

    /// Whether named origins may send cookies along; by default not.
    pub fn credentials(mut self, credentials: bool) -> Self {
        self.credentials = credentials;
        self
    }

    /// The methods, by default GET, HEAD, PUT, PATCH, POST and DELETE.
    pub fn methods(mut self, methods: &[Method]) -> Self {
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        self.methods = Some(names.join(", "));
        self
    }

    /// The fields of the header that a page may send; by default those that it asks for.
    pub fn headers(mut self, names: &[&str]) -> Self {
        self.headers = Some(names.join(", "));
        self
    }

    /// Lets pages see a field of the answer's header.
    pub fn expose(mut self, name: impl Into<String>) -> Self {
        self.exposed.push(name.into());
        self
    }

    /// How long a browser may remember the answer to a preflight.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// What `Access-Control-Allow-Origin` says to this origin, and whether credentials are allowed.
    fn verdict(&self, origin: &str) -> Option<(HeaderValue, bool)> {
        if self.origins.iter().any(|named| named.eq_ignore_ascii_case(origin)) {
            return Some((HeaderValue::from_str(origin).ok()?, self.credentials));
        }
        self.any.then_some((HeaderValue::from_static("*"), false))
    }

    fn preflight(&self, ctx: &mut Context<'_>) -> Result {
        let methods = self.methods.as_deref().unwrap_or("GET, HEAD, PUT, PATCH, POST, DELETE");
        ctx.set(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let asked = joined(ctx.req.headers(), header::ACCESS_CONTROL_REQUEST_HEADERS);
        let named = self.headers.as_deref().map(HeaderValue::from_str).transpose()?;
        if let Some(names) = named.or(asked) {
            ctx.set(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        if let Some(max_age) = self.max_age {
            ctx.set(header::ACCESS_CONTROL_MAX_AGE, max_age.as_secs());
        }
        ctx.res.vary("access-control-request-method").vary("access-control-request-headers");
        ctx.status(204).body(())
    }
}

impl From<Cors> for Middleware {
    fn from(cors: Cors) -> Self {
        middleware(async move |ctx, next| {
            ctx.res.vary("origin");
            let verdict = ctx.req.header(header::ORIGIN).and_then(|origin| cors.verdict(origin));
            let Some((origin, credentials)) = verdict else { return next.run(ctx).await };
            ctx.set(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if credentials {
                ctx.set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            }
            let asks = ctx.req.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
            if *ctx.req.method() == Method::OPTIONS && asks {
                return cors.preflight(ctx);
            }
            if !cors.exposed.is_empty() {
                ctx.set(header::ACCESS_CONTROL_EXPOSE_HEADERS, cors.exposed.join(", "));
            }
            next.run(ctx).await
        })
    }
}
