//! What both styles' applications and routers are inside.

use std::rc::Rc;

use super::chain::{Around, Catch, Layer, Rest, Route, run};
use super::limits::BodyLimits;
use super::middleware::answer_allowed;
use super::path::Pattern;
use super::req::Req;
use super::res::Res;
use super::table::Table;
use super::{Error, Middleware};
use crate::http::{Answered, Body, BoxError, Handler, Method, Request, Response};

/// Layers in the order in which they were added. Routes that follow each other are looked up together.
#[derive(Default)]
pub(super) struct Routes(Vec<Layer>);

impl Routes {
    #[track_caller]
    pub(super) fn around(&mut self, prefix: &str, middleware: Middleware) {
        self.0.push(Layer::Around { prefix: Pattern::prefix(prefix), run: middleware.0 });
    }

    pub(super) fn catch(&mut self, catch: impl Catch + 'static) {
        self.0.push(Layer::Catch(Box::new(catch)));
    }

    #[track_caller]
    pub(super) fn route(&mut self, method: Option<Method>, pattern: &str, run: Rc<dyn Around>) {
        if !matches!(self.0.last(), Some(Layer::Routes(_))) {
            self.0.push(Layer::Routes(Table::default()));
        }
        if let Some(Layer::Routes(table)) = self.0.last_mut() {
            table.add(Route { method, pattern: Pattern::parse(pattern), run });
        }
    }

    #[track_caller]
    pub(super) fn nest(&mut self, prefix: &str, routes: Self) {
        self.0.push(Layer::Nested { prefix: Pattern::prefix(prefix), layers: routes.0 });
    }
}

/// What is told of errors.
type OnError = Rc<dyn Fn(&Error, &Req)>;

/// An application: layers, and what there is once for all of them.
#[derive(Default)]
pub(super) struct Core {
    pub(super) routes: Routes,
    pub(super) limits: Rc<BodyLimits>,
    pub(super) on_error: Option<OnError>,
}

impl Handler for Core {
    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let mut req = Req::new(request, &self.limits);
        let mut res = Res::default();
        let mut outcome = run(Rest::of(&self.routes.0), &mut req, &mut res).await;
        if outcome.is_ok() && !res.is_answered() {
            outcome = answer_allowed(&req, &mut res).unwrap_or_else(|| res.send_status(404));
        }
        let error = match outcome.and_then(|()| res.end()) {
            Ok(()) => return Ok(res.into_response()?),
            Err(error) => error,
        };
        res.reset();
        let answer = error.answer();
        answer.add_headers(res.headers_mut());
        res.status(answer.status()).text(format!("{}\n", answer.message()))?;
        let response = res.into_response()?;
        let Some(on_error) = &self.on_error else {
            return Err(Answered { response, error: error.into() }.into()); // the server tells of it
        };
        on_error(&error, &req);
        Ok(response)
    }
}

/// A handler of the server, or a service, as a layer: it gets the whole request, and answers.
pub(super) struct Answers<H>(pub(super) H);

impl<H: Handler> Around for Answers<H> {
    fn call<'a>(&'a self, req: &'a mut Req, res: &'a mut Res, _: Rest<'a>) -> super::chain::Going<'a> {
        Box::pin(async move {
            let request = req.take_request();
            let response =
                self.0.handle(request).await.map_err(|error| Error::other(Answered::of(error).error))?;
            res.set_response(response);
            Ok(())
        })
    }
}

