//! What admins do. Handlers in the style of Express.

use std::rc::Rc;

use phaseloop_server::web::{Req, Res, Result};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, EntityTrait};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::orders::shown;
use super::{identity, to_the_end};
use crate::models::order::Status;
use crate::models::product;
use crate::refusal::Refusal;
use crate::service::Parts;
use crate::stores::database::refusal;

/// More of a product, and a higher price, than there is.
const NUMBER_MAX: i64 = 1_000_000_000;

pub(crate) async fn stats(parts: &Rc<Parts>, _req: &mut Req, res: &mut Res) -> Result {
    let count = async |sql: &str| {
        let rows = parts.database.fresh_rows(sql, vec![]).await?;
        let number = rows.first().map_or(Ok(0), |row| row.try_get_by_index::<i64>(0));
        number.map_err(|error| refusal(&error))
    };
    let by_status =
        "SELECT status, COUNT(*), CAST(COALESCE(SUM(total_cents), 0) AS SIGNED) FROM orders GROUP BY status";
    let rows = parts.database.fresh_rows(by_status, vec![]).await?;
    let mut orders: Map<_, _> =
        Status::ALL.iter().map(|status| (status.as_str().to_owned(), Value::from(0))).collect();
    let mut sold_cents = 0_i64;
    for row in rows {
        let read = || Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?));
        let (status, number, cents): (String, i64, i64) = read().map_err(|error| refusal(&error))?;
        if ["paid", "shipped"].contains(&status.as_str()) {
            sold_cents += cents;
        }
        orders.insert(status, number.into());
    }
    res.json(&json!({
        "users": count("SELECT COUNT(*) FROM users").await?,
        "orders": orders,
        "sold_cents": sold_cents,
        "ledger_cents": count("SELECT CAST(COALESCE(SUM(amount_cents), 0) AS SIGNED) FROM ledger").await?,
        "events": count("SELECT COALESCE(MAX(id), 0) FROM order_events").await?,
    }))
}

#[derive(Deserialize)]
struct NewProduct {
    name: String,
    price_cents: i64,
    stock: i64,
}

pub(crate) async fn add_product(parts: &Rc<Parts>, req: &mut Req, res: &mut Res) -> Result {
    let NewProduct { name, price_cents, stock } = req.json().await?;
    if !(1..=100).contains(&name.chars().count()) || name.trim().is_empty() {
        return Err(Refusal::bad_request("`name` is 1 to 100 characters").into());
    }
    if !(0..=NUMBER_MAX).contains(&price_cents) || !(0..=NUMBER_MAX).contains(&stock) {
        let message =
            format!("`price_cents` and `stock` are 0 to {NUMBER_MAX}, not {price_cents} and {stock}");
        return Err(Refusal::bad_request(message).into());
    }
    let new = product::ActiveModel {
        id: NotSet,
        name: Set(name),
        price_cents: Set(price_cents),
        stock: Set(stock),
    };
    let added = parts.database.within(new.insert(parts.database.writer())).await?;
    res.status(201).json(&json!({ "product": added.shown() }))
}

#[derive(Deserialize)]
struct Delivery {
    add: i64,
}

pub(crate) async fn add_stock(parts: &Rc<Parts>, req: &mut Req, res: &mut Res) -> Result {
    let id: i64 = req.param_as("id")?;
    let Delivery { add } = req.json().await?;
    if !(1..=NUMBER_MAX).contains(&add) {
        return Err(Refusal::bad_request(format!("`add` is 1 to {NUMBER_MAX}, not {add}")).into());
    }
    let sql = "UPDATE products SET stock = stock + ? WHERE id = ?";
    parts.database.execute(sql, vec![add.into(), id.into()]).await?;
    let found = product::Entity::find_by_id(id).one(parts.database.writer());
    let found = parts.database.within(found).await?;
    let found = found.ok_or_else(|| Refusal::not_found(format!("there is no product {id}")))?;
    res.json(&json!({ "product": found.shown() }))
}

pub(crate) async fn ship(parts: &Rc<Parts>, req: &mut Req, res: &mut Res) -> Result {
    let (who, id) = (identity(parts, req).await?, req.param_as("id")?);
    let own = Rc::clone(parts);
    let whole = to_the_end(async move { own.orders.change(&who, id, Status::Shipped).await }).await?;
    res.json(&json!({ "order": shown(&whole) }))
}
