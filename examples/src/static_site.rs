//! The example `static_site`: a folder as a web site, read on the pool.

use std::path::Path;

use fs_pool::request::LoopPool;
use phaseloop_server::web::koa::App;
use phaseloop_server::web::middleware::{logger, response_time};
use phaseloop_server::web::{Dotfiles, Files};

/// The files below `folder`; `x.br`, `x.zst` and `x.gz` in place of `x` for those who take it, and `404.html` for what is not there, if
/// there is one. `log` gets a line for each request and each error that is the server's.
pub fn app(pool: &LoopPool, folder: &Path, log: impl Fn(&str) + Clone + 'static) -> App {
    let (lines, errors) = (log.clone(), log);
    let files = Files::new(pool, folder).precompressed(true).dotfiles(Dotfiles::Ignore);
    let mut app = App::new();
    app.with(logger(move |line| lines(&line.to_string()))).with(response_time());
    app.on_error(move |error, req| errors(&format!("{} {} failed: {error}", req.method(), req.uri().path())));
    app.with(files);
    app.with(not_found(pool, folder));
    app
}

/// The page for what is not there: the same status for a browser, a page for whoever sits in front of it.
fn not_found(pool: &LoopPool, folder: &Path) -> phaseloop_server::web::Middleware {
    let (fs, page) = (fs_pool::fs::Fs::new(pool), folder.join("404.html"));
    phaseloop_server::web::koa::middleware(async move |ctx, _next| {
        let text = fs.read_file(&page).await.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        ctx.status(404);
        ctx.res.html(text.unwrap_or_else(|| "<h1>not found</h1>\n".to_owned()))
    })
}
