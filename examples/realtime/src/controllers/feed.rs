//! The feed.

use std::rc::Rc;

use phaseloop_server::web::Result;
use phaseloop_server::web::koa::Context;
use serde::Deserialize;
use serde_json::json;

use super::{identity, limit, to_the_end};
use crate::models::post::check_tag;
use crate::refusal::Refusal;
use crate::service::Parts;
use crate::services::new_post;

#[derive(Deserialize)]
struct New {
    text: String,
    #[serde(default)]
    tags: Vec<String>,
}

pub(crate) async fn add(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let who = identity(parts, ctx.req).await?;
    let New { text, tags } = ctx.req.json().await?;
    let post = new_post(&who, text, tags)?;
    let own = Rc::clone(parts);
    let post = to_the_end(async move { own.posts.add(&post).await.map(|()| post) }).await?;
    ctx.status(201).body(json!({ "post": post }))
}

pub(crate) async fn list(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let limit = limit(ctx.req)?;
    let (tag, before) = (ctx.req.query("tag"), ctx.req.query("before"));
    if let Some(tag) = &tag {
        check_tag(tag).map_err(Refusal::bad_request)?;
    }
    if before
        .as_ref()
        .is_some_and(|id| id.is_empty() || id.len() > 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return Err(Refusal::bad_request("`before` must be the id of a post").into());
    }
    let posts = parts.posts.list(tag.as_deref(), before.as_deref(), limit).await?;
    let next = posts.last().filter(|_| posts.len() == limit as usize).map(|post| post.id.clone());
    ctx.body(json!({ "posts": posts, "next": next }))
}
