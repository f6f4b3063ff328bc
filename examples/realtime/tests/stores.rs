//! The same shop on real servers: MariaDB, Redis and what speaks MongoDB's protocol; and what becomes of it when they die.

#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod shop;

use std::ffi::OsString;
use std::rc::Rc;

use mongodb::bson::{Document, doc};
use phaseloop::process::Command;
use phaseloop::signal::Signal;
use phaseloop_server::redis::{Client, Options, cmd};
use phaseloop_tests::peers::free_port;
use realtime::{Config, Level, Log, Service};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, Statement};
use serde_json::{Value, json};
use shop::books::{Books, a_thousand_orders};
use shop::proxy::Proxy;
use shop::servers::{DATABASE_PASSWORD, mariadb, redis, secantus};
use shop::talk::{FIRST_CHECKS, checks, talk};
use shop::{Shop, World, test};

/// A status that is no 503, asked for until there is one.
async fn until_it_is_back(ask: impl AsyncFn() -> (u16, Value)) -> (u16, Value) {
    loop {
        match ask().await {
            (503, _) => phaseloop::yield_now().await,
            answer => return answer,
        }
    }
}

#[test]
fn money_is_exact_on_mariadb() {
    test(async |world| {
        let Some((_server, url)) = mariadb(world.folder.path()) else { return };
        let shop = world.open_when_there(&[("DATABASE_URL", &url)]).await;
        assert_eq!(shop.get("/api/health").await.1["database"], json!({ "kind": "mysql", "ok": true }));
        a_thousand_orders(shop, &url).await;
        assert!(!world.log().contains(DATABASE_PASSWORD));
    });
}

#[test]
fn retries_on_mariadb_get_the_last_pieces_that_the_first_took() {
    test(async |world| {
        let Some((_server, url)) = mariadb(world.folder.path()) else { return };
        let shop = world.open_when_there(&[("DATABASE_URL", &url)]).await;
        let token = shop.register("ada").await;
        // All connections are open, so that none is later than the first order.
        let lists = (0..20).map(|_| shop.with_token(&token, "GET", "/api/orders", None));
        futures::future::join_all(lists).await;
        let tries = (0..20).map(|_| shop.order(&token, "one-and-the-same", &[(1, 1), (6, 3)]));
        for (status, answer) in futures::future::join_all(tries).await {
            assert!([200, 201].contains(&status), "{status} {answer}");
        }
        let books = Books::read(&url).await;
        assert_eq!((books.orders, books.stock[&6], books.stock[&1]), (1, 0, 4_999));
        let (status, answer) = shop.order(&token, "another-key", &[(6, 1)]).await;
        assert_eq!((status, &answer["error"]["code"]), (409, &Value::from("out_of_stock")));
    });
}

#[test]
fn a_mariadb_that_dies_is_a_503_and_loses_no_order() {
    test(async |world| {
        let Some((mut server, url)) = mariadb(world.folder.path()) else { return };
        let shop = world.open_when_there(&[("DATABASE_URL", &url), ("DATABASE_WAIT_MS", "500")]).await;
        let token = shop.register("ada").await;
        let unseen = shop.register("bob").await;
        let mut events = shop.follow("/api/orders/events", &[]).await;
        let (status, before) = shop.order(&token, "before-it-dies", &[(1, 1)]).await;
        assert_eq!(status, 201);
        assert_eq!(events.next().await.unwrap()["id"], 1);

        server.kill();
        for (method, path) in
            [("GET", "/api/products"), ("GET", "/api/orders"), ("GET", "/api/feed"), ("GET", "/api/users/1")]
        {
            let (status, answer) = shop.with_token(&token, method, path, None).await;
            assert_eq!(
                (status, &answer["error"]["code"]),
                (503, &Value::from("unavailable")),
                "{path} {answer}"
            );
        }
        let refused = shop.response("GET", "/api/products", &[], None).await;
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(shop.order(&token, "while-it-is-dead", &[(1, 1)]).await.0, 503);
        assert_eq!(shop.get("/api/health").await.1["database"]["ok"], false);
        let (status, health) = shop.with_token(&token, "GET", "/api/health", None).await;
        assert_eq!(
            (status, &health["status"]),
            (503, &Value::from("unavailable")),
            "with a token as without"
        );
        let (status, answer) = shop.with_token(&unseen, "GET", "/api/me", None).await;
        assert_eq!(
            (status, &answer["error"]["code"]),
            (503, &Value::from("unavailable")),
            "of no known user"
        );
        assert_eq!(shop.with_token("forged.token", "GET", "/api/me", None).await.0, 401);

        server.start();
        let (status, _) =
            until_it_is_back(async || shop.order(&token, "while-it-is-dead", &[(1, 1)]).await).await;
        assert_eq!(status, 201);
        let path = format!("/api/orders/{}", before["order"]["id"]);
        assert_eq!(
            shop.with_token(&token, "GET", &path, None).await.1,
            before,
            "what was committed is there"
        );
        assert_eq!(events.next().await.unwrap()["id"], 2, "and who follows goes on following");
        assert_eq!(Books::read(&url).await.orders, 2);
    });
}

