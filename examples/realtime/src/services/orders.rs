//! Orders: placed once, whatever is retried; paid, shipped, cancelled; and each change told.

use std::rc::Rc;
use std::time::Duration;

use fs_pool::hash::{Algorithm, Hasher};
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value};

use super::tokens::Identity;
use super::users::profile_key;
use crate::log::now_ms;
use crate::models::order::{self, Status};
use crate::models::{order_item, product};
use crate::refusal::Refusal;
use crate::stores::database::{Stop, is_taken};
use crate::stores::{Cache, Database, Hub, Lock, Locks, Tx};

/// The topic under which workers are told of new events.
pub(crate) const NEWS: &str = "orders";

/// How often, and how far apart, it is asked for.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

pub(crate) struct Orders {
    database: Rc<Database>,
    cache: Rc<dyn Cache>,
    locks: Rc<dyn Locks>,
    hub: Rc<dyn Hub>,
}

/// An order and its items.
pub(crate) type Whole = (order::Model, Vec<order_item::Model>);

/// What somebody wants.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Wanted {
    pub(crate) product: i64,
    pub(crate) quantity: i64,
}

/// Why an order is not placed.
enum NotPlaced {
    Refused(Refusal),
    /// Somebody else has just used the key.
    KeyTaken,
    /// Too little is left; or this key's own first try has taken it.
    OutOfStock(Refusal),
}

impl From<Refusal> for NotPlaced {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Orders {
    pub(crate) fn new(
        database: &Rc<Database>,
        cache: &Rc<dyn Cache>,
        locks: &Rc<dyn Locks>,
        hub: &Rc<dyn Hub>,
    ) -> Self {
        let (cache, locks, hub) = (Rc::clone(cache), Rc::clone(locks), Rc::clone(hub));
        Self { database: Rc::clone(database), cache, locks, hub }
    }

    /// All products.
    pub(crate) async fn products(&self) -> Result<Vec<product::Model>, Refusal> {
        let all = product::Entity::find().order_by_asc(product::Column::Id).limit(500);
        self.database.within(all.all(self.database.lists())).await
    }

    /// Places an order: whole or not at all. True if this key had placed it before.
    pub(crate) async fn place(
        &self,
        who: &Identity,
        key: &str,
        wanted: Vec<Wanted>,
    ) -> Result<(Whole, bool), Refusal> {
        let wanted = checked(wanted)?;
        let hash = hash_of(&wanted);
        let outcome = self.database.transaction(async |tx| place(tx, who, key, &hash, &wanted).await).await;
        match outcome {
            Ok((whole, false)) => {
                self.tell(who.id).await;
                Ok((whole, false))
            }
            Ok((whole, true)) => Ok((whole, true)),
            Err(NotPlaced::Refused(refusal)) => Err(refusal),
            Err(NotPlaced::KeyTaken) => {
                let lost = Refusal::unavailable("the order of this key is being placed: try again");
                self.replay(who, key, &hash, lost).await
            }
            Err(NotPlaced::OutOfStock(refusal)) => self.replay(who, key, &hash, refusal).await,
        }
    }

    /// The order that this key has placed meanwhile, or the refusal. It is looked for in a transaction of its own: the one that
    /// failed sees what there was when it began, and gives back what it took.
    async fn replay(
        &self,
        who: &Identity,
        key: &str,
        hash: &str,
        refusal: Refusal,
    ) -> Result<(Whole, bool), Refusal> {
        let placed = self.database.transaction(async |tx| placed_before(tx, who, key, hash).await).await?;
        placed.map(|whole| (whole, true)).ok_or(refusal)
    }

