//! Users, profiles and the feed.
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use serde_json::{Value, json};
use shop::test;

#[test]
fn a_profile_is_read_from_the_cache_until_it_changes() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let profile = async || {
            let response = shop.response("GET", "/api/users/2", &[], None).await;
            let from = response.headers()["x-cache"].to_str().unwrap().to_owned();
            let body: Value = serde_json::from_slice(&response.into_body().bytes().await.unwrap()).unwrap();
            (from, body["orders"]["spent_cents"].as_i64().unwrap())
        };
        assert_eq!(profile().await, ("miss".into(), 0));
        assert_eq!(profile().await, ("hit".into(), 0));
        let (_, placed) = shop.order(&token, "an-order-of-ada", &[(2, 10)]).await;
        let path = format!("/api/orders/{}/pay", placed["order"]["id"]);
        assert_eq!(shop.with_token(&token, "POST", &path, None).await.0, 200);
        assert_eq!(profile().await, ("miss".into(), 3490));
        assert_eq!(profile().await, ("hit".into(), 3490));
        assert_eq!(shop.get("/api/users/77").await.0, 404);
    });
}

#[test]
fn a_restart_keeps_users_tokens_orders_and_posts() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        shop.order(&token, "an-order-of-ada", &[(1, 1), (2, 2)]).await;
        let post = json!({ "text": "hello", "tags": ["b", "a", "b"] });
        let (_, posted) = shop.with_token(&token, "POST", "/api/feed", Some(&post)).await;
        assert_eq!(posted["post"]["tags"], json!(["a", "b"]));
        shop.service.shutdown().await;

        let shop = world.open(&[]).await;
        let (status, orders) = shop.with_token(&token, "GET", "/api/orders", None).await;
        assert_eq!((status, orders["orders"][0]["items"].as_array().unwrap().len()), (200, 2));
        assert_eq!(shop.get("/api/feed?tag=a").await.1["posts"], json!([posted["post"]]));
        let body = json!({ "name": "ada", "password": "password of ada" });
        assert_eq!(shop.ask("POST", "/api/login", &[], Some(&body)).await.0, 200);
        let body = json!({ "name": "ada", "password": "password of bob" });
        assert_eq!(shop.ask("POST", "/api/login", &[], Some(&body)).await.0, 401);
    });
}

#[test]
fn lists_go_on_where_they_ended() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        for number in 0..7 {
            let text = json!({ "text": format!("post {number}"), "tags": [if number % 2 == 0 { "even" } else { "odd" }] });
            assert_eq!(shop.with_token(&token, "POST", "/api/feed", Some(&text)).await.0, 201);
            shop.order(&token, &format!("order-number-{number}"), &[(1, 1 + number)]).await;
        }
        let mut quantities = Vec::new();
        let mut path = "/api/orders?limit=3".to_owned();
        loop {
            let (_, page) = shop.with_token(&token, "GET", &path, None).await;
            quantities.extend(
                page["orders"].as_array().unwrap().iter().map(|order| order["items"][0]["quantity"].clone()),
            );
            if page["next"].is_null() {
                break;
            }
            path = format!("/api/orders?limit=3&before={}", page["next"]);
        }
        assert_eq!(Value::from(quantities), json!([7, 6, 5, 4, 3, 2, 1]));
        let (_, page) = shop.get("/api/feed?tag=even&limit=2").await;
        let next = page["next"].as_str().unwrap().to_owned();
        let (_, rest) = shop.get(&format!("/api/feed?tag=even&limit=2&before={next}")).await;
        let texts = |page: &Value| {
            page["posts"].as_array().unwrap().iter().map(|post| post["text"].clone()).collect::<Vec<_>>()
        };
        // Posts of one millisecond stand in no order among themselves.
        let mut all = [texts(&page), texts(&rest)].concat();
        all.sort_by_key(Value::to_string);
        assert_eq!(Value::from(all), json!(["post 0", "post 2", "post 4", "post 6"]));
    });
}

#[test]
fn an_admin_fills_the_shelves_and_reads_the_books() {
    test(async |world| {
        let shop = world.open(&[("APP_ENV", "production")]).await;
        let (boss, ada) = (shop.boss().await, shop.register("ada").await);
        assert_eq!(
            shop.get("/api/products").await.1["products"],
            json!([]),
            "production begins with nothing"
        );
        let product = json!({ "name": "Cup", "price_cents": 1200, "stock": 1 });
        let (status, added) = shop.with_token(&boss, "POST", "/admin/products", Some(&product)).await;
        assert_eq!((status, &added["product"]["id"]), (201, &json!(1)));
        let (_, more) =
            shop.with_token(&boss, "POST", "/admin/products/1/stock", Some(&json!({ "add": 4 }))).await;
        assert_eq!(more["product"]["stock"], 5);
        assert_eq!(
            shop.with_token(&boss, "POST", "/admin/products/9/stock", Some(&json!({ "add": 4 }))).await.0,
            404
        );
        shop.order(&ada, "an-order-of-ada", &[(1, 3)]).await;
        shop.with_token(&ada, "POST", "/api/orders/1/pay", None).await;
        assert_eq!(
            shop.with_token(&ada, "POST", "/api/orders/1/ship", None).await.0,
            403,
            "customers do not ship"
        );
        assert_eq!(shop.with_token(&boss, "POST", "/admin/orders/1/ship", None).await.0, 200);
        let (_, stats) = shop.with_token(&boss, "GET", "/admin/stats", None).await;
        let orders = json!({ "pending": 0, "paid": 0, "shipped": 1, "cancelled": 0 });
        let wanted =
            json!({ "users": 2, "orders": orders, "sold_cents": 3600, "ledger_cents": 3600, "events": 3 });
        assert_eq!(stats, wanted);
        let block = json!({ "ms": 1 });
        assert_eq!(
            shop.ask("POST", "/api/loop/block", &[], Some(&block)).await.0,
            404,
            "no buttons in production"
        );
    });
}

