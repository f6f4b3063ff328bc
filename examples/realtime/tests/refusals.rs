//! What must not get in does not, and is told why; what must not get out does not.
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use std::time::Instant;

use futures::AsyncReadExt;
use phaseloop::net::TcpStream;
use serde_json::{Value, json};
use shop::{SECRET, bearer, test};

#[test]
fn texts_of_attackers_are_texts() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        for text in [
            "'; DROP TABLE orders; --",
            "\" OR 1=1 --",
            "$(reboot)",
            "{\"$gt\":\"\"}",
            "<script>alert(1)</script>",
            "\u{0}\u{7}🦀",
        ] {
            let body = json!({ "name": text, "password": "a long password" });
            assert_eq!(shop.ask("POST", "/api/users", &[], Some(&body)).await.0, 400, "{text}");
            let body = json!({ "name": "ada", "password": format!("{text} is no password") });
            assert_eq!(shop.ask("POST", "/api/login", &[], Some(&body)).await.0, 401, "{text}");
            let body = json!({ "text": text, "tags": ["tag"] });
            let (status, answer) = shop.with_token(&token, "POST", "/api/feed", Some(&body)).await;
            assert_eq!((status, answer["post"]["text"].as_str()), (201, Some(text)), "kept as it is");
            let body = json!({ "text": "hello", "tags": [text] });
            assert_eq!(shop.with_token(&token, "POST", "/api/feed", Some(&body)).await.0, 400, "{text}");
        }
        for path in [
            "/api/feed?tag='%20OR%20''='",
            "/api/feed?before=%27%3B--",
            "/api/orders/1%20OR%201=1",
            "/api/users/-1%3B",
        ] {
            assert_eq!(shop.with_token(&token, "GET", path, None).await.0, 400, "{path}");
        }
        let (_, feed) = shop.get("/api/feed?tag=tag").await;
        assert_eq!(feed["posts"].as_array().unwrap().len(), 6, "and all tables are there");
        assert_eq!(shop.order(&token, "still-selling", &[(1, 1)]).await.0, 201);
    });
}

#[test]
fn orders_of_another_shape_are_refused_with_words() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let item = |product: Value, quantity: Value| json!({ "items": [{ "product": product, "quantity": quantity }] });
        let bodies = [
            json!({}),
            json!([]),
            json!({ "items": [] }),
            json!({ "items": "all" }),
            item(json!("1"), json!(1)),
            item(json!(1), json!(0)),
            item(json!(1), json!(-5)),
            item(json!(1), json!(1.5)),
            item(json!(1), json!(1001)),
            item(json!(1), json!(9_223_372_036_854_775_807_u64)),
            item(json!(1), Value::Null),
            item(json!(999), json!(1)),
            json!({ "items": vec![json!({ "product": 1, "quantity": 1 }); 2] }),
            json!({ "items": vec![json!({ "product": 1, "quantity": 1 }); 21] }),
        ];
        for (number, body) in bodies.iter().enumerate() {
            let fields =
                [("authorization", &*bearer(&token)), ("idempotency-key", &*format!("a-bad-body-{number}"))];
            let (status, answer) = shop.ask("POST", "/api/orders", &fields, Some(body)).await;
            assert_eq!(
                (status, &answer["error"]["code"]),
                (400, &Value::from("bad_request")),
                "{body} {answer}"
            );
            assert!(
                answer["error"]["message"].as_str().is_some_and(|message| message.len() > 10),
                "{answer}"
            );
        }
        for key in ["", "short", "with a blank in it", &"k".repeat(65)] {
            let fields = [("authorization", &*bearer(&token)), ("idempotency-key", key)];
            let body = item(json!(1), json!(1));
            assert_eq!(shop.ask("POST", "/api/orders", &fields, Some(&body)).await.0, 400, "{key:?}");
        }
    });
}

