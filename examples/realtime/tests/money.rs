//! Money is exact, and orders are placed once, whatever fails and whoever retries.
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::Value;
use shop::{Shop, World, test};

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

#[test]
fn a_thousand_orders_and_failures_at_each_step_leave_every_sum_right() {
    test(async |world| {
        let shop = Rc::new(world.open(&[]).await);
        let before = Books::read(world).await;
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
        let after = Books::read(world).await;
        assert_eq!(
            after.orders,
            ids.len() as i64,
            "an order is there that nobody was told of, or the other way round"
        );
        assert_eq!(after.by_status, by_status);
        after.agree_with(&before);
        assert!(
            by_status["pending"] > 0 && by_status["paid"] > 0 && by_status["cancelled"] > 0,
            "{by_status:?}"
        );
        let failed = failed.borrow();
        let untried: Vec<_> =
            STEPS.iter().filter(|step| failed.get(**step).is_none_or(|count| *count == 0)).collect();
        assert!(untried.is_empty(), "no failure at {untried:?}: {failed:?}");
    });
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
struct Books {
    stock: BTreeMap<i64, i64>,
    gone: BTreeMap<i64, i64>,
    orders: i64,
    by_status: BTreeMap<String, u64>,
    totals: i64,
    items: i64,
    sold: i64,
    ledger: i64,
    events: Vec<i64>,
    changes: i64,
}

impl Books {
    async fn read(world: &World) -> Self {
        let url = format!("sqlite:{}", world.folder.file("shop.db").display());
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
        Self {
            stock: pairs("SELECT id, stock FROM products").await,
            gone: pairs(
                "SELECT i.product_id, SUM(i.quantity) FROM order_items i JOIN orders o ON o.id = i.order_id \
                 WHERE o.status <> 'cancelled' GROUP BY i.product_id",
            )
            .await,
            orders: number("SELECT COUNT(*) FROM orders").await,
            by_status: statuses.iter().map(status).collect(),
            totals: number("SELECT COALESCE(SUM(total_cents), 0) FROM orders").await,
            items: number("SELECT COALESCE(SUM(quantity * price_cents), 0) FROM order_items").await,
            sold: number(
                "SELECT COALESCE(SUM(total_cents), 0) FROM orders WHERE status IN ('paid', 'shipped')",
            )
            .await,
            ledger: number("SELECT COALESCE(SUM(amount_cents), 0) FROM ledger").await,
            events: events.iter().map(|row| row.try_get_by_index(0).unwrap()).collect(),
            // Each order begins with an event, and has one for each change: its charge, its refund, its end.
            changes: number(
                "SELECT (SELECT COUNT(*) FROM orders) + (SELECT COUNT(*) FROM ledger WHERE kind = 'charge') \
                 + (SELECT COUNT(*) FROM orders WHERE status IN ('shipped', 'cancelled'))",
            )
            .await,
        }
    }

    fn agree_with(&self, before: &Self) {
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

#[test]
fn retries_under_one_key_place_one_order() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let tries = (0..40).map(|_| shop.order(&token, "one-and-the-same", &[(1, 2), (6, 1)]));
        let answers = futures::future::join_all(tries).await;
        let made = answers.iter().filter(|(status, _)| *status == 201).count();
        assert_eq!(made, 1);
        let (_, first) = &answers[0];
        for (status, answer) in &answers {
            assert!([200, 201].contains(status) && answer == first, "{status} {answer}");
        }
        assert_eq!(Books::read(world).await.orders, 1);

        let (status, answer) = shop.order(&token, "one-and-the-same", &[(1, 3), (6, 1)]).await;
        assert_eq!((status, &answer["error"]["code"]), (422, &Value::from("key_reused")));
        let other = shop.register("bob").await;
        assert_eq!(shop.order(&other, "one-and-the-same", &[(1, 2)]).await.0, 201, "a key is its user's own");
    });
}

#[test]
fn the_last_pieces_are_sold_once() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let keys: Vec<_> = (0..50).map(|number| format!("last-piece-{number}")).collect();
        let tries = keys.iter().map(|key| shop.order(&token, key, &[(1, 1), (6, 1)]));
        let answers = futures::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|(status, _)| *status == 201).count(), 3);
        let told = "product 6 has 0 left, and 1 are ordered";
        assert_eq!(
            answers
                .iter()
                .filter(|(status, answer)| *status == 409 && answer["error"]["message"] == told)
                .count(),
            47
        );
        let books = Books::read(world).await;
        assert_eq!((books.stock[&6], books.stock[&1]), (0, 4_997), "an order that fails takes nothing");
    });
}

#[test]
fn an_order_goes_its_way_and_no_other() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let (ada, bob) = (shop.register("ada").await, shop.register("bob").await);
        let (_, placed) = shop.order(&ada, "an-order-of-ada", &[(6, 2)]).await;
        let path = format!("/api/orders/{}", placed["order"]["id"]);
        let change = async |token: &str, what: &str| {
            let (status, answer) = shop.with_token(token, "POST", &format!("{path}/{what}"), None).await;
            let told = answer["order"]["status"].as_str().or(answer["error"]["code"].as_str());
            (status, told.unwrap_or_default().to_owned())
        };
        assert_eq!(change(&ada, "ship").await, (409, "conflict".into()));
        assert_eq!(change(&bob, "pay").await, (403, "forbidden".into()));
        assert_eq!(shop.with_token(&bob, "GET", &path, None).await.0, 403);
        assert_eq!(change(&ada, "pay").await, (200, "paid".into()));
        assert_eq!(change(&ada, "pay").await, (200, "paid".into()), "paid once, told twice");
        assert_eq!(change(&ada, "cancel").await, (200, "cancelled".into()));
        assert_eq!(change(&ada, "pay").await, (409, "conflict".into()));
        let books = Books::read(world).await;
        assert_eq!((books.stock[&6], books.ledger, books.events.len()), (3, 0, 3));
        let (_, profile) = shop.get("/api/users/2").await;
        assert_eq!(profile["orders"]["spent_cents"], 0);
    });
}
