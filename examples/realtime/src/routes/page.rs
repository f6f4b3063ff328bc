//! The page, which is part of the program.

use phaseloop_server::web::koa::Router;

const FILES: [(&str, &str, &str); 4] = [
    ("/", "text/html; charset=utf-8", include_str!("../../page/index.html")),
    ("/index.html", "text/html; charset=utf-8", include_str!("../../page/index.html")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("../../page/app.js")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../../page/style.css")),
];

/// What the page may load and call: only what comes from here.
const POLICY: &str = "default-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The files of the page.
pub(crate) fn page() -> Router {
    let mut router = Router::new();
    for (path, media_type, text) in FILES {
        router.get(path, async move |ctx, _next| {
            ctx.set("content-type", media_type).set("content-security-policy", POLICY);
            ctx.set("x-content-type-options", "nosniff").set("cache-control", "no-cache");
            ctx.body(text)
        });
    }
    router
}
