//! The page, which is part of the program.

use phaseloop_server::web::koa::Router;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [(&str, &str, &str); 14] = [
    ("/", HTML, include_str!("../../page/index.html")),
    ("/index.html", HTML, include_str!("../../page/index.html")),
    ("/style.css", "text/css; charset=utf-8", include_str!("../../page/style.css")),
    ("/app.js", SCRIPT, include_str!("../../page/app.js")),
    ("/account.js", SCRIPT, include_str!("../../page/account.js")),
    ("/base.js", SCRIPT, include_str!("../../page/base.js")),
    ("/calls.js", SCRIPT, include_str!("../../page/calls.js")),
    ("/chat.js", SCRIPT, include_str!("../../page/chat.js")),
    ("/draw.js", SCRIPT, include_str!("../../page/draw.js")),
    ("/link.js", SCRIPT, include_str!("../../page/link.js")),
    ("/loop.js", SCRIPT, include_str!("../../page/loop.js")),
    ("/orders.js", SCRIPT, include_str!("../../page/orders.js")),
    ("/origin.js", SCRIPT, include_str!("../../page/origin.js")),
    ("/socketio.js", SCRIPT, include_str!("../../page/socketio.js")),
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
