//! Money is exact, and orders are placed once, whatever fails and whoever retries.
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use serde_json::Value;
use shop::books::{Books, a_thousand_orders};
use shop::test;

#[test]
fn a_thousand_orders_and_failures_at_each_step_leave_every_sum_right() {
    test(async |world| a_thousand_orders(world.open(&[]).await, &world.database()).await);
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
        assert_eq!(Books::read(&world.database()).await.orders, 1);

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
        let books = Books::read(&world.database()).await;
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
        let books = Books::read(&world.database()).await;
        assert_eq!((books.stock[&6], books.ledger, books.events.len()), (3, 0, 3));
        let (_, profile) = shop.get("/api/users/2").await;
        assert_eq!(profile["orders"]["spent_cents"], 0);
    });
}
