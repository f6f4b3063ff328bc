//! What the database says in the end, and the thousand orders that it is asked about.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::Shop;

/// Every step that a transaction takes; each of them fails now and then.
const STEPS: [&str; 15] = [
    "begin",
    "key",
    "stock",
    "price",
    "order",
    "item",
    "count",
    "number",
    "event",
    "commit",
    "committed",
    "status",
    "change",
    "ledger",
    "put back",
];

/// A thousand orders at once, with failures at each step, leave every sum right in the database at `url`.
pub(crate) async fn a_thousand_orders(shop: Shop, url: &str) {
    let shop = Rc::new(shop);
    let before = Books::read(url).await;
    let tokens =
        Rc::new([shop.register("ada").await, shop.register("bob").await, shop.register("cyd").await]);

    let failed: Rc<RefCell<BTreeMap<&str, u64>>> = Rc::default();
    let counts = Rc::clone(&failed);
    let calls = std::cell::Cell::new(0_u64);
    shop.service.fail_at(move |step| {
        calls.set(calls.get() + 1);
        let fails = calls.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59 == 0; // one in 32, by no rhythm of the steps
        *counts.borrow_mut().entry(step).or_default() += u64::from(fails);
        fails
    });
    let orders = (0..1000_usize).map(|number| {
        let (shop, tokens) = (Rc::clone(&shop), Rc::clone(&tokens));
        phaseloop::spawn(async move { customer(&shop, &tokens[number % 3], number).await })
    });
    let outcomes = futures::future::join_all(orders.collect::<Vec<_>>()).await;
    shop.service.fail_at(|_| false);

    let mut ids = BTreeSet::new();
    let mut by_status: BTreeMap<String, u64> = BTreeMap::new();
    for outcome in outcomes {
        let Some((id, status)) = outcome.unwrap() else { continue };
        assert!(ids.insert(id), "order {id} was given to two keys");
        *by_status.entry(status).or_default() += 1;
    }
    let after = Books::read(url).await;
    assert_eq!(
        after.orders,
        ids.len() as i64,
        "an order is there that nobody was told of, or the other way round"
    );
    assert_eq!(after.by_status, by_status);
    after.agree_with(&before);
    assert!(by_status["pending"] > 0 && by_status["paid"] > 0 && by_status["cancelled"] > 0, "{by_status:?}");
    let failed = failed.borrow();
    let untried: Vec<_> =
        STEPS.iter().filter(|step| failed.get(**step).is_none_or(|count| *count == 0)).collect();
    assert!(untried.is_empty(), "no failure at {untried:?}: {failed:?}");
}

/// Places an order and, of some, pays it, and cancels it; asks again until it is told yes or no. Gives what became of it.
async fn customer(shop: &Shop, token: &str, number: usize) -> Option<(i64, String)> {
    let items = match number % 4 {
        0 => vec![(1, 1 + number as i64 % 3), (3, 1)],
        1 => vec![(4, 1), (2, 5)],
        2 => vec![(6, 1)], // of which there are three
        _ => vec![(5, 2), (1, 1), (2, 1)],
    };
    let key = format!("customer-{number:04}");
    let order = loop {
        match shop.order(token, &key, &items).await {
            (200 | 201, answer) => break answer["order"].clone(),
            (503, _) => {}
            (409, answer) if answer["error"]["code"] == "out_of_stock" => return None,
            (status, answer) => panic!("{status} {answer}"),
        }
    };
    let id = order["id"].as_i64().unwrap();
    let mut status = "pending".to_owned();
    let wishes: &[&str] = match number % 5 {
        0 => &["pay"],
        1 => &["pay", "cancel"],
        2 => &["cancel"],
        3 => &["pay", "ship"],
        _ => &[],
    };
    for wish in wishes {
        status = loop {
            match shop.with_token(token, "POST", &format!("/api/orders/{id}/{wish}"), None).await {
                (200, answer) => break answer["order"]["status"].as_str().unwrap().to_owned(),
                (503, _) => {}
                (status, answer) => panic!("{status} {answer}"),
            }
        };
    }
    Some((id, status))
}

