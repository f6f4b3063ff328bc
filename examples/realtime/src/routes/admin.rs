//! What is below `/admin`.

use std::rc::Rc;

use phaseloop_server::web::express::Router;

use crate::controllers::admin;
use crate::middleware::admins_only;
use crate::service::Parts;

macro_rules! routes {
    ($router:ident, $parts:ident: $($method:ident $path:literal => $controller:path;)*) => {
        $(
            let own = Rc::clone($parts);
            $router.$method($path, async move |req, res, _next| $controller(&own, req, res).await);
        )*
    };
}

/// All routes for admins.
pub(crate) fn admin(parts: &Rc<Parts>) -> Router {
    let mut router = Router::new();
    router.with(admins_only(parts));
    routes! { router, parts:
        get "/stats" => admin::stats;
        post "/products" => admin::add_product;
        post "/products/:id/stock" => admin::add_stock;
        post "/orders/:id/ship" => admin::ship;
    }
    router
}
