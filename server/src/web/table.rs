//! Routes by their path.

use std::collections::HashMap;
use std::rc::Rc;

use super::Result;
use super::chain::{Around, Layer, Only};
use super::path::{decode, shape};
use super::req::Req;
use crate::http::Method;

/// Routes that were added one after the other. Among them it is the closest that fits, not the first: `/users/me` before
/// `/users/:id`, whatever their order.
#[derive(Default)]
pub(super) struct Table {
    paths: matchit::Router<usize>,
    shapes: HashMap<String, usize>,
    routes: Vec<Route>,
}

/// What is there for one path, in the order in which it was added.
#[derive(Default)]
pub(super) struct Route {
    pub(super) layers: Vec<Layer>,
}

impl Table {
    #[track_caller]
    pub(super) fn add(&mut self, method: Option<Method>, pattern: &str, run: Rc<dyn Around>) {
        let (shape, names) = shape(pattern);
        let at = match self.shapes.get(&shape) {
            Some(&at) => at,
            None => {
                let at = self.routes.len();
                if let Err(error) = self.paths.insert(&shape, at) {
                    panic!("the route {pattern:?} can not be added: {error}");
                }
                self.shapes.insert(shape, at);
                self.routes.push(Route::default());
                at
            }
        };
        let only = Some(Only { method, names, pattern: pattern.into() });
        self.routes[at].layers.push(Layer::Around { only, prefix: None, run });
    }

    /// The route for a request's path, whatever its method. The request gets the values of the parameters.
    ///
    /// # Errors
    /// 400 if one of them is badly encoded.
    pub(super) fn find(&self, req: &mut Req) -> Result<Option<&Route>> {
        let path = req.path();
        let path = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        let Ok(found) = self.paths.at(path) else { return Ok(None) };
        let mut params = Vec::new();
        for (name, value) in found.params.iter() {
            params.push((Rc::from(name), decode(value)?.into_owned()));
        }
        let at = *found.value;
        req.push_params(params);
        Ok(Some(&self.routes[at]))
    }
}

impl Route {
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.only().any(|only| only.method.as_ref().is_none_or(|taken| taken == method))
    }

    pub(super) fn methods(&self) -> impl Iterator<Item = &Method> {
        self.only().filter_map(|only| only.method.as_ref())
    }

    fn only(&self) -> impl Iterator<Item = &Only> {
        self.layers.iter().filter_map(|layer| match layer {
            Layer::Around { only, .. } => only.as_ref(),
            _ => None,
        })
    }
}