/// What applications and routers of a style have: routes by method, and what is mounted. `$handler` is what a closure must be.
macro_rules! routing {
    ($style:ident, $routes:ident, $each:path, [$($handler:tt)*]) => {
        $each! { $style, $routes, [$($handler)*],
            get: GET, "Answers GET, and HEAD too; what answers HEAD otherwise goes in front.";
            post: POST, "Answers POST.";
            put: PUT, "Answers PUT.";
            patch: PATCH, "Answers PATCH.";
            delete: DELETE, "Answers DELETE.";
            head: HEAD, "Answers HEAD.";
            options: OPTIONS, "Answers OPTIONS."
        }

        /// Answers this method: for those that have no function of their own.
        ///
        /// # Panics
        /// As `get`.
        #[track_caller]
        pub fn method<F: $($handler)*>(&mut self, method: $crate::http::Method, pattern: &str, handler: F) -> &mut Self {
            self.$routes().route(Some(method), pattern, std::rc::Rc::new($style(handler)));
            self
        }

        /// Answers every method.
        ///
        /// # Panics
        /// As `get`.
        #[track_caller]
        pub fn all<F: $($handler)*>(&mut self, pattern: &str, handler: F) -> &mut Self {
            self.$routes().route(None, pattern, std::rc::Rc::new($style(handler)));
            self
        }

        /// Sends every request from here on through a closure.
        pub fn use_<F: $($handler)*>(&mut self, middleware: F) -> &mut Self {
            self.use_at("/", middleware)
        }

        /// As [`use_`](Self::use_), for paths that begin with these segments; `:name` stands for any. The middleware sees what
        /// comes behind them.
        ///
        /// # Panics
        /// If the prefix has a `*`: it covers all below it without.
        #[track_caller]
        pub fn use_at<F: $($handler)*>(&mut self, prefix: &str, middleware: F) -> &mut Self {
            self.$routes().around(prefix, $crate::web::Middleware(std::rc::Rc::new($style(middleware))));
            self
        }

        /// Sends every request from here on through middleware that is a value.
        pub fn with(&mut self, middleware: impl Into<$crate::web::Middleware>) -> &mut Self {
            self.with_at("/", middleware)
        }

        /// As [`with`](Self::with), for paths that begin with these segments.
        ///
        /// # Panics
        /// As [`use_at`](Self::use_at).
        #[track_caller]
        pub fn with_at(&mut self, prefix: &str, middleware: impl Into<$crate::web::Middleware>) -> &mut Self {
            self.$routes().around(prefix, middleware.into());
            self
        }

        /// Gives paths that begin with these segments to a handler of the server, which sees the whole path. A tower service goes
        /// in as [`FromTower`]($crate::http::FromTower).
        ///
        /// # Panics
        /// As [`use_at`](Self::use_at).
        #[track_caller]
        pub fn handler_at(&mut self, prefix: &str, handler: impl $crate::http::Handler) -> &mut Self {
            let answers = std::rc::Rc::new($crate::web::routes::Answers(handler));
            self.$routes().around(prefix, $crate::web::Middleware(answers));
            self
        }
    };
}

/// One function for each method.
macro_rules! each_method {
    ($style:ident, $routes:ident, $handler:tt, $($name:ident: $method:ident, $says:literal);*) => {
        $($crate::web::routes::one_method! { $style, $routes, $handler, $name, $method, $says })*
    };
}

macro_rules! one_method {
    ($style:ident, $routes:ident, [$($handler:tt)*], $name:ident, $method:ident, $says:literal) => {
        #[doc = $says]
        ///
        /// In `pattern`, `:name` stands for a segment and `*name` at the end for all that follows, at least one byte. A slash at
        /// the end makes no difference, nor does percent-encoding.
        ///
        /// # Ordering
        /// Of the routes that fit the path and the method the first that was added runs, and by its `next` the one after it:
        /// `/users/me` goes in front of `/users/:id`, and `all("/*path", ..)` in front of what it guards.
        ///
        /// # Panics
        /// If the pattern has a `*name` that is not at its end, or a `:` without a name.
        #[track_caller]
        pub fn $name<F: $($handler)*>(&mut self, pattern: &str, handler: F) -> &mut Self {
            self.method($crate::http::Method::$method, pattern, handler)
        }
    };
}

/// What applications of both styles have besides.
macro_rules! application {
    () => {
        /// An application that answers everything with 404.
        pub fn new() -> Self {
            Self::default()
        }

        /// Bounds what is read into memory.
        pub fn body_limits(&mut self, limits: $crate::web::BodyLimits) -> &mut Self {
            self.0.limits = std::rc::Rc::new(limits);
            self
        }

        /// Sets what is told of each error that no layer has handled, in place of the server's
        /// [`on_trouble`]($crate::http::Server::on_trouble). It replaces what was set before.
        ///
        /// The answer to such an error is its status and message as text. It keeps what middleware has put into the header, but for
        /// what describes the answer that was dropped.
        pub fn on_error(
            &mut self,
            on_error: impl Fn(&$crate::web::Error, &$crate::web::Req) + 'static,
        ) -> &mut Self {
            self.0.on_error = Some(std::rc::Rc::new(on_error));
            self
        }

        fn routes(&mut self) -> &mut $crate::web::routes::Routes {
            &mut self.0.routes
        }
    };
}

pub(super) use {application, each_method, one_method, routing};
