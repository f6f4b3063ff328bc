//! Middleware: what it adds, what it refuses, and what it does not tell.

#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod asking;
mod peer;

use asking::{Trace, ask, full, get, with};
use peer::{Raw, body, ms, on_loop, start, status};
use phaseloop_server::http::{Body, Handler, Response, Server, Trouble};
use phaseloop_server::web::middleware::{
    Cors, RateLimit, RequestId, etag, logger, request_id, response_time, timeout,
};
use phaseloop_server::web::{Cookie, Error, koa};

#[test]
fn the_log_tells_time_and_route_and_no_secret() {
    let (trace, lines) = (Trace::default(), Trace::default());
    let mut app = koa::App::new();
    let (short, long) = (trace.clone(), lines.clone());
    app.with(request_id()).with(response_time());
    app.with(logger(move |line| {
        short.log(format!(
            "{} {} {:?} {} {:?}",
            line.method,
            line.path,
            line.route,
            line.status.as_u16(),
            line.time
        ));
        long.log(format!("{line} {line:?}"));
    }));
    app.get("/users/:id", async |ctx, _| {
        phaseloop::sleep(ms(30)).await;
        ctx.body("hello")
    });
    app.get("/fails", async |_, _| Err(Error::other("the password is sesame")));
    let secret = [("authorization", "Bearer sesame"), ("cookie", "id=sesame"), ("x-request-id", "req-1")];
    let (response, _) = full(&app, with("GET", "/users/7?token=sesame", &secret));
    assert_eq!(response.headers()["x-response-time"], "30ms");
    assert_eq!(response.headers()["x-request-id"], "req-1");
    assert_eq!(trace.take(), "GET /users/7 Some(\"/users/:id\") 200 30ms");
    assert!(lines.0.borrow()[0].starts_with("GET /users/7 200 30 ms 5 B req-1"));
    assert_eq!(ask(&app, get("/fails?token=sesame")).0, 500);
    assert_eq!(trace.take(), "GET /fails Some(\"/fails\") 500 0ns");
    assert!(!lines.take().contains("sesame"));
}

#[test]
fn ids_are_made_and_bad_ones_replaced() {
    let mut app = koa::App::new();
    app.with(request_id());
    app.use_(async |ctx, _| {
        let id = ctx.state().get::<RequestId>().unwrap().0.clone();
        ctx.body(id)
    });
    let long = "a".repeat(65);
    let ids: Vec<_> = ["", "a b", "a\"", &long]
        .iter()
        .map(|id| {
            let (response, text) = full(&app, with("GET", "/", &[("x-request-id", id)]));
            assert_eq!(response.headers()["x-request-id"], *text);
            assert_ne!(text, *id);
            text
        })
        .collect();
    assert!(ids.iter().all(|id| ids.iter().filter(|other| *other == id).count() == 1), "{ids:?}");
}

#[test]
fn what_takes_too_long_is_cut() {
    let mut app = koa::App::new();
    app.with(timeout(ms(100)));
    app.get("/slow", async |ctx, _| {
        phaseloop::sleep(ms(101)).await;
        ctx.body("late")
    });
    app.get("/fast", async |ctx, _| {
        phaseloop::sleep(ms(99)).await;
        ctx.body("in time")
    });
    assert_eq!(ask(&app, get("/slow")), (503, "(503: there was no answer within 100 ms)".into()));
    assert_eq!(ask(&app, get("/fast")), (200, "in time".into()));
}

#[test]
fn too_many_requests_of_one_client_are_refused() {
    let mut app = koa::App::new();
    app.with(RateLimit::new(2, 0.5).key(|req| req.header("x-key").map(str::to_owned)));
    app.use_(async |ctx, _| ctx.body("in"));
    app.on_error(|_, _| {});
    on_loop(async |lp| {
        let ask = async |key: &str| {
            let response = app.handle(with("GET", "/", &[("x-key", key)])).await.unwrap();
            let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
            (response.status().as_u16(), wait)
        };
        assert_eq!([ask("a").await.0, ask("a").await.0], [200, 200]);
        assert_eq!(ask("a").await, (429, Some("2".into())));
        assert_eq!(ask("b").await.0, 200);
        lp.sleep(ms(2000)).await;
        assert_eq!([ask("a").await.0, ask("a").await.0], [200, 429]);
        assert_eq!(app.handle(get("/")).await.unwrap().status(), 200, "no key, no limit");
    });
}

