//! Registering, logging in, profiles.

use std::rc::Rc;

use phaseloop_server::web::Result;
use phaseloop_server::web::koa::Context;
use serde::Deserialize;
use serde_json::json;

use super::{identity, to_the_end};
use crate::models::user;
use crate::service::Parts;
use crate::services::From;

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
}

pub(crate) async fn register(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let Credentials { name, password } = ctx.req.json().await?;
    let own = Rc::clone(parts);
    let user = to_the_end(async move { own.users.register(&name, &password).await }).await?;
    ctx.status(201);
    greet(parts, ctx, &user)
}

pub(crate) async fn log_in(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let Credentials { name, password } = ctx.req.json().await?;
    let user = parts.users.log_in(&name, &password).await?;
    greet(parts, ctx, &user)
}

fn greet(parts: &Parts, ctx: &mut Context<'_>, user: &user::Model) -> Result {
    let (token, expires_at) = parts.tokens.issue(user)?;
    ctx.set("cache-control", "no-store");
    ctx.body(json!({ "user": user.shown(), "token": token, "expires_at": expires_at }))
}

pub(crate) async fn me(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let who = identity(parts, ctx.req).await?;
    let user = parts.users.by_id(who.id).await?;
    ctx.body(json!({ "user": user.shown() }))
}

pub(crate) async fn profile(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let (profile, from) = parts.users.profile(ctx.req.param_as("id")?).await?;
    ctx.set("x-cache", if from == From::Cache { "hit" } else { "miss" });
    ctx.body(profile)
}