#[test]
fn two_workers_share_words_locks_and_cache_through_redis() {
    test(async |world| {
        let Some((mut server, url)) = redis() else { return };
        let stores = [("REDIS_URL", url.as_str())];
        let (one, two) = (world.open_when_there(&stores).await, world.open_when_there(&stores).await);
        let token = one.register("ada").await;
        let mut events = two.follow("/api/orders/events", &[]).await;
        let (_, placed) = one.order(&token, "told-to-the-other", &[(2, 1)]).await;
        assert_eq!(events.next().await.unwrap()["order"], placed["order"]["id"]);
        let cached = async |shop: &Shop| {
            shop.response("GET", "/api/users/2", &[], None).await.headers()["x-cache"].clone()
        };
        assert_eq!(cached(&one).await, "miss");
        assert_eq!(cached(&two).await, "hit", "what one has read the other need not");
        let pay = format!("/api/orders/{}/pay", placed["order"]["id"]);
        assert_eq!(two.with_token(&token, "POST", &pay, None).await.0, 200);
        assert_eq!(cached(&one).await, "miss", "and what one has changed the other does not believe");

        server.kill();
        let cancel = format!("/api/orders/{}/cancel", placed["order"]["id"]);
        let (status, answer) = one.with_token(&token, "POST", &cancel, None).await;
        assert_eq!((status, &answer["error"]["message"]), (503, &Value::from("Redis is away")));
        assert_eq!(one.get("/api/health").await.0, 503);
        let (status, profile) = one.get("/api/users/2").await;
        assert_eq!(
            (status, &profile["orders"]["spent_cents"]),
            (200, &json!(349)),
            "without a cache it is slower, and no worse"
        );
        let (status, _) = one.order(&token, "without-any-word", &[(2, 1)]).await;
        assert_eq!(status, 201, "orders need no Redis");
        server.start();
        assert_eq!(
            until_it_is_back(async || one.with_token(&token, "POST", &cancel, None).await).await.0,
            200
        );
        let mut told = Vec::new();
        while told.len() < 3 {
            told.push(events.next().await.unwrap()["status"].as_str().unwrap().to_owned());
        }
        assert_eq!(told, ["paid", "pending", "cancelled"], "nothing that happened meanwhile is missing");
    });
}

#[test]
fn people_at_two_workers_are_in_one_room_through_redis() {
    test(async |world| {
        let Some((_server, url)) = redis() else { return };
        let stores = [("REDIS_URL", url.as_str())];
        let (one, two) = (world.open_when_there(&stores).await, world.open_when_there(&stores).await);
        let Some(said) = talk(world, &[&one.base, "0", &two.base]).await else { return };
        assert_eq!(checks(&said), FIRST_CHECKS, "{said}");
    });
}

