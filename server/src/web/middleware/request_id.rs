//! A name for each request.

use std::hash::{BuildHasher, RandomState};

use crate::web::Middleware;
use crate::web::koa::middleware;

/// The name of a request, in its [`state`](crate::web::Req::state).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Gives each request a [`RequestId`] and the answer the same in `X-Request-Id`.
///
/// One that a proxy in front has set is kept, if it is of 1 to 64 letters, digits, `-`, `_` and `.`; another is replaced. The ids are
/// for finding log lines, and no secret.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{koa::App, middleware::{RequestId, request_id}};
///
/// let mut app = App::new();
/// app.with(request_id());
/// app.get("/", async |ctx, _next| {
///     let id = ctx.state().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
///     ctx.body(format!("this is request {id}\n"))
/// });
/// # drop(app);
/// ```
pub fn request_id() -> Middleware {
    let (random, count) = (RandomState::new(), std::cell::Cell::new(0_u64));
    middleware(async move |ctx, next| {
        let id = match ctx.req.header("x-request-id").filter(|id| is_plain(id)) {
            Some(id) => id.to_owned(),
            None => {
                count.set(count.get() + 1);
                format!("{:016x}{:08x}", random.hash_one(count.get()), count.get())
            }
        };
        ctx.set("x-request-id", id.as_str());
        ctx.state().insert(RequestId(id));
        next.run(ctx).await
    })
}

fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}
