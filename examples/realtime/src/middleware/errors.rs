//! Errors in the one shape that clients are promised.

use phaseloop_server::http::StatusCode;
use phaseloop_server::web::koa::middleware;
use phaseloop_server::web::middleware::RequestId;
use phaseloop_server::web::{Error, Middleware, Req, Res, Result};
use serde_json::json;

use crate::log::Log;
use crate::refusal::{Refusal, code_of};

/// How long a client should wait before it asks a store that is away again, in seconds.
const RETRY_AFTER_S: u64 = 1;

/// Turns errors, and paths and methods that there are none of, into JSON; logs those that are the server's.
pub(crate) fn errors_as_json(log: &Log) -> Middleware {
    let log = log.clone();
    middleware(async move |ctx, next| {
        let outcome = next.run(ctx).await;
        let error = match outcome {
            Ok(()) if ctx.res.is_answered() && !is_bare(ctx.res.status_code()) => return Ok(()),
            Ok(()) => {
                let status = ctx.res.status_code();
                Error::new(
                    status,
                    format!("{} {}: {}", ctx.req.method(), ctx.req.uri().path(), reason(status)),
                )
            }
            Err(error) => error,
        };
        answer(&error, ctx.req, ctx.res, &log)
    })
}

/// What the router answers by itself, without a body of ours.
fn is_bare(status: StatusCode) -> bool {
    matches!(status.as_u16(), 404 | 405 | 501)
}

fn reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        404 => "there is no such route",
        405 => "this route does not take this method",
        _ => "not here",
    }
}

fn answer(error: &Error, req: &Req, res: &mut Res, log: &Log) -> Result {
    let (status, refusal) = (error.status(), error.downcast_ref::<Refusal>());
    let id = req.state.get::<RequestId>().map_or("", |id| id.0.as_str());
    if status.is_server_error() {
        let path = req.uri().path();
        log.error("failed", &[("id", &id), ("method", req.method()), ("path", &path), ("error", &error)]);
    }
    let code = refusal.map_or_else(|| code_of(status), |refusal| refusal.code);
    let message = refusal.map_or_else(|| error.message(), |refusal| refusal.message().to_owned());
    res.reset();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        res.set("retry-after", RETRY_AFTER_S);
    }
    if status == StatusCode::UNAUTHORIZED {
        res.set("www-authenticate", "Bearer");
    }
    res.status(status).json(&json!({ "error": { "code": code, "message": message, "request_id": id } }))
}
