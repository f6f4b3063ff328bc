//! The chain of middleware and handlers, and how a request goes through it.
//!
//! Both styles are this: layers in the order in which they were added, each given the rest of the chain. What comes back from
//! the rest comes back to the layer: that is the onion. An error is offered to the error handlers *behind* the place it came
//! from, as in Express; if none takes it, it goes back through the layers in front, as in Koa.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::path::{Param, Pattern};
use super::req::{Place, Req};
use super::res::Res;
use super::table::Table;
use super::{Error, Result};
use crate::http::Method;

/// A layer at work.
pub(super) type Going<'a> = Pin<Box<dyn Future<Output = Result> + 'a>>;

/// What is around the rest of the chain.
pub(super) trait Around {
    fn call<'a>(&'a self, req: &'a mut Req, res: &'a mut Res, rest: Rest<'a>) -> Going<'a>;
}

/// What takes errors of the layers in front of it.
pub(super) trait Catch {
    fn catch<'a>(&'a self, error: Error, req: &'a mut Req, res: &'a mut Res, rest: Rest<'a>) -> Going<'a>;
}

pub(super) enum Layer {
    Around { prefix: Pattern, run: Rc<dyn Around> },
    Catch(Box<dyn Catch>),
    Routes(Table),
    Route(Rc<Route>),
    Nested { prefix: Pattern, layers: Vec<Layer> },
}

/// A handler for a path and a method.
pub(super) struct Route {
    /// `None` for all.
    pub(super) method: Option<Method>,
    pub(super) pattern: Pattern,
    pub(super) run: Rc<dyn Around>,
}

/// What of the chain is still to come.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    layers: &'a [Layer],
    /// Where the request is for these layers.
    at: Place,
    outer: Option<&'a Rest<'a>>,
}

impl<'a> Rest<'a> {
    pub(super) fn of(layers: &'a [Layer]) -> Self {
        Self { layers, at: Place::default(), outer: None }
    }

    fn pop(&mut self) -> Option<&'a Layer> {
        loop {
            if let Some((first, others)) = self.layers.split_first() {
                self.layers = others;
                return Some(first);
            }
            *self = *self.outer?;
        }
    }
}

/// Sends a request through the rest of the chain. Afterwards, also after an end before its time, the request is where it was
/// before.
pub(super) async fn run(rest: Rest<'_>, req: &mut Req, res: &mut Res) -> Result {
    let visit = Visit::new(req);
    advance(rest, &mut *visit.req, res).await
}

/// A request that goes ahead and comes back.
struct Visit<'a> {
    req: &'a mut Req,
    at: Place,
    params: Vec<Param>,
}

impl<'a> Visit<'a> {
    fn new(req: &'a mut Req) -> Self {
        let (at, params) = (req.at, req.params.clone());
        Self { req, at, params }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.req.at = self.at;
        self.req.params = std::mem::take(&mut self.params);
    }
}

async fn advance(mut rest: Rest<'_>, req: &mut Req, res: &mut Res) -> Result {
    while let Some(layer) = rest.pop() {
        req.enter(rest.at);
        let fits = match layer {
            Layer::Around { prefix, .. } | Layer::Nested { prefix, .. } => covered(prefix, req),
            Layer::Route(route) => taken(route, req),
            Layer::Routes(_) => Ok(true),
            Layer::Catch(_) => Ok(false),
        };
        let outcome = match (fits, layer) {
            (Ok(false), _) | (_, Layer::Catch(_)) => continue,
            (Err(error), _) => Err(error),
            (_, Layer::Around { run, .. }) => run.call(req, res, rest).await,
            (_, Layer::Route(route)) => route.run.call(req, res, rest).await,
            (_, Layer::Routes(table)) => return within(table.find(req.path()), &rest, req, res).await,
            (_, Layer::Nested { layers, .. }) => return within(layers, &rest, req, res).await,
        };
        return match outcome {
            Ok(()) => Ok(()),
            Err(error) => offer(rest, error, req, res).await,
        };
    }
    Ok(())
}

/// Goes through layers that stand in the place of one, and then through what is behind it.
fn within<'a>(layers: &'a [Layer], outer: &'a Rest<'a>, req: &'a mut Req, res: &'a mut Res) -> Going<'a> {
    let inner = Rest { layers, at: req.at, outer: Some(outer) };
    Box::pin(advance(inner, req, res))
}

/// Offers an error to those who take errors behind the place it came from.
async fn offer(mut rest: Rest<'_>, mut error: Error, req: &mut Req, res: &mut Res) -> Result {
    if error.is_offered {
        return Err(error);
    }
    while let Some(layer) = rest.pop() {
        let Layer::Catch(run) = layer else { continue };
        req.enter(rest.at);
        match run.catch(error, req, res, rest).await {
            Ok(()) => return Ok(()),
            Err(next) if next.is_offered => return Err(next),
            Err(next) => error = next,
        }
    }
    error.is_offered = true;
    Err(error)
}

/// Whether a route is for this path and method; if so, the request gets its parameters.
fn taken(route: &Route, req: &mut Req) -> Result<bool> {
    let Some(fitting) = route.pattern.fit_whole(req.path()) else { return Ok(false) };
    if let Some(method) = &route.method {
        let fits = method == req.method() || (*method == Method::GET && *req.method() == Method::HEAD);
        if !fits {
            req.allowed.push(method.clone());
            return Ok(false);
        }
        req.is_routed = true;
    }
    req.push_params(fitting?);
    req.route = Some(Rc::clone(route.pattern.text()));
    Ok(true)
}

/// Whether the path begins so; if so, the request goes behind the prefix.
fn covered(prefix: &Pattern, req: &mut Req) -> Result<bool> {
    let Some(fitting) = prefix.fit_start(req.uri().path().get(req.at.base..).unwrap_or("")) else {
        return Ok(false);
    };
    let (len, params) = fitting?;
    req.at.base += len;
    req.push_params(params);
    Ok(true)
}
