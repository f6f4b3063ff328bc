//! Orders and products.

use std::rc::Rc;

use phaseloop_server::web::Result;
use phaseloop_server::web::koa::Context;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{identity, limit, query, retry_key, to_the_end};
use crate::config::Stage;
use crate::models::order::{self, Status};
use crate::refusal::Refusal;
use crate::service::Parts;
use crate::services::{Since, Wanted, Whole};

#[derive(Deserialize)]
struct New {
    items: Vec<Wanted>,
}

pub(crate) async fn products(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let products = parts.orders.products().await?;
    ctx.body(json!({ "products": products.iter().map(|product| product.shown()).collect::<Vec<_>>() }))
}

pub(crate) async fn place(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let who = identity(parts, ctx.req).await?;
    let key = retry_key(ctx.req.header("idempotency-key"), "the header Idempotency-Key")?;
    let New { items } = ctx.req.json().await?;
    let own = Rc::clone(parts);
    let (whole, replayed) = to_the_end(async move { own.orders.place(&who, &key, items).await }).await?;
    if replayed {
        ctx.set("idempotent-replayed", "true");
    } else {
        ctx.status(201).set("location", format!("/api/orders/{}", whole.0.id));
    }
    ctx.body(json!({ "order": shown(&whole) }))
}

pub(crate) async fn list(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let who = identity(parts, ctx.req).await?;
    let (limit, before) = (limit(ctx.req)?, query(ctx.req, "before", "an order's id")?);
    let orders = parts.orders.list(who.id, before, u64::from(limit)).await?;
    let next = orders.last().filter(|_| orders.len() == limit as usize).map(|(order, _)| order.id);
    ctx.body(json!({ "orders": orders.iter().map(shown).collect::<Vec<_>>(), "next": next }))
}

pub(crate) async fn show(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let whole = parts.orders.find(&identity(parts, ctx.req).await?, ctx.req.param_as("id")?).await?;
    ctx.body(json!({ "order": shown(&whole) }))
}

pub(crate) async fn pay(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    change(parts, ctx, Status::Paid).await
}

pub(crate) async fn cancel(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    change(parts, ctx, Status::Cancelled).await
}

pub(crate) async fn ship(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    if parts.config.stage == Stage::Production && !identity(parts, ctx.req).await?.is_admin() {
        return Err(Refusal::forbidden("only an admin ships").into());
    }
    change(parts, ctx, Status::Shipped).await
}

async fn change(parts: &Rc<Parts>, ctx: &mut Context<'_>, next: Status) -> Result {
    let (who, id) = (identity(parts, ctx.req).await?, ctx.req.param_as("id")?);
    let own = Rc::clone(parts);
    let whole = to_the_end(async move { own.orders.change(&who, id, next).await }).await?;
    ctx.body(json!({ "order": shown(&whole) }))
}

pub(crate) async fn events(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let from_header = ctx.req.header("last-event-id").and_then(|id| id.trim().parse::<i64>().ok());
    let after = query::<i64>(ctx.req, "after", "an event's id")?;
    let last = query::<i64>(ctx.req, "last", "a number from 0 to 200")?;
    let since = match (from_header.or(after), last) {
        (Some(id), _) => Since::Event(id.max(0)),
        (None, Some(count)) => Since::Last(count.clamp(0, 200)),
        (None, None) => Since::Now,
    };
    ctx.res.set_response(parts.order_feed.follow(since).await?);
    Ok(())
}

pub(crate) fn shown((order, items): &Whole) -> Value {
    order::shown(order, items)
}
