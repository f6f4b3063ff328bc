//! Who asks: read where it is said, demanded where it must be.

use std::rc::Rc;

use phaseloop_server::web::Middleware;
use phaseloop_server::web::koa::middleware;

use crate::refusal::Refusal;
use crate::services::{Identity, Tokens};

/// Leaves an `Identity` for those behind, if the request has a token. One that is not good is refused.
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
            let identity = tokens.verify(token.trim())?;
            ctx.state().insert(identity);
        }
        next.run(ctx).await
    })
}

/// Lets admins pass, and nobody else.
pub(crate) fn admins_only() -> Middleware {
    middleware(async |ctx, next| match ctx.state().get::<Identity>() {
        None => Err(Refusal::unauthorized("this needs an admin's token").into()),
        Some(who) if !who.is_admin() => Err(Refusal::forbidden("this is for admins").into()),
        Some(_) => next.run(ctx).await,
    })
}
