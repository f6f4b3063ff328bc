//! What is below `/api`.

use std::rc::Rc;

use phaseloop_server::web::koa::Router;

use crate::controllers::health;
use crate::service::Parts;

/// All routes of the API.
pub(crate) fn api(parts: &Rc<Parts>) -> Router {
    let mut router = Router::new();
    let own = Rc::clone(parts);
    router.get("/health", async move |ctx, _next| health::show(&own, ctx).await);
    router
}
