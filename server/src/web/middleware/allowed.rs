//! Methods that a path does not take.

use crate::http::{HeaderValue, Method, header};
use crate::web::koa::middleware;
use crate::web::{Middleware, Req, Res, Result};

/// Answers what no layer behind it has answered though its path has routes: `OPTIONS` with 204, another method with 405, both with
/// `Allow`; and with 501 a method that is none of HTTP's usual ones.
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

/// `None` if there is nothing to say: no route has this path.
pub(in crate::web) fn answer_allowed(req: &Req, res: &mut Res) -> Option<Result> {
    const USUAL: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if !req.allowed.is_empty() {
        let has = |method: &Method| {
            req.allowed.contains(method) || *method == Method::HEAD && req.allowed.contains(&Method::GET)
        };
        let mut methods: Vec<_> =
            USUAL[..6].iter().filter(|method| has(method)).map(Method::as_str).collect();
        let others = req.allowed.iter().filter(|method| !USUAL.contains(method)).map(Method::as_str);
        methods.extend(others);
        methods.push("OPTIONS");
        methods.dedup();
        if let Ok(value) = HeaderValue::from_str(&methods.join(", ")) {
            res.headers_mut().insert(header::ALLOW, value);
        }
        if *req.method() == Method::OPTIONS {
            return Some(res.status(204).end());
        }
    }
    if !USUAL.contains(req.method()) {
        return Some(res.send_status(501));
    }
    (!req.allowed.is_empty()).then(|| res.send_status(405))
}
