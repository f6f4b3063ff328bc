//! Methods that a path does not take.

use std::collections::HashSet;

use crate::http::{HeaderValue, Method, header};
use crate::web::koa::middleware;
use crate::web::{Middleware, Req, Res, Result};

/// Answers what no layer behind it has answered though its path has routes, none of them for its method (`all` aside): `OPTIONS` with
/// 204, another method with 405, both with `Allow`; and with 501 a method that is none of HTTP's usual ones.
///
/// An application does this by itself at the end. It is needed where something behind the routes answers everything else.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{koa::App, middleware::allowed_methods};
///
/// let mut app = App::new();
/// app.with(allowed_methods());
/// app.get("/users", async |ctx, _next| ctx.body("[]"));
/// # drop(app);
/// ```
pub fn allowed_methods() -> Middleware {
    middleware(async |ctx, next| {
        next.run(ctx).await?;
        match ctx.res.is_answered() {
            true => Ok(()),
            false => answer_allowed(ctx.req, ctx.res).unwrap_or(Ok(())),
        }
    })
}

/// `None` if there is nothing to say: no route has this path, or one has it with this method.
pub(in crate::web) fn answer_allowed(req: &Req, res: &mut Res) -> Option<Result> {
    let is_options = *req.method() == Method::OPTIONS;
    let says = !req.allowed.is_empty() && (is_options || !req.is_routed);
    if says {
        let named = |method: &Method| {
            req.allowed.contains(method) || (*method == Method::HEAD && req.allowed.contains(&Method::GET))
        };
        let mut methods: Vec<_> = USUAL.iter().filter(|method| named(method)).collect();
        methods.extend(req.allowed.iter().filter(|method| !USUAL.contains(method)));
        let mut names: Vec<_> = methods.into_iter().map(Method::as_str).collect();
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        if !names.contains(&"OPTIONS") {
            names.push("OPTIONS");
        }
        if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
            res.headers_mut().insert(header::ALLOW, value);
        }
        if is_options {
            return Some(res.status(204).end());
        }
    }
    if !USUAL.contains(req.method()) && !req.is_routed {
        return Some(res.send_status(501));
    }
    says.then(|| res.send_status(405))
}

const USUAL: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