    /// Orders of a user, the newest first, those before `before`.
    pub(crate) async fn list(
        &self,
        user: i64,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Whole>, Refusal> {
        let mut query = order::Entity::find().filter(order::Column::UserId.eq(user));
        if let Some(before) = before {
            query = query.filter(order::Column::Id.lt(before));
        }
        let orders = query.order_by_desc(order::Column::Id).limit(limit).all(self.database.lists());
        let orders = self.database.within(orders).await?;
        let ids = orders.iter().map(|order| order.id);
        let items = order_item::Entity::find()
            .filter(order_item::Column::OrderId.is_in(ids))
            .order_by_asc(order_item::Column::ProductId)
            .all(self.database.lists());
        let mut items = self.database.within(items).await?;
        let mut whole = Vec::with_capacity(orders.len());
        for order in orders {
            let own = items.extract_if(.., |item| item.order_id == order.id).collect();
            whole.push((order, own));
        }
        Ok(whole)
    }

    /// An order that `who` may see.
    pub(crate) async fn find(&self, who: &Identity, id: i64) -> Result<Whole, Refusal> {
        let found =
            order::Entity::find_by_id(id).find_with_related(order_item::Entity).all(self.database.fresh());
        let whole = self.database.within(found).await?.pop().ok_or_else(|| no_order(id))?;
        if whole.0.user_id != who.id && !who.is_admin() {
            return Err(Refusal::forbidden(format!("order {id} is somebody else's")));
        }
        Ok(whole)
    }

    /// Moves an order on. One that is there already is left as it is.
    pub(crate) async fn change(&self, who: &Identity, id: i64, next: Status) -> Result<Whole, Refusal> {
        let _lock = self.lock(id).await?;
        let (owner, changed) = self.database.transaction(async |tx| change(tx, who, id, next).await).await?;
        if changed {
            self.tell(owner).await;
        }
        self.find(who, id).await
    }

    async fn lock(&self, id: i64) -> Result<Lock, Refusal> {
        let name = format!("order:{id}");
        // Longer than a transaction takes, and not longer than that: a Redis that did not answer may have given it to nobody.
        let ttl = self.database.patience() * 2;
        for _ in 0..LOCK_TRIES {
            if let Some(lock) = self.locks.try_lock(&name, ttl).await? {
                return Ok(lock);
            }
            phaseloop::sleep(LOCK_PAUSE).await;
        }
        Err(Refusal::conflict("busy", format!("order {id} is being changed")))
    }

    /// What is stored is told: to those who follow orders, and to the cache.
    async fn tell(&self, user: i64) {
        self.hub.tell(NEWS);
        // A profile that stays in the cache is old for half a minute, and says so nowhere.
        let _ = self.cache.remove(&profile_key(user)).await;
    }
}

/// Items in the order of their products, so that no two orders wait for each other.
fn checked(mut wanted: Vec<Wanted>) -> Result<Vec<Wanted>, Refusal> {
    if !(1..=20).contains(&wanted.len()) {
        return Err(Refusal::bad_request(format!("an order is of 1 to 20 items, not {}", wanted.len())));
    }
    if let Some(item) = wanted.iter().find(|item| !(1..=1000).contains(&item.quantity)) {
        let Wanted { product, quantity } = item;
        return Err(Refusal::bad_request(format!(
            "of product {product} one can order 1 to 1000, not {quantity}"
        )));
    }
    wanted.sort_by_key(|item| item.product);
    if let Some(twice) = wanted.windows(2).find(|pair| pair[0].product == pair[1].product) {
        return Err(Refusal::bad_request(format!("product {} stands in the order twice", twice[0].product)));
    }
    Ok(wanted)
}

fn hash_of(wanted: &[Wanted]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    wanted.iter().for_each(|item| hasher.update(format!("{}:{};", item.product, item.quantity)));
    hasher.finish().to_string()
}

async fn place(
    tx: &Tx,
    who: &Identity,
    key: &str,
    hash: &str,
    wanted: &[Wanted],
) -> Result<(Whole, bool), Stop<NotPlaced>> {
    let before = placed_before(tx, who, key, hash).await.map_err(|stop| match stop {
        Stop::Refused(refusal) => Stop::Refused(NotPlaced::Refused(refusal)),
        Stop::Database(error) => Stop::Database(error),
    })?;
    if let Some(whole) = before {
        return Ok((whole, true));
    }
    let mut items = Vec::with_capacity(wanted.len());
    for item in wanted {
        items.push(take_from_shelf(tx, item).await?);
    }
    let total_cents = total(&items).ok_or_else(|| {
        Stop::Refused(NotPlaced::Refused(Refusal::bad_request("this order costs more than there is money")))
    })?;
    let at = now_ms();
    let (user, pending) = (who.id, Status::Pending.as_str());
    let sql = "INSERT INTO orders (user_id, idem_key, idem_hash, status, total_cents, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values =
        vec![user.into(), key.into(), hash.into(), pending.into(), total_cents.into(), at.into(), at.into()];
    let id = match tx.execute("order", sql, values).await {
        Ok(inserted) => i64::try_from(inserted.last_insert_id()).unwrap_or(i64::MAX),
        Err(error) if is_taken(&error) => return Err(Stop::Refused(NotPlaced::KeyTaken)),
        Err(error) => return Err(error.into()),
    };
    for item in &mut items {
        item.order_id = id;
        let sql = "INSERT INTO order_items (order_id, product_id, name, quantity, price_cents) VALUES (?, ?, ?, ?, ?)";
        let (name, quantity, price) =
            (item.name.as_str().into(), item.quantity.into(), item.price_cents.into());
        tx.execute("item", sql, vec![id.into(), item.product_id.into(), name, quantity, price]).await?;
    }
    note_event(tx, id, &who.name, Status::Pending, total_cents, at).await?;
    let (idem_key, idem_hash, status) = (key.to_owned(), hash.to_owned(), pending.to_owned());
    let order = order::Model {
        id,
        user_id: user,
        idem_key,
        idem_hash,
        status,
        total_cents,
        created_at: at,
        updated_at: at,
    };
    Ok(((order, items), false))
}

/// The order that this key has placed.
async fn placed_before(tx: &Tx, who: &Identity, key: &str, hash: &str) -> Result<Option<Whole>, Stop> {
    let sql = "SELECT id, idem_hash, status, total_cents, created_at, updated_at FROM orders WHERE user_id = ? AND idem_key = ?";
    let Some(row) = tx.row("key", sql, vec![who.id.into(), key.into()]).await? else { return Ok(None) };
    let id: i64 = row.try_get_by_index(0)?;
    let order = order::Model {
        id,
        user_id: who.id,
        idem_key: key.to_owned(),
        idem_hash: row.try_get_by_index(1)?,
        status: row.try_get_by_index(2)?,
        total_cents: row.try_get_by_index(3)?,
        created_at: row.try_get_by_index(4)?,
        updated_at: row.try_get_by_index(5)?,
    };
    if order.idem_hash != hash {
        return Err(Refusal::key_reused("this Idempotency-Key", "body").into());
    }
    let items = items_of(tx, id).await?;
    Ok(Some((order, items)))
}

async fn items_of(tx: &Tx, id: i64) -> Result<Vec<order_item::Model>, DbErr> {
    let sql = "SELECT product_id, name, quantity, price_cents FROM order_items WHERE order_id = ? ORDER BY product_id";
    let rows = tx.rows("items", sql, vec![id.into()]).await?;
    let item = |row: sea_orm::QueryResult| {
        Ok(order_item::Model {
            order_id: id,
            product_id: row.try_get_by_index(0)?,
            name: row.try_get_by_index(1)?,
            quantity: row.try_get_by_index(2)?,
            price_cents: row.try_get_by_index(3)?,
        })
    };
    rows.into_iter().map(item).collect()
}

/// Takes a product's pieces from the shelf, at today's price.
async fn take_from_shelf(tx: &Tx, wanted: &Wanted) -> Result<order_item::Model, Stop<NotPlaced>> {
    let Wanted { product, quantity } = *wanted;
    let sql = "UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?";
    let taken = tx.execute("stock", sql, vec![quantity.into(), product.into(), quantity.into()]).await?;
    let sql = "SELECT name, price_cents, stock FROM products WHERE id = ?";
    let row = tx.row("price", sql, vec![product.into()]).await?;
    let refused = |refusal| Stop::Refused(NotPlaced::Refused(refusal));
    let row = row.ok_or_else(|| refused(Refusal::bad_request(format!("there is no product {product}"))))?;
    if taken.rows_affected() == 0 {
        let left: i64 = row.try_get_by_index(2)?;
        let message = format!("product {product} has {left} left, and {quantity} are ordered");
        return Err(Stop::Refused(NotPlaced::OutOfStock(Refusal::conflict("out_of_stock", message))));
    }
    let (name, price_cents) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    Ok(order_item::Model { order_id: 0, product_id: product, name, quantity, price_cents })
}

fn total(items: &[order_item::Model]) -> Option<i64> {
    items.iter().try_fold(0_i64, |sum, item| sum.checked_add(item.quantity.checked_mul(item.price_cents)?))
}

/// Gives the order's owner, and whether anything was changed.
async fn change(tx: &Tx, who: &Identity, id: i64, next: Status) -> Result<(i64, bool), Stop> {
    let sql = "SELECT o.user_id, o.status, o.total_cents, u.name FROM orders o JOIN users u ON u.id = o.user_id WHERE o.id = ?";
    let row = tx.row("status", sql, vec![id.into()]).await?.ok_or_else(|| no_order(id))?;
    let (owner, mut status): (i64, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    let (total_cents, owner_name): (i64, String) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
    if owner != who.id && !who.is_admin() {
        return Err(Refusal::forbidden(format!("order {id} is somebody else's")).into());
    }
    let at = now_ms();
    let now = loop {
        let now = Status::parse(&status)
            .ok_or_else(|| Refusal::internal(format!("order {id} has the status {status:?}")))?;
        if now == next {
            return Ok((owner, false));
        }
        if !now.may_become(next) {
            let message = format!("order {id} is {status}, and can not become {}", next.as_str());
            return Err(Refusal::conflict("conflict", message).into());
        }
        let sql = "UPDATE orders SET status = ?, updated_at = ? WHERE id = ? AND status = ?";
        let values: Vec<Value> = vec![next.as_str().into(), at.into(), id.into(), now.as_str().into()];
        if tx.execute("change", sql, values).await?.rows_affected() > 0 {
            break now;
        }
        // Another worker was faster: what it has committed is seen, and may be just this. An order only goes forward, so this ends.
        let row = tx.row("status", "SELECT status FROM orders WHERE id = ?", vec![id.into()]).await?;
        status = row.ok_or_else(|| no_order(id))?.try_get_by_index(0)?;
    };
    match (now, next) {
        (_, Status::Paid) => book(tx, id, "charge", total_cents, at).await?,
        (Status::Paid, Status::Cancelled) => {
            book(tx, id, "refund", -total_cents, at).await?;
            put_back(tx, id).await?;
        }
        (_, Status::Cancelled) => put_back(tx, id).await?,
        _ => {}
    }
    note_event(tx, id, &owner_name, next, total_cents, at).await?;
    Ok((owner, true))
}

/// Money that came or went. There is one charge and one refund for an order, whatever happens.
async fn book(tx: &Tx, id: i64, kind: &str, amount_cents: i64, at: i64) -> Result<(), DbErr> {
    let sql = "INSERT INTO ledger (order_id, kind, amount_cents, at) VALUES (?, ?, ?, ?)";
    tx.execute("ledger", sql, vec![id.into(), kind.into(), amount_cents.into(), at.into()]).await.map(drop)
}

async fn put_back(tx: &Tx, id: i64) -> Result<(), DbErr> {
    for item in items_of(tx, id).await? {
        let sql = "UPDATE products SET stock = stock + ? WHERE id = ?";
        tx.execute("put back", sql, vec![item.quantity.into(), item.product_id.into()]).await?;
    }
    Ok(())
}

/// Notes what is to be told, together with what it tells of. The counter's row is held until the commit: so ids rise in the order of
/// the commits, and who has read up to an id has missed nothing before it. It comes last, to be held briefly.
async fn note_event(
    tx: &Tx,
    id: i64,
    user: &str,
    status: Status,
    total_cents: i64,
    at: i64,
) -> Result<(), DbErr> {
    tx.execute("count", "UPDATE counters SET value = value + 1 WHERE name = 'order_events'", vec![]).await?;
    let row = tx.row("number", "SELECT value FROM counters WHERE name = 'order_events'", vec![]).await?;
    let missing = || DbErr::RecordNotFound("the counter of order events".to_owned());
    let number: i64 = row.ok_or_else(missing)?.try_get_by_index(0)?;
    let sql = "INSERT INTO order_events (id, order_id, user_name, status, total_cents, at) VALUES (?, ?, ?, ?, ?, ?)";
    let values =
        vec![number.into(), id.into(), user.into(), status.as_str().into(), total_cents.into(), at.into()];
    tx.execute("event", sql, values).await.map(drop)
}

fn no_order(id: i64) -> Refusal {
    Refusal::not_found(format!("there is no order {id}"))
}
