//! The chain of middleware and handlers, and how a request goes through it.
//!
//! Both styles are this: layers in the order in which they were added, each given the rest of the chain. What comes back from
//! the rest comes back to the layer: that is the onion. An error is offered to the error handlers *behind* the place it came
//! from, as in Express; if none takes it, it goes back through the layers in front, as in Koa.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::path::Prefix;
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
    Around { only: Option<Only>, prefix: Option<Prefix>, run: Rc<dyn Around> },
    Catch { prefix: Option<Prefix>, run: Box<dyn Catch> },
    Routes(Table),
    Nested { prefix: Option<Prefix>, layers: Vec<Layer> },
}

/// What a layer of a route is for.
pub(super) struct Only {
    /// `None` for all.
    pub(super) method: Option<Method>,
    pub(super) names: Vec<Rc<str>>,
    pub(super) pattern: Rc<str>,
}

/// What of the chain is still to come.
#[derive(Clone, Copy)]
pub(super) struct Rest<'a> {
    layers: &'a [Layer],
    /// A HEAD that is answered by what is for GET.
    is_head_as_get: bool,
    /// Where the request is for these layers.
    at: Place,
    outer: Option<&'a Rest<'a>>,
}

impl<'a> Rest<'a> {
    pub(super) fn of(layers: &'a [Layer]) -> Self {
        Self { layers, is_head_as_get: false, at: Place::default(), outer: None }
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

/// Sends a request through the rest of the chain. Afterwards it is where it was before.
pub(super) async fn run(rest: Rest<'_>, req: &mut Req, res: &mut Res) -> Result {
    let base = req.at;
    let outcome = advance(rest, req, res).await;
    req.at = base;
    outcome
}

async fn advance(mut rest: Rest<'_>, req: &mut Req, res: &mut Res) -> Result {
    while let Some(layer) = rest.pop() {
        req.enter(rest.at);
        match layer {
            Layer::Around { only, prefix, run } => {
                if !fits(only.as_ref(), req, rest.is_head_as_get) {
                    continue;
                }
                let outcome = match covered(prefix.as_ref(), req) {
                    Ok(false) => continue,
                    Ok(true) => run.call(req, res, rest).await,
                    Err(error) => Err(error),
                };
                return match outcome {
                    Ok(()) => Ok(()),
                    Err(error) => offer(rest, error, req, res).await,
                };
            }
            Layer::Routes(table) => {
                let route = match table.find(req) {
                    Ok(Some(route)) => route,
                    Ok(None) => continue,
                    Err(error) => return offer(rest, error, req, res).await,
                };
                let is_head_as_get = *req.method() == Method::HEAD && !route.takes(&Method::HEAD);
                if !route.takes(if is_head_as_get { &Method::GET } else { req.method() }) {
                    route.methods().for_each(|method| req.allowed.push(method.clone()));
                    continue;
                }
                let inner = Rest { layers: &route.layers, is_head_as_get, at: req.at, outer: Some(&rest) };
                return Box::pin(advance(inner, req, res)).await;
            }
            Layer::Nested { prefix, layers } => {
                match covered(prefix.as_ref(), req) {
                    Ok(false) => continue,
                    Ok(true) => {}
                    Err(error) => return offer(rest, error, req, res).await,
                }
                let inner = Rest { layers, is_head_as_get: false, at: req.at, outer: Some(&rest) };
                return Box::pin(advance(inner, req, res)).await;
            }
            Layer::Catch { .. } => {}
        }
    }
    Ok(())
}

/// Offers an error to those who take errors behind the place it came from.
async fn offer(mut rest: Rest<'_>, mut error: Error, req: &mut Req, res: &mut Res) -> Result {
    if error.is_offered {
        return Err(error);
    }
    while let Some(layer) = rest.pop() {
        let Layer::Catch { prefix, run } = layer else { continue };
        req.enter(rest.at);
        if !covered(prefix.as_ref(), req)? {
            continue;
        }
        match run.catch(error, req, res, rest).await {
            Ok(()) => return Ok(()),
            Err(next) if next.is_offered => return Err(next),
            Err(next) => error = next,
        }
    }
    error.is_offered = true;
    Err(error)
}

/// Whether a layer of a route is for this method; if so, the parameters get the names it gave them.
fn fits(only: Option<&Only>, req: &mut Req, is_head_as_get: bool) -> bool {
    let Some(only) = only else { return true };
    let method = if is_head_as_get { &Method::GET } else { req.method() };
    let fits = only.method.as_ref().is_none_or(|wanted| wanted == method);
    if fits {
        req.set_params(&only.names, &only.pattern);
    }
    fits
}

/// Whether the path begins so; if so, the request goes behind the prefix.
fn covered(prefix: Option<&Prefix>, req: &mut Req) -> Result<bool> {
    let Some(prefix) = prefix else { return Ok(true) };
    let Some(fitting) = prefix.fit(req.uri().path().get(req.at.base..).unwrap_or("")) else {
        return Ok(false);
    };
    let (len, params) = fitting?;
    req.at.base += len;
    req.push_params(params);
    Ok(true)
}
