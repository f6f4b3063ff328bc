//! Routes by their path.

use std::rc::Rc;

use super::chain::{Layer, Route};
use super::path::{Pattern, plain};

/// Routes that were added one after the other, to be found without a look at each.
///
/// All that fit a path run in the order in which they were added, which matchit alone can not say: it knows the closest. So it
/// leads to the routes that may meet the closest one, and each of these is compared with the path once more.
#[derive(Default)]
pub(super) struct Table {
    index: matchit::Router<usize>,
    shapes: Vec<Shape>,
    all: Vec<Rc<Route>>,
    /// The routes with a `*`: for paths that fit no shape. matchit takes none beside a parameter.
    open: Vec<Layer>,
}

/// A pattern without `*`, whatever the names of its parameters, and every route that a path of this shape may fit.
struct Shape {
    pattern: Pattern,
    layers: Vec<Layer>,
}

impl Table {
    pub(super) fn add(&mut self, route: Route) {
        let (pattern, route) = (route.pattern.clone(), Rc::new(route));
        if pattern.is_open() {
            self.open.push(Layer::Route(Rc::clone(&route)));
        } else if self.index.insert(pattern.shape(), self.shapes.len()).is_ok() {
            let before = self.all.iter().filter(|before| before.pattern.may_meet(&pattern));
            let layers = before.cloned().map(Layer::Route).collect();
            self.shapes.push(Shape { pattern, layers });
        }
        for shape in &mut self.shapes {
            if shape.pattern.may_meet(&route.pattern) {
                shape.layers.push(Layer::Route(Rc::clone(&route)));
            }
        }
        self.all.push(route);
    }

    /// The routes that may fit a path, in the order in which they were added.
    pub(super) fn find(&self, path: &str) -> &[Layer] {
        let plain = plain(path);
        let path = plain.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(&plain);
        match self.index.at(path) {
            Ok(found) => &self.shapes[*found.value].layers,
            Err(_) => &self.open,
        }
    }
}