#[test]
fn posts_and_questions_of_another_shape_are_refused() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let long = json!({ "text": "x".repeat(2001) });
        assert_eq!(shop.with_token(&token, "POST", "/api/feed", Some(&long)).await.0, 400);
        let huge = json!({ "text": "x".repeat(20_000) });
        let (status, answer) = shop.with_token(&token, "POST", "/api/feed", Some(&huge)).await;
        assert_eq!((status, &answer["error"]["code"]), (413, &Value::from("too_large")));
        let many = json!({ "text": "x", "tags": ["a", "b", "c", "d", "e", "f"] });
        assert_eq!(shop.with_token(&token, "POST", "/api/feed", Some(&many)).await.0, 400);
        let form = shop.response("POST", "/api/login", &[("content-type", "text/plain")], None).await;
        assert_eq!(form.status().as_u16(), 415);
        for path in [
            "/api/feed?limit=0",
            "/api/feed?limit=101",
            "/api/feed?limit=x",
            "/api/orders?before=x",
            "/api/orders/x",
        ] {
            assert_eq!(shop.with_token(&token, "GET", path, None).await.0, 400, "{path}");
        }
        for (path, body) in [
            ("/api/loop/block", json!({ "ms": 2001 })),
            ("/api/loop/block", json!({ "ms": "1" })),
            ("/api/loop/load-pool", json!({ "jobs": 65, "ms": 1 })),
            ("/api/loop/load-pool", json!({ "jobs": 1, "ms": 0 })),
        ] {
            assert_eq!(shop.ask("POST", path, &[], Some(&body)).await.0, 400, "{path} {body}");
        }
    });
}

#[test]
fn who_is_nobody_or_somebody_else_is_refused() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        for (method, path) in [
            ("POST", "/api/orders"),
            ("GET", "/api/orders"),
            ("GET", "/api/orders/1"),
            ("POST", "/api/orders/1/pay"),
            ("POST", "/api/feed"),
            ("GET", "/api/me"),
            ("GET", "/admin/stats"),
            ("POST", "/admin/products"),
        ] {
            let (status, answer) = shop.ask(method, path, &[], None).await;
            assert_eq!(
                (status, &answer["error"]["code"]),
                (401, &Value::from("unauthorized")),
                "{method} {path}"
            );
        }
        assert_eq!(shop.with_token(&token, "GET", "/admin/stats", None).await.0, 403);
        let claims = token.split_once('.').unwrap().0;
        for forged in [
            "",
            "x",
            "a.b",
            &format!("{claims}."),
            &format!("{claims}.AAAA"),
            &token[..token.len() - 1],
            &"x".repeat(4000),
        ] {
            let (status, answer) = shop.with_token(forged, "GET", "/api/me", None).await;
            assert_eq!((status, &answer["error"]["code"]), (401, &Value::from("unauthorized")), "{forged}");
        }
        let (status, _) = shop.ask("GET", "/api/me", &[("authorization", "Basic YWRhOmFkYQ==")], None).await;
        assert_eq!(status, 401);
        assert_eq!(shop.with_token(&token, "GET", "/api/me", None).await.1["user"]["name"], "ada");
        let again = json!({ "name": "ada", "password": "another password" });
        let (status, answer) = shop.ask("POST", "/api/users", &[], Some(&again)).await;
        assert_eq!((status, &answer["error"]["code"]), (409, &Value::from("conflict")));
        let role = json!({ "name": "eve", "password": "a long password", "role": "admin" });
        assert_eq!(shop.ask("POST", "/api/users", &[], Some(&role)).await.1["user"]["role"], "customer");
    });
}

#[test]
fn pages_of_other_origins_may_not_call() {
    test(async |world| {
        let shop = world.open(&[("ALLOWED_ORIGINS", "https://app.example")]).await;
        let own = shop.base.clone();
        for (origin, status) in [
            ("https://evil.example", 403),
            ("null", 403),
            ("http://127.0.0.1:1", 403),
            ("https://app.example", 200),
            (&own, 200),
        ] {
            let fields = [("origin", origin)];
            assert_eq!(shop.ask("GET", "/api/products", &fields, None).await.0, status, "{origin}");
            let polling = "/socket.io/?EIO=4&transport=polling";
            assert_eq!(shop.ask("GET", polling, &fields, None).await.0, status, "{origin}");
        }
        let allowed = shop.response("GET", "/api/products", &[("origin", "https://app.example")], None).await;
        assert_eq!(allowed.headers()["access-control-allow-origin"], "https://app.example");
    });
}

/// No more got through than may at once, and in the time since then.
#[track_caller]
fn at_most(count: usize, burst: u32, per_s: f64, begin: Instant) {
    let allowed = f64::from(burst) + begin.elapsed().as_secs_f64() * per_s;
    assert!(count as f64 <= allowed, "{count} got through, of {allowed}");
}

