//! An end to handlers that take too long.

use std::time::Duration;

use crate::http::StatusCode;
use crate::web::koa::middleware;
use crate::web::{Error, Middleware};

/// Drops the layers behind it when they have made no answer after this time, and fails with a 503. A body that is streamed
/// afterwards has all the time it needs.
///
/// # Cancel safety
/// What is dropped is dropped at an `await`: see what each says of it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use phaseloop_server::web::{koa::App, middleware::timeout};
///
/// let mut app = App::new();
/// app.with(timeout(Duration::from_secs(10)));
/// # drop(app);
/// ```
pub fn timeout(limit: Duration) -> Middleware {
    middleware(async move |ctx, next| {
        let outcome = phaseloop::timeout(limit, next.run(ctx)).await;
        outcome.unwrap_or_else(|_| {
            let message = format!("there was no answer within {} ms", limit.as_millis());
            Err(Error::new(StatusCode::SERVICE_UNAVAILABLE, message))
        })
    })
}
