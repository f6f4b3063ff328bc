//! What is below `/api`.

use std::rc::Rc;

use phaseloop_server::web::koa::Router;

use crate::controllers::{feed, health, loop_view, orders, users};
use crate::service::Parts;

macro_rules! routes {
    ($router:ident, $parts:ident: $($method:ident $path:literal => $controller:path;)*) => {
        $(
            let own = Rc::clone($parts);
            $router.$method($path, async move |ctx, _next| $controller(&own, ctx).await);
        )*
    };
}

/// All routes of the API.
pub(crate) fn api(parts: &Rc<Parts>) -> Router {
    let mut router = Router::new();
    routes! { router, parts:
        get "/health" => health::show;

        post "/users" => users::register;
        post "/login" => users::log_in;
        get "/me" => users::me;
        get "/users/:id" => users::profile;

        get "/products" => orders::products;
        post "/orders" => orders::place;
        get "/orders" => orders::list;
        get "/orders/events" => orders::events;
        get "/orders/:id" => orders::show;
        post "/orders/:id/pay" => orders::pay;
        post "/orders/:id/ship" => orders::ship;
        post "/orders/:id/cancel" => orders::cancel;

        post "/feed" => feed::add;
        get "/feed" => feed::list;

        get "/loop" => loop_view::show;
        get "/loop/events" => loop_view::events;
    }
    if parts.config.loop_controls {
        routes! { router, parts:
            post "/loop/load-pool" => loop_view::load_pool;
            post "/loop/block" => loop_view::block;
        }
    }
    router
}