#[test]
fn what_is_too_much_is_refused_with_a_time() {
    test(async |world| {
        let shop = world.open(&[("RATE_LIMIT_PER_S", "1"), ("RATE_LIMIT_BURST", "5")]).await;
        let begin = Instant::now();
        let answers =
            futures::future::join_all((0..20).map(|_| shop.response("GET", "/api/products", &[], None)))
                .await;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status().as_u16() == 429).collect();
        at_most(answers.len() - refused.len(), 5, 1.0, begin);
        assert!(refused.iter().all(|answer| answer.headers().contains_key("retry-after")));
        for path in ["/", "/app.js", "/style.css"] {
            assert_eq!(
                shop.response("GET", path, &[], None).await.status().as_u16(),
                200,
                "the page is whole"
            );
        }
    });
}

#[test]
fn passwords_are_not_guessed_fast() {
    test(async |world| {
        let shop = world.open(&[("RATE_LIMIT_PER_S", "1000"), ("RATE_LIMIT_BURST", "1000")]).await;
        let body = json!({ "name": "boss", "password": "a wild guess" });
        let begin = Instant::now();
        let guesses = (0..30).map(|_| shop.ask("POST", "/api/login", &[], Some(&body)));
        let answers = futures::future::join_all(guesses).await;
        let refused = answers.iter().filter(|(status, _)| *status == 429).count();
        assert!(answers.iter().filter(|(status, _)| *status == 401).count() >= 10);
        at_most(answers.len() - refused, 10, 0.5, begin);
        assert_eq!(shop.get("/api/products").await.0, 200, "who shops notices nothing");
    });
}

#[test]
fn users_are_not_made_fast() {
    test(async |world| {
        let shop = world.open(&[("RATE_LIMIT_PER_S", "1000"), ("RATE_LIMIT_BURST", "1000")]).await;
        let begin = Instant::now();
        let bodies: Vec<_> = (0..30)
            .map(|number| json!({ "name": format!("user-{number}"), "password": "a password" }))
            .collect();
        let answers = futures::future::join_all(
            bodies.iter().map(|body| shop.ask("POST", "/api/users", &[], Some(body))),
        )
        .await;
        let refused = answers.iter().filter(|(status, _)| *status == 429).count();
        assert!(answers.iter().filter(|(status, _)| *status == 201).count() >= 10);
        at_most(answers.len() - refused, 10, 0.5, begin);
        for _ in 0..20 {
            assert_eq!(shop.get("/api/users/1").await.0, 200, "who looks notices nothing");
        }
    });
}

#[test]
fn no_secret_is_in_the_log() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let boss = shop.boss().await;
        shop.order(&token, "a-key-for-the-log", &[(1, 1)]).await;
        shop.with_token("forged.token-text", "GET", "/api/me?password=query-password", None).await;
        shop.service.fail_at(|step| step == "order");
        shop.order(&token, "a-key-that-fails", &[(1, 1)]).await;
        shop.service.shutdown().await;
        let log = world.log();
        assert!(
            log.contains("path=/api/orders status=201") && log.contains("a fault was asked for at order"),
            "{log}"
        );
        let secrets = [
            SECRET,
            &token,
            &boss,
            "password of ada",
            "boss-password",
            "forged.token-text",
            "query-password",
        ];
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
        let files = std::fs::read(world.folder.file("shop.db")).unwrap();
        let has = |secret: &str| files.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!has("password of ada") && !has("boss-password"), "a password is in the database");
    });
}

#[test]
fn a_body_that_is_cut_off_does_nothing_and_harms_nobody() {
    test(async |world| {
        let shop = world.open(&[]).await;
        let token = shop.register("ada").await;
        let address = shop.service.local_addr().unwrap();
        let whole = json!({ "items": [{ "product": 1, "quantity": 1 }] }).to_string();
        // All that it needs is there, and more was promised.
        let body = whole + &" ".repeat(200);
        let head = format!(
            "POST /api/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: cut-off-in-the-middle\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        );
        let begin = async || {
            let stream = TcpStream::connect(&world.lp, address).await.unwrap();
            stream.write_all(format!("{head}{}", &body[..200]).as_bytes()).await.unwrap();
            stream
        };
        // One goes altogether, the other listens for an answer.
        begin().await.close();
        let stream = begin().await;
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        (&stream).read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && !answer.contains("internal"), "{answer}");
        assert_eq!(shop.with_token(&token, "GET", "/api/orders", None).await.1["orders"], json!([]));
        assert_eq!(
            shop.order(&token, "cut-off-in-the-middle", &[(1, 1)]).await.0,
            201,
            "the key is as good as new"
        );
        assert!(!world.log().contains("level=error"), "{}", world.log());
    });
}