#[test]
fn an_error_that_nobody_handles_keeps_the_header_and_is_told() {
    let trace = Trace::default();
    let log = trace.clone();
    on_loop(async |lp| {
        let mut app = koa::App::new();
        app.with(request_id()).with(Cors::new().any_origin());
        app.with(RateLimit::new(1, 0.5).key(|_| Some("everybody".to_owned())));
        app.use_(async |ctx, _| {
            ctx.set("content-type", "text/css").set_cookie(&Cookie::new("a", "b"));
            Ok("x".parse::<u8>().map(drop)?)
        });
        let server = Server::new(app).on_trouble(move |trouble| {
            if let Trouble::Handler { status, error, .. } = trouble {
                log.log(format!("{status} of {error}, a {}", error.is::<std::num::ParseIntError>()));
            }
        });
        let (_serving, address) = start(&lp, server);
        for (expected, says, field) in
            [(500, "Internal Server Error\n", ""), (429, "too many", "retry-after: 2\r\n")]
        {
            let asks = "GET / HTTP/1.1\r\nhost: x\r\norigin: https://a.test\r\nx-request-id: 7\r\n\r\n";
            let reply = Raw::ask(&lp, address, asks).await.reply().await;
            assert!(status(&reply) == expected && body(&reply).starts_with(says), "{reply}");
            for kept in
                ["x-request-id: 7\r\n", "access-control-allow-origin: *\r\n", "vary: origin\r\n", field]
            {
                assert!(reply.contains(kept), "{kept} in {reply}");
            }
            assert!(reply.contains("content-type: text/plain") && !reply.contains("set-cookie"), "{reply}");
        }
    });
    assert_eq!(
        trace.take(),
        "500 Internal Server Error of invalid digit found in string, a true, \
         429 Too Many Requests of 429: too many requests; try again in 2 s, a false"
    );
}

#[test]
fn other_origins_are_let_in_by_name() {
    let mut app = koa::App::new();
    app.with(Cors::new().origin("https://a.test").credentials(true).expose("x-a").max_age(ms(5000)));
    app.get("/", async |ctx, _| ctx.body("data"));
    app.get("/fails", async |ctx, _| ctx.throw(400, "no"));
    app.on_error(|_, _| {});
    let field = |response: &Response<()>, name: &str| {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let (response, text) = full(&app, with("GET", "/", &[("origin", "https://a.test")]));
    assert_eq!(text, "data");
    assert_eq!(field(&response, "access-control-allow-origin").as_deref(), Some("https://a.test"));
    assert_eq!(field(&response, "access-control-allow-credentials").as_deref(), Some("true"));
    assert_eq!(field(&response, "access-control-expose-headers").as_deref(), Some("x-a"));
    for origin in ["https://b.test", "https://a.test.evil", "null"] {
        let (response, _) = full(&app, with("GET", "/", &[("origin", origin)]));
        assert_eq!(field(&response, "access-control-allow-origin"), None);
        assert_eq!(field(&response, "vary").as_deref(), Some("origin"));
    }
    let (response, _) = full(&app, with("GET", "/fails", &[("origin", "https://a.test")]));
    assert_eq!(response.status(), 400);
    assert!(field(&response, "access-control-allow-origin").is_some(), "a page may read why it failed");
    let preflight = [
        ("origin", "https://a.test"),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "x-b"),
        ("access-control-request-headers", "x-c"),
    ];
    let (response, text) = full(&app, with("OPTIONS", "/", &preflight));
    assert_eq!((response.status().as_u16(), text.as_str()), (204, ""));
    assert_eq!(field(&response, "access-control-allow-headers").as_deref(), Some("x-b, x-c"));
    assert_eq!(field(&response, "access-control-max-age").as_deref(), Some("5"));
    assert!(field(&response, "access-control-allow-methods").unwrap().contains("PUT"));
}

#[test]
fn a_client_that_has_it_is_told_so() {
    let mut app = koa::App::new();
    app.with(etag());
    app.get("/", async |ctx, _| ctx.body("the same each time"));
    app.post("/", async |ctx, _| ctx.body("never tagged"));
    app.get("/stream", async |ctx, _| {
        ctx.body(Body::from_stream(futures::stream::iter([Ok::<_, std::io::Error>("x")])))
    });
    let (response, _) = full(&app, get("/"));
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with("\"12-") && tag.len() == 25, "{tag}");
    let (response, text) = full(&app, with("GET", "/", &[("if-none-match", &format!("\"x\", W/{tag}"))]));
    assert_eq!((response.status().as_u16(), text.as_str()), (304, ""));
    assert_eq!(response.headers()["etag"], *tag);
    assert_eq!(full(&app, with("GET", "/", &[("if-none-match", "\"other\"")])).0.status(), 200);
    for request in [with("POST", "/", &[]), get("/stream")] {
        assert!(!full(&app, request).0.headers().contains_key("etag"));
    }
}

#[test]
fn cookies_come_and_go() {
    let mut app = koa::App::new();
    app.use_(async |ctx, _| {
        let user = ctx.cookie("user").map(|user| user.into_owned());
        ctx.set_cookie(&Cookie::new("user", "ä;b"));
        ctx.body(format!("{user:?}"))
    });
    let (response, text) = full(&app, get("/"));
    assert_eq!(text, "None");
    let set = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    let sent = set.split(';').next().unwrap();
    assert_eq!(ask(&app, with("GET", "/", &[("cookie", "a=b"), ("cookie", sent)])).1, "Some(\"ä;b\")");
}