#[test]
fn posts_are_documents_in_a_document_store() {
    test(async |world| {
        let Some((mut server, url)) = secantus(world.folder.path()) else { return };
        let shop = world.open_when_there(&[("MONGODB_URL", &url)]).await;
        assert_eq!(shop.get("/api/health").await.1["documents"], json!({ "kind": "mongodb", "ok": true }));
        let token = shop.register("ada").await;
        let texts = ["first", "{\"$gt\": \"\"}", "$where: 'sleep(1)'", "last"];
        for text in texts {
            let body =
                json!({ "text": text, "tags": ["news", if text == "last" { "end" } else { "begin" }] });
            let (status, answer) = shop.with_token(&token, "POST", "/api/feed", Some(&body)).await;
            assert_eq!((status, &answer["post"]["text"]), (201, &Value::from(text)));
        }
        let texts_of = |answer: &Value| {
            answer["posts"].as_array().unwrap().iter().map(|post| post["text"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(texts_of(&shop.get("/api/feed?tag=end").await.1), ["last"]);
        let (_, page) = shop.get("/api/feed?tag=news&limit=3").await;
        let (_, rest) =
            shop.get(&format!("/api/feed?tag=news&before={}", page["next"].as_str().unwrap())).await;
        let mut all = [texts_of(&page), texts_of(&rest)].concat();
        all.sort_by_key(Value::to_string);
        let mut wanted = texts.map(Value::from);
        wanted.sort_by_key(Value::to_string);
        assert_eq!(all, wanted);

        server.kill();
        let (status, answer) = shop.get("/api/feed").await;
        assert_eq!((status, &answer["error"]["code"]), (503, &Value::from("unavailable")), "{answer}");
        assert_eq!(shop.get("/api/products").await.0, 200, "the rest goes on");
        server.start();
        assert_eq!(until_it_is_back(async || shop.get("/api/feed?tag=end").await).await.0, 200);
    });
}

#[test]
fn a_document_store_that_shuts_down_or_steps_down_is_a_503() {
    test(async |world| {
        let Some((_server, url)) = secantus(world.folder.path()) else { return };
        let shop = world.open_when_there(&[("MONGODB_URL", &url)]).await;
        let token = shop.register("ada").await;
        let post = json!({ "text": "hello" });
        let client = mongodb::Client::with_uri_str(&url).await.unwrap();
        let fail = async |mode: &str, data: Document| {
            let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
            client.database("admin").run_command(command).await.unwrap();
        };
        for code in [91, 189, 10107, 11600, 11602, 13435, 13436] {
            fail(
                "alwaysOn",
                doc! { "failCommands": ["find", "insert"], "errorCode": code, "appName": "realtime" },
            )
            .await;
            for (status, answer) in
                [shop.get("/api/feed").await, shop.with_token(&token, "POST", "/api/feed", Some(&post)).await]
            {
                assert_eq!(
                    (status, &answer["error"]["code"]),
                    (503, &Value::from("unavailable")),
                    "{code}: {answer}"
                );
            }
        }
        fail("off", doc! {}).await;
        // The driver looks at a server that said so again before it asks it anything.
        let add = async || shop.with_token(&token, "POST", "/api/feed", Some(&post)).await;
        assert_eq!(until_it_is_back(add).await.0, 201);
        // What is wrong with the program stays a 500.
        fail("alwaysOn", doc! { "failCommands": ["find"], "errorCode": 2, "appName": "realtime" }).await;
        assert_eq!(shop.get("/api/feed").await.0, 500);
    });
}

#[test]
fn a_redis_that_takes_no_writes_is_a_503_until_it_does() {
    test(async |world| {
        let Some((_server, url)) = redis() else { return };
        let shop = world.open_when_there(&[("REDIS_URL", &url)]).await;
        let token = shop.register("ada").await;
        shop.order(&token, "an-order-of-ada", &[(1, 1)]).await;
        let client = Client::connect(&world.lp, Options::url(&url).unwrap()).await.unwrap();
        let set = async |words: &[&str]| {
            let mut command = cmd(words[0]);
            for word in &words[1..] {
                command.arg(word);
            }
            client.query::<()>(&command).await.unwrap();
        };
        let pay = async || shop.with_token(&token, "POST", "/api/orders/1/pay", None).await;
        let (full, not_now) = ("Redis is full", "Redis can not do this now");
        for (changes, told) in [
            ([["maxmemory-policy", "noeviction"], ["maxmemory", "1mb"]], full), // less than it has already
            ([["maxmemory", "0"], ["min-replicas-to-write", "1"]], not_now),    // NOREPLICAS
        ] {
            for [name, value] in changes {
                set(&["CONFIG", "SET", name, value]).await;
            }
            let (status, answer) = pay().await;
            assert_eq!((status, &answer["error"]["message"]), (503, &Value::from(told)), "{answer}");
            assert_eq!(answer["error"]["code"], "unavailable");
        }
        set(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
        set(&["REPLICAOF", "127.0.0.1", "1"]).await; // READONLY
        assert_eq!(pay().await.1["error"]["message"], not_now);
        set(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await; // MASTERDOWN
        assert_eq!(pay().await.1["error"]["message"], not_now);
        set(&["REPLICAOF", "NO", "ONE"]).await;
        let (status, answer) = pay().await;
        assert_eq!((status, &answer["order"]["status"]), (200, &Value::from("paid")), "{answer}");
    });
}

#[test]
fn the_same_change_at_two_workers_is_made_once_and_told_to_all() {
    test(async |world| {
        let Some((_server, url)) = mariadb(world.folder.path()) else { return };
        let stores = [("DATABASE_URL", url.as_str())];
        // Each has locks of its own, as workers without Redis do.
        let (one, two) = (world.open_when_there(&stores).await, world.open_when_there(&stores).await);
        let token = one.register("ada").await;
        for number in 1..=20 {
            let (_, placed) = one.order(&token, &format!("order-number-{number}"), &[(2, 1)]).await;
            let pay = format!("/api/orders/{}/pay", placed["order"]["id"]);
            let tries = [&one, &two].map(|shop| shop.with_token(&token, "POST", &pay, None));
            for (status, answer) in futures::future::join_all(tries).await {
                assert_eq!((status, &answer["order"]["status"]), (200, &Value::from("paid")), "{answer}");
            }
        }
        let books = Books::read(&url).await;
        assert_eq!((books.ledger, books.events.len()), (20 * 349, 40));
    });
}

#[test]
fn a_begin_that_is_given_up_leaves_no_transaction_to_the_next_request() {
    test(async |world| {
        let Some((server, url)) = mariadb(world.folder.path()) else { return };
        world.open_when_there(&[("DATABASE_URL", &url)]).await.service.shutdown().await;
        let proxy = Proxy::start(&world.lp, server.port);
        let through = url.replace(&server.port.to_string(), &proxy.port.to_string()) + "?ssl-mode=disabled";
        let stores = [
            ("DATABASE_URL", through.as_str()),
            ("DATABASE_POOL", "1"),
            ("STORE_ANSWER_MS", "2000"),
            ("DATABASE_WAIT_MS", "1000"),
        ];
        let shop = world.open(&stores).await;
        let (token, boss) = (shop.register("ada").await, shop.boss().await);

        let held = proxy.hold_begin();
        let (status, answer) = shop.order(&token, "an-order-of-ada", &[(1, 1)]).await;
        assert_eq!(
            (status, &answer["error"]["message"]),
            (503, &Value::from("the database does not answer"))
        );
        drop(held);
        // The one connection is back, with a transaction that nobody has asked for any more.
        let add = json!({ "add": 7 });
        let stock = async || shop.with_token(&boss, "POST", "/admin/products/1/stock", Some(&add)).await;
        let (status, answer) = until_it_is_back(stock).await;
        assert_eq!((status, &answer["product"]["stock"]), (200, &json!(5_007)));
        assert_eq!(Books::read(&url).await.stock[&1], 5_007, "and everybody sees it");
    });
}

/// Another one could not be opened while there is no database of that name.
async fn one_connection(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    sea_orm::Database::connect(options).await.unwrap()
}

#[test]
fn tables_that_were_made_half_are_made_whole_by_the_next_start() {
    test(async |world| {
        let Some((server, url)) = mariadb(world.folder.path()) else { return };
        let nobody = [("ADMIN_NAME", ""), ("ADMIN_PASSWORD", "")];
        let with = |url| [&nobody[..], &[("DATABASE_URL", url)]].concat();
        world.open_when_there(&with(&url)).await.service.shutdown().await;
        let database = one_connection(&url).await;
        let number = async |sql: &str| {
            let statement = Statement::from_string(database.get_database_backend(), sql);
            database.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index::<i64>(0).unwrap()
        };
        let made = async || {
            [
                number("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'").await,
                number("SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = 'shop'")
                    .await,
                number("SELECT CAST(SUM(step) AS SIGNED) FROM shop.migrations").await,
                number("SELECT COUNT(*) FROM shop.counters").await,
                number("SELECT COUNT(*) FROM shop.products").await,
            ]
        };
        let whole = made().await;
        let proxy = Proxy::start(&world.lp, server.port);
        let through = url.replace(&server.port.to_string(), &proxy.port.to_string()) + "?ssl-mode=disabled";
        let mut cut_after = 0;
        loop {
            database.execute_unprepared("DROP DATABASE shop").await.unwrap();
            database.execute_unprepared("CREATE DATABASE shop").await.unwrap();
            proxy.cut_after(cut_after);
            let through = world.try_open(&with(&through)).await;
            world.open(&with(&url)).await.service.shutdown().await;
            assert_eq!(made().await, whole, "after {cut_after} statements");
            if let Ok(shop) = through {
                shop.service.shutdown().await;
                break;
            }
            cut_after += 1;
        }
        assert!(cut_after > 25, "{cut_after} statements");
    });
}

#[test]
fn tables_of_somebody_else_are_not_taken_for_ours() {
    test(async |world| {
        let Some((_server, url)) = mariadb(world.folder.path()) else { return };
        world.open_when_there(&[("DATABASE_URL", &url)]).await.service.shutdown().await;
        let database = one_connection(&url).await;
        for sql in ["DROP DATABASE shop", "CREATE DATABASE shop", "CREATE TABLE shop.products (id INT)"] {
            database.execute_unprepared(sql).await.unwrap();
        }
        for table in ["products", "users"] {
            // The second start finds what the first has made before it was refused.
            let told = world.try_open(&[("DATABASE_URL", &url)]).await.err().unwrap().to_string();
            assert!(told.contains(&format!("Table '{table}' already exists")), "{told}");
        }
    });
}

/// What a service says, and logs, that is to start with a variable of this value.
async fn told_of(world: &World, name: &str, value: &str) -> String {
    let database = world.database();
    let variables =
        [("DATABASE_URL", database.as_str()), ("PORT", "0"), ("DATABASE_WAIT_MS", "100"), (name, value)];
    let lookup = |name: &str| {
        variables.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    };
    let config = match Config::read(lookup) {
        Ok(config) => config,
        Err(mistakes) => return mistakes.to_string(),
    };
    let lines = Rc::clone(&world.lines);
    let log = Log::new(false, Level::Info, move |line| lines.borrow_mut().push(line.to_owned()));
    let shown = format!("{config:?}");
    match Service::start(&world.lp, config, log).await {
        Ok(service) => service.shutdown().await.to_string() + &world.log() + &shown,
        Err(error) => error.to_string() + &world.log() + &shown,
    }
}

#[test]
fn a_password_that_is_not_escaped_is_shown_nowhere() {
    test(async |world| {
        for (name, scheme) in [("DATABASE_URL", "mysql"), ("MONGODB_URL", "mongodb"), ("REDIS_URL", "redis")]
        {
            for rest in [
                "app:hun?ter@127.0.0.1:1/shop",
                "app:hun?ter=1@127.0.0.1:1/shop",
                "app:12?hun=ter@127.0.0.1:1/shop",
                "app:12/hunter@127.0.0.1:1/shop",
                "app:hun/ter@127.0.0.1:1/shop",
                "app:hun#ter@127.0.0.1:1/shop",
                "app:hun@ter@127.0.0.1:1/shop",
                "app:hun:ter@127.0.0.1:1/shop",
                "app:hun%ter@127.0.0.1:1/shop",
                "app:hun%ffter@127.0.0.1:1/shop",
                "app:hun ter@127.0.0.1:1/shop",
                "app:hun[ter@127.0.0.1:1/shop",
                "app:hun\\ter@127.0.0.1:1/shop",
                "app:hunter@127.0.0.1:port/shop",
                "app:hunter@127.0.0.1:1/sh?op=x",
                "app:hunter@127.0.0.1:1/?maxPoolSize=x&authMechanism=x&ssl-mode=x",
                "app:hunter@",
                "app:hunter",
                ":hunter",
            ] {
                let url = format!("{scheme}://{rest}");
                let told = told_of(world, name, &url).await;
                assert!(!told.contains("hun") && !told.contains("ter@"), "{url}: {told}");
            }
        }
    });
}

#[test]
fn a_start_that_gets_no_answer_ends_in_time_and_by_a_signal() {
    test(async |world| {
        let Some((server, url)) = mariadb(world.folder.path()) else { return };
        world.open_when_there(&[("DATABASE_URL", &url)]).await.service.shutdown().await;
        let proxy = Proxy::start(&world.lp, server.port);
        let through = url.replace(&server.port.to_string(), &proxy.port.to_string()) + "?ssl-mode=disabled";

        let held = proxy.hold_begin();
        let brief = [("DATABASE_URL", &*through), ("DATABASE_WAIT_MS", "1000"), ("STORE_ANSWER_MS", "1000")];
        let error = world.try_open(&brief).await.err().expect("nothing is answered");
        assert!(error.to_string().contains("the database does not answer"), "{error}");
        assert!(proxy.is_holding());
        drop(held);

        let _held = proxy.hold_begin();
        let variables = [("DATABASE_URL", &*through), ("PORT", "0"), ("STORE_ANSWER_MS", "300000")];
        let command = Command::new(env!("CARGO_BIN_EXE_realtime")).env_clear().envs(variables);
        let child = command.kill_on_drop().spawn(&world.lp).unwrap();
        while !proxy.is_holding() {
            phaseloop::yield_now().await;
        }
        child.kill(Signal::TERM).unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(0));
    });
}

#[test]
fn a_service_that_starts_beside_another_tells_nobody_that_they_missed_something() {
    test(async |world| {
        let Some((_server, redis)) = redis() else { return };
        let shop = world.open_when_there(&[("REDIS_URL", &redis)]).await;
        let port = free_port().unwrap().to_string();
        let beside = format!("http://127.0.0.1:{port}");
        let starting = async {
            while shop.get("/api/loop").await.1["sockets"] != 1 {}
            world.open(&[("REDIS_URL", &redis), ("PORT", &port)]).await
        };
        let arguments = [&*shop.base, "calm", &beside];
        let (said, _beside) = futures::join!(talk(world, &arguments), starting);
        let Some(said) = said else { return };
        assert_eq!(checks(&said), 1, "{said}");
    });
}

#[test]
fn a_message_that_is_sent_again_is_one_on_mariadb() {
    test(async |world| {
        let Some((_server, url)) = mariadb(world.folder.path()) else { return };
        let shop = world.open_when_there(&[("DATABASE_URL", &url)]).await;
        let is_first = std::cell::Cell::new(true);
        shop.service.fail_at(move |step| step == "said" && is_first.replace(false));
        let Some(said) = talk(world, &[&shop.base, "resent"]).await else { return };
        assert_eq!(checks(&said), 3, "{said}");
    });
}
