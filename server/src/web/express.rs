//! The style of Express: handlers of a request, an answer and what comes next.

use std::fmt;
use std::future::Future;

use super::chain::{Around, Catch, Going, Rest, run};
use super::req::Req;
use super::res::Res;
use super::routes::{Core, Routes, application, each_method, routing};
use super::{Error, Middleware, Result};
use crate::http::{Body, BoxError, Handler, Request, Response};

/// An application in the style of Express: a [`Handler`] for [`Server::new`](crate::http::Server::new).
///
/// # Ordering
/// Layers run in the order in which they were added, routes among them: the first that fits the path and the method, and by its
/// `next` the one after it.
///
/// # Errors
/// An error that a handler gives back goes to the next error handler *behind* it, as with Express's `next(err)`; so error
/// handlers come last. One that no error handler takes goes to [`on_error`](Self::on_error).
///
/// Not as in Express: paths are told apart by case, and not by percent-encoding; a path whose routes are all for other methods
/// makes a 405; a router sees the parameters of those around it; a handler that neither answers nor goes on makes a 404 instead of
/// a client that waits; text is sent as plain text.
///
/// # Examples
/// ```
/// use phaseloop_server::http::{Body, Handler, Request, StatusCode};
/// use phaseloop_server::web::Error;
/// use phaseloop_server::web::express::{App, Router};
///
/// let mut users = Router::new();
/// users.get("/:id", async |req, res, _next| match req.param("id") {
///     Some("7") => res.json(&serde_json::json!({ "id": 7, "name": "ada" })),
///     _ => Err(Error::new(StatusCode::NOT_FOUND, "no such user")),
/// });
///
/// let mut app = App::new();
/// app.use_(async |req, res, next| {
///     res.set("x-powered-by", "phaseloop");
///     next.run(req, res).await
/// });
/// app.mount("/users", users);
/// app.use_error(async |error, _req, res, _next| {
///     res.status(error.status()).json(&serde_json::json!({ "error": error.message() }))
/// });
///
/// let lp = phaseloop::EventLoop::new()?;
/// let request = Request::get("/users/8").body(Body::empty())?;
/// let response = lp.block_on(app.handle(request))?.expect("errors are handled");
/// assert_eq!(response.status(), StatusCode::NOT_FOUND);
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

    routing!(Express, routes, each_method, [AsyncFn(&mut Req, &mut Res, Next<'_>) -> Result + 'static]);

    /// Sends what begins with these segments into a router; `:name` stands for any segment. What the router does not answer
    /// comes back and goes on behind it.
    #[track_caller]
    pub fn mount(&mut self, prefix: &str, router: Router) -> &mut Self {
        self.0.routes.nest(prefix, router.0);
        self
    }

    /// Takes the errors of all layers in front of it. An error that it gives back goes to the next one behind it, `next.run`
    /// goes on with the ordinary layers behind it.
    pub fn use_error<F>(&mut self, handler: F) -> &mut Self
    where
        F: AsyncFn(Error, &mut Req, &mut Res, Next<'_>) -> Result + 'static,
    {
        self.0.routes.catch(Catches(handler));
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

    routing!(Express, routes, each_method, [AsyncFn(&mut Req, &mut Res, Next<'_>) -> Result + 'static]);

    /// As [`App::mount`].
    #[track_caller]
    pub fn mount(&mut self, prefix: &str, router: Self) -> &mut Self {
        self.0.nest(prefix, router.0);
        self
    }

    /// As [`App::use_error`], for errors of this router alone.
    pub fn use_error<F>(&mut self, handler: F) -> &mut Self
    where
        F: AsyncFn(Error, &mut Req, &mut Res, Next<'_>) -> Result + 'static,
    {
        self.0.catch(Catches(handler));
        self
    }
}

impl Handler for App {
    async fn handle(&self, request: Request<Body>) -> std::result::Result<Response<Body>, BoxError> {
        self.0.handle(request).await
    }
}

/// The layers behind a handler.
///
/// To run them twice does not compile, where Node's `next` fails at run time or runs them again:
/// ```compile_fail
/// # let mut app = phaseloop_server::web::express::App::new();
/// app.use_(async |req, res, next| {
///     next.run(req, res).await?;
///     next.run(req, res).await // error: use of moved value: `next`
/// });
/// ```
pub struct Next<'a>(Rest<'a>);

impl<'a> Next<'a> {
    /// Runs them. When it is done the answer is made, unless none of them answers.
    ///
    /// # Errors
    /// That of a layer behind, if no error handler took it.
    ///
    /// # Cancel safety
    /// The layers behind end where they stand. The request is where it was, and the answer as far as they have made it.
    pub fn run(self, req: &'a mut Req, res: &'a mut Res) -> impl Future<Output = Result> + 'a {
        run(self.0, req, res)
    }

    /// What Express writes as `next(err)`: the same as giving the error back.
    ///
    /// # Errors
    /// Always.
    pub fn fail(self, error: impl Into<Error>) -> Result {
        Err(error.into())
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").finish_non_exhaustive()
    }
}

/// Makes middleware of a closure in the style of Express: to be a value, also in an application in the style of Koa.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{express, koa};
///
/// let mut app = koa::App::new();
/// app.with(express::middleware(async |req, res, next| {
///     res.set("x-style", "express");
///     next.run(req, res).await
/// }));
/// # drop(app);
/// ```
pub fn middleware<F>(middleware: F) -> Middleware
where
    F: AsyncFn(&mut Req, &mut Res, Next<'_>) -> Result + 'static,
{
    Middleware(std::rc::Rc::new(Express(middleware)))
}

struct Express<F>(F);

impl<F: AsyncFn(&mut Req, &mut Res, Next<'_>) -> Result> Around for Express<F> {
    fn call<'a>(&'a self, req: &'a mut Req, res: &'a mut Res, rest: Rest<'a>) -> Going<'a> {
        Box::pin(async move { (self.0)(req, res, Next(rest)).await })
    }
}

struct Catches<F>(F);

impl<F: AsyncFn(Error, &mut Req, &mut Res, Next<'_>) -> Result> Catch for Catches<F> {
    fn catch<'a>(&'a self, error: Error, req: &'a mut Req, res: &'a mut Res, rest: Rest<'a>) -> Going<'a> {
        Box::pin(async move { (self.0)(error, req, res, Next(rest)).await })
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
