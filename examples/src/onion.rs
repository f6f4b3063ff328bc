//! The example `onion`: middleware around middleware, and the order in which its halves run.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use phaseloop::EventLoop;
use phaseloop_server::http::{Body, Handler, Request};
use phaseloop_server::web::Middleware;
use phaseloop_server::web::koa::{App, middleware};

use crate::page::Page;

/// What is said, in order.
type Said = Rc<RefCell<Vec<String>>>;

/// Sends one request through the onion of the article, and one that fails inside it.
///
/// # Errors
/// Those of the page and the loop.
pub fn run(page: &Page) -> io::Result<()> {
    let lp = EventLoop::new()?;
    for (title, path) in [("A request that is answered", "/"), ("A request whose handler fails", "/fails")] {
        let said = Said::default();
        let app = app(&said);
        let request = Request::get(path).body(Body::empty()).map_err(io::Error::other)?;
        let status = lp.block_on(app.handle(request))?.map(|response| response.status().as_u16());
        page.line(title);
        for line in said.borrow().iter() {
            page.line(format_args!("  {line}"));
        }
        page.line(format_args!("  status {}", status.map_err(|error| io::Error::other(error.to_string()))?));
    }
    Ok(())
}

fn app(said: &Said) -> App {
    let mut app = App::new();
    app.with(layer("A", said)).with(layer("B", said));
    let handler = Rc::clone(said);
    app.get("/", async move |ctx, _next| {
        handler.borrow_mut().push("handler".to_owned());
        ctx.body("done")
    });
    app.get("/fails", async |ctx, _next| ctx.throw(409, "the handler fails"));
    let told = Rc::clone(said);
    app.on_error(move |error, _req| told.borrow_mut().push(format!("on_error: {error}")));
    app
}

fn layer(name: &'static str, said: &Said) -> Middleware {
    let said = Rc::clone(said);
    middleware(async move |ctx, next| {
        said.borrow_mut().push(format!("{name} before"));
        next.run(ctx).await?; // an error passes by: there is no "after"
        said.borrow_mut().push(format!("{name} after"));
        Ok(())
    })
}
