//! A line for each request.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body::Body as _;

use super::request_id::RequestId;
use crate::http::{Method, StatusCode};
use crate::web::Middleware;
use crate::web::koa::middleware;

/// What there is to say of a request. As text: `GET /users/7 200 12 ms 140 B`.
///
/// It holds no query, no header and no body, since they hold passwords and tokens. A path that does is the program's to hide:
/// [`route`](Self::route) is the pattern instead of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLine {
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The pattern of the route that took it.
    pub route: Option<String>,
    /// The status.
    pub status: StatusCode,
    /// The time until the answer was made; its body may still be on its way.
    pub time: Duration,
    /// The bytes of the answer, if they are known beforehand.
    pub len: Option<u64>,
    /// The other end of the connection.
    pub peer: Option<SocketAddr>,
    /// The request's id, with [`request_id`](super::request_id).
    pub request_id: Option<String>,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, status, time, .. } = self;
        write!(f, "{method} {} {} {} ms", path.escape_debug(), status.as_u16(), time.as_millis())?;
        if let Some(len) = self.len {
            write!(f, " {len} B")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " {id}")?;
        }
        Ok(())
    }
}

/// Calls `log` once for each request, when its answer is made or an error comes by. Time is the loop's.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{koa::App, middleware::logger};
///
/// let mut app = App::new();
/// app.with(logger(|line| println!("{line}")));
/// # drop(app);
/// ```
pub fn logger(log: impl Fn(&LogLine) + 'static) -> Middleware {
    middleware(async move |ctx, next| {
        let lp = phaseloop::current();
        let (start, method, path) = (lp.now(), ctx.req.method().clone(), ctx.req.uri().path().to_owned());
        let outcome = next.run(ctx).await;
        let status = match &outcome {
            Ok(()) => ctx.res.status_code(),
            Err(error) => error.status(),
        };
        let len = ctx.res.body().filter(|_| outcome.is_ok()).and_then(|body| body.size_hint().exact());
        log(&LogLine {
            method,
            path,
            route: ctx.req.route().map(str::to_owned),
            status,
            time: lp.now() - start,
            len,
            peer: ctx.req.peer_addr(),
            request_id: ctx.state().get::<RequestId>().map(|id| id.0.clone()),
        });
        outcome
    })
}

/// Says in `X-Response-Time` how long the answer took to make, in milliseconds of the loop's time.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{koa::App, middleware::response_time};
///
/// let mut app = App::new();
/// app.with(response_time());
/// # drop(app);
/// ```
pub fn response_time() -> Middleware {
    middleware(async |ctx, next| {
        let lp = phaseloop::current();
        let start = lp.now();
        let outcome = next.run(ctx).await;
        ctx.set("x-response-time", format!("{}ms", (lp.now() - start).as_millis()));
        outcome
    })
}
