//! The style of Koa: an onion of async middleware around one context.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;

use super::chain::{Around, Going, Rest, run};
use super::cookie::Cookie;
use super::req::Req;
use super::res::{Reply, Res};
use super::routes::{Core, Routes, application, each_method, routing};
use super::state::State;
use super::{Error, Middleware, Result};
use crate::http::{Body, BoxError, Handler, Request, Response, StatusCode, StatusError};

/// An application in the style of Koa: a [`Handler`] for [`Server::new`](crate::http::Server::new).
///
/// # Ordering
/// What a middleware does before `next.run(ctx)` happens from the outside in, what it does after it from the inside out.
///
/// # Errors
/// An error is what `next.run` gives back: a layer may handle it, or pass it on with `?`. One that comes out of the outermost goes
/// to [`on_error`](Self::on_error).
///
/// # Examples
/// ```
/// use phaseloop_server::http::{Body, Handler, Request};
/// use phaseloop_server::web::koa::{App, Router};
///
/// let mut app = App::new();
/// app.use_(async |ctx, next| {
///     next.run(ctx).await?;
///     let len = ctx.res.body().and_then(|body| http_body::Body::size_hint(body).exact());
///     ctx.res.set("x-len", len.unwrap_or(0));
///     Ok(())
/// });
/// let mut users = Router::new();
/// users.get("/:name", async |ctx, _next| {
///     let name = ctx.param("name").unwrap_or_default().to_owned();
///     ctx.body(format!("hello {name}"))
/// });
/// app.mount("/users", users);
///
/// let lp = phaseloop::EventLoop::new()?;
/// let request = Request::get("/users/ada").body(Body::empty())?;
/// let response = lp.block_on(app.handle(request))?.expect("nothing fails");
/// assert_eq!(response.headers()["x-len"], "9");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct App(Core);

/// A part of an application, to be mounted below a prefix.
///
/// # Examples
/// See [`App`].
#[derive(Default)]
pub struct Router(Routes);

impl App {
    application!();

    routing!(Koa, routes, each_method, [AsyncFn(&mut Context<'_>, Next<'_>) -> Result + 'static]);

    /// Sends what begins with these segments into a router; `:name` stands for any segment. What the router does not answer
    /// comes back and goes on behind it.
    #[track_caller]
    pub fn mount(&mut self, prefix: &str, router: Router) -> &mut Self {
        self.0.routes.nest(prefix, router.0);
        self
    }
}

impl Router {
    /// A router that answers nothing.
    pub fn new() -> Self {
        Self::default()
    }

    fn routes(&mut self) -> &mut Routes {
        &mut self.0
    }

    routing!(Koa, routes, each_method, [AsyncFn(&mut Context<'_>, Next<'_>) -> Result + 'static]);

    /// As [`App::mount`].
    #[track_caller]
    pub fn mount(&mut self, prefix: &str, router: Self) -> &mut Self {
        self.0.nest(prefix, router.0);
        self
    }
}

impl Handler for App {
    async fn handle(&self, request: Request<Body>) -> std::result::Result<Response<Body>, BoxError> {
        self.0.handle(request).await
    }
}

/// A request and its answer, with the short ways to both.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{Cookie, koa::App};
///
/// let mut app = App::new();
/// app.get("/visit", async |ctx, _next| {
///     let visits = ctx.cookie("visits").and_then(|visits| visits.parse::<u32>().ok()).unwrap_or(0);
///     if visits >= 1000 {
///         return ctx.throw(403, "that is enough");
///     }
///     ctx.set_cookie(&Cookie::new("visits", (visits + 1).to_string()));
///     ctx.status(201).body(format!("visit {}\n", visits + 1))
/// });
/// # drop(app);
/// ```
#[derive(Debug)]
pub struct Context<'a> {
    /// The request.
    pub req: &'a mut Req,
    /// The answer.
    pub res: &'a mut Res,
}

impl Context<'_> {
    /// As [`Req::path`].
    pub fn path(&self) -> &str {
        self.req.path()
    }

    /// As [`Req::param`].
    pub fn param(&self, name: &str) -> Option<&str> {
        self.req.param(name)
    }

    /// As [`Req::query`].
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.req.query(name)
    }

    /// As [`Req::cookie`].
    pub fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.req.cookie(name)
    }