/// What the database says.
pub(crate) struct Books {
    pub(crate) stock: BTreeMap<i64, i64>,
    gone: BTreeMap<i64, i64>,
    pub(crate) orders: i64,
    /// Orders by the keys of those who placed them.
    pub(crate) keys: BTreeMap<String, i64>,
    pub(crate) by_status: BTreeMap<String, u64>,
    totals: i64,
    items: i64,
    sold: i64,
    pub(crate) ledger: i64,
    pub(crate) events: Vec<i64>,
    changes: i64,
}

impl Books {
    pub(crate) async fn read(url: &str) -> Self {
        let database = sea_orm::Database::connect(url).await.unwrap();
        let number = async |sql: &str| rows(&database, sql).await[0].try_get_by_index::<i64>(0).unwrap();
        let pairs = async |sql: &str| {
            let rows = rows(&database, sql).await;
            let pair = |row: &sea_orm::QueryResult| {
                (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap())
            };
            rows.iter().map(pair).collect::<BTreeMap<i64, i64>>()
        };
        let statuses = rows(&database, "SELECT status, COUNT(*) FROM orders GROUP BY status").await;
        let status = |row: &sea_orm::QueryResult| {
            (row.try_get_by_index(0).unwrap(), row.try_get_by_index::<i64>(1).unwrap() as u64)
        };
        let events = rows(&database, "SELECT id FROM order_events ORDER BY id").await;
        let keys = rows(&database, "SELECT idem_key, id FROM orders").await;
        let key =
            |row: &sea_orm::QueryResult| (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        Self {
            stock: pairs("SELECT id, stock FROM products").await,
            gone: pairs(
                "SELECT i.product_id, CAST(SUM(i.quantity) AS SIGNED) FROM order_items i JOIN orders o ON o.id = i.order_id \
                 WHERE o.status <> 'cancelled' GROUP BY i.product_id",
            )
            .await,
            orders: number("SELECT COUNT(*) FROM orders").await,
            keys: keys.iter().map(key).collect(),
            by_status: statuses.iter().map(status).collect(),
            totals: number("SELECT CAST(COALESCE(SUM(total_cents), 0) AS SIGNED) FROM orders").await,
            items: number("SELECT CAST(COALESCE(SUM(quantity * price_cents), 0) AS SIGNED) FROM order_items").await,
            sold: number(
                "SELECT CAST(COALESCE(SUM(total_cents), 0) AS SIGNED) FROM orders WHERE status IN ('paid', 'shipped')",
            )
            .await,
            ledger: number("SELECT CAST(COALESCE(SUM(amount_cents), 0) AS SIGNED) FROM ledger").await,
            events: events.iter().map(|row| row.try_get_by_index(0).unwrap()).collect(),
            // Each order begins with an event, and has one for each change: its charge, its refund, its end.
            changes: number(
                "SELECT (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM ledger WHERE kind = 'charge') \
                 + (SELECT COUNT(*) FROM orders WHERE status IN ('shipped', 'cancelled'))",
            )
            .await,
        }
    }

    pub(crate) fn agree_with(&self, before: &Self) {
        for (product, stock) in &self.stock {
            let gone = self.gone.get(product).copied().unwrap_or(0);
            assert_eq!(stock + gone, before.stock[product], "pieces of product {product}");
            assert!(*stock >= 0, "product {product} has {stock}");
        }
        assert_eq!(self.totals, self.items, "totals of orders, and of their items");
        assert_eq!(self.sold, self.ledger, "what was sold, and what was booked");
        assert_eq!(
            self.events,
            (1..=self.changes).collect::<Vec<_>>(),
            "events without a gap, one for each change"
        );
    }
}

async fn rows(database: &DatabaseConnection, sql: &str) -> Vec<sea_orm::QueryResult> {
    database.query_all_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap()
}
