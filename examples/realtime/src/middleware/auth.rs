//! Who asks: read where it is said, demanded where it must be.

use std::rc::Rc;

use phaseloop_server::web::Middleware;
use phaseloop_server::web::koa::middleware;

use crate::refusal::Refusal;
use crate::service::Parts;
use crate::services::{Claims, Tokens};

/// Leaves [`Claims`] for those behind, if the request has a token. One that is not good is refused. Whether there is such a user is asked
/// by those who need one.
pub(crate) fn auth_optional(tokens: &Rc<Tokens>) -> Middleware {
    let tokens = Rc::clone(tokens);
    middleware(async move |ctx, next| {
        if let Some(field) = ctx.req.headers().get("authorization") {
            let wrong = || Refusal::unauthorized("Authorization must be `Bearer TOKEN`");
            let text = field.to_str().map_err(|_| wrong())?;
            let (scheme, token) = text.split_once(' ').ok_or_else(wrong)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(wrong().into());
            }
            let claims = tokens.verify(token.trim())?;
            ctx.state().insert(claims);
        }
        next.run(ctx).await
    })
}

/// Lets admins pass, and nobody else.
pub(crate) fn admins_only(parts: &Rc<Parts>) -> Middleware {
    let parts = Rc::clone(parts);
    middleware(async move |ctx, next| {
        let claims = ctx.state().get::<Claims>().cloned();
        let claims = claims.ok_or_else(|| Refusal::unauthorized("this needs an admin's token"))?;
        match parts.users.identify(&claims).await?.is_admin() {
            true => next.run(ctx).await,
            false => Err(Refusal::forbidden("this is for admins").into()),
        }
    })
}