    /// As [`Res::cookie`].
    pub fn set_cookie(&mut self, cookie: &Cookie) -> &mut Self {
        self.res.cookie(cookie);
        self
    }

    /// What middleware leaves for those behind it.
    pub fn state(&mut self) -> &mut State {
        &mut self.req.state
    }

    /// As [`Res::status`].
    pub fn status(&mut self, status: impl TryInto<StatusCode>) -> &mut Self {
        self.res.status(status);
        self
    }

    /// As [`Res::set`].
    pub fn set(
        &mut self,
        name: impl TryInto<crate::http::HeaderName>,
        value: impl TryInto<crate::http::HeaderValue>,
    ) -> &mut Self {
        self.res.set(name, value);
        self
    }

    /// As [`Res::send`].
    ///
    /// # Errors
    /// As there.
    pub fn body(&mut self, reply: impl Reply) -> Result {
        self.res.send(reply)
    }

    /// Ends a handler with an error. The client is told the message, but from 500 on only the status's name, as by Koa: what is wrong with
    /// a server is for whoever [handles errors](App::on_error). [`Error::new`] tells a message of any status. A status that is none becomes
    /// a 500.
    ///
    /// # Errors
    /// Always.
    pub fn throw<T>(&self, status: impl TryInto<StatusCode>, message: impl Into<String>) -> Result<T> {
        let status = status.try_into().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match status.as_u16() {
            ..500 => Err(Error::new(status, message)),
            500.. => Err(Kept { answer: status.into(), message: message.into() }.into()),
        }
    }
}

/// An error whose message the client is not told.
#[derive(Debug)]
struct Kept {
    answer: StatusError,
    message: String,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.answer.status().as_u16(), self.message)
    }
}

impl std::error::Error for Kept {
    /// By which the answer is found.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.answer)
    }
}

/// The layers behind a middleware.
///
/// To run them twice does not compile, where Koa's says `next() called multiple times` at run time:
/// ```compile_fail
/// # let mut app = phaseloop_server::web::koa::App::new();
/// app.use_(async |ctx, next| {
///     next.run(ctx).await?;
///     next.run(ctx).await // error: use of moved value: `next`
/// });
/// ```
pub struct Next<'a>(Rest<'a>);

impl<'a> Next<'a> {
    /// Runs them.
    ///
    /// # Errors
    /// That of a layer behind.
    ///
    /// # Cancel safety
    /// The layers behind end where they stand. The request is where it was, and the answer as far as they have made it.
    pub fn run(self, ctx: &'a mut Context<'_>) -> impl Future<Output = Result> + 'a {
        run(self.0, ctx.req, ctx.res)
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

/// Makes middleware of a closure in the style of Koa: to be a value, also in an application in the style of Express.
///
/// # Examples
/// ```
/// use phaseloop_server::web::Middleware;
/// use phaseloop_server::web::koa::middleware;
///
/// fn no_store() -> Middleware {
///     middleware(async |ctx, next| {
///         next.run(ctx).await?;
///         ctx.set("cache-control", "no-store");
///         Ok(())
///     })
/// }
/// # drop(no_store());
/// ```
pub fn middleware<F>(middleware: F) -> Middleware
where
    F: AsyncFn(&mut Context<'_>, Next<'_>) -> Result + 'static,
{
    Middleware(std::rc::Rc::new(Koa(middleware)))
}

struct Koa<F>(F);

impl<F: AsyncFn(&mut Context<'_>, Next<'_>) -> Result> Around for Koa<F> {
    fn call<'a>(&'a self, req: &'a mut Req, res: &'a mut Res, rest: Rest<'a>) -> Going<'a> {
        Box::pin(async move {
            let mut ctx = Context { req, res };
            (self.0)(&mut ctx, Next(rest)).await
        })
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router").finish_non_exhaustive()
    }
}