#[test]
fn lists_come_from_the_replica_and_what_was_just_written_does_not() {
    test(async |world| {
        // A replica that is as far behind as one can be: a shop of its own.
        let behind = format!("sqlite:{}", world.folder.file("behind.db").display());
        world.open(&[("DATABASE_URL", &behind)]).await.service.shutdown().await;
        let shop = world.open(&[("DATABASE_REPLICA_URL", &behind)]).await;
        let token = shop.register("ada").await;
        let (_, placed) = shop.order(&token, "an-order-of-ada", &[(1, 5)]).await;
        assert_eq!(
            shop.get("/api/products").await.1["products"][0]["stock"],
            5_000,
            "the replica has not heard of it"
        );
        assert_eq!(shop.with_token(&token, "GET", "/api/orders", None).await.1["orders"], json!([]));
        let path = format!("/api/orders/{}", placed["order"]["id"]);
        assert_eq!(
            shop.with_token(&token, "GET", &path, None).await.1,
            placed,
            "one's own order is read where it is written"
        );
        assert_eq!(shop.get("/api/users/2").await.0, 200, "and so is what goes into the cache");
    });
}

#[test]
fn a_token_of_another_database_is_nobodys() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let (ada, bob) = (shop.register("ada").await, shop.register("bob").await);
        assert_eq!(shop.with_token(&ada, "GET", "/api/me", None).await.0, 200);
        shop.service.shutdown().await;

        // Made anew, with the same secret. The id of ada is that of cyd, and that of bob is nobody's.
        let anew = format!("sqlite:{}", world.folder.file("anew.db").display());
        let shop = world.open(&[("DATABASE_URL", &anew)]).await;
        let cyd = shop.register("cyd").await;
        let refused = async |token: &str| {
            for (method, path) in [("GET", "/api/me"), ("GET", "/api/orders/1"), ("GET", "/admin/stats")] {
                let (status, answer) = shop.with_token(token, method, path, None).await;
                let message = "the token's user is not known here: log in again";
                assert_eq!((status, &answer["error"]["message"]), (401, &Value::from(message)), "{path}");
            }
            assert_eq!(shop.order(token, "of-somebody-else", &[(1, 1)]).await.0, 401);
        };
        refused(&ada).await;
        refused(&bob).await;
        let (_, me) = shop.with_token(&cyd, "GET", "/api/me", None).await;
        assert_eq!((&me["user"]["id"], &me["user"]["name"]), (&json!(2), &json!("cyd")));
        // One of the same name and id is another user nevertheless.
        let later = shop.register("bob").await;
        assert_eq!(shop.with_token(&later, "GET", "/api/me", None).await.1["user"]["id"], 3);
        refused(&bob).await;
    });
}

#[test]
fn who_is_made_an_admin_is_so_with_no_token_from_before() {
    test(async |world| {
        // Somebody has the name before there is an admin of it.
        let shop = world.open(&[("ADMIN_NAME", "chief")]).await;
        let early = shop.register("boss").await;
        assert_eq!(shop.with_token(&early, "GET", "/api/me", None).await.0, 200);
        shop.service.shutdown().await;

        let shop = world.open(&[]).await;
        let mut token = shop.boss().await;
        assert_eq!(shop.with_token(&token, "GET", "/admin/stats", None).await.0, 200);
        for path in ["/admin/stats", "/api/me"] {
            assert_eq!(shop.with_token(&early, "GET", path, None).await.0, 401, "{path}");
        }
        shop.service.shutdown().await;

        // Another start changes nothing, another password ends what was begun with the one before.
        for (password, status) in [("boss-password", 200), ("another-password", 401)] {
            let shop = world.open(&[("ADMIN_PASSWORD", password)]).await;
            assert_eq!(shop.with_token(&token, "GET", "/admin/stats", None).await.0, status, "{password}");
            let body = json!({ "name": "boss", "password": password });
            let (_, answer) = shop.ask("POST", "/api/login", &[], Some(&body)).await;
            token = answer["token"].as_str().unwrap().to_owned();
            assert_eq!(shop.with_token(&token, "GET", "/admin/stats", None).await.0, 200);
            shop.service.shutdown().await;
        }
    });
}
