//! Routers and middleware in both styles: order, errors, parameters, bodies, and what a hostile client gets.

#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod asking;
mod peer;

use std::rc::Rc;

use asking::{Trace, ask, full, get, post, with};
use peer::{Raw, body, on_loop, start, status};
use phaseloop_server::http::{
    Body, FromTower, HeaderValue, Method, Request, Response, Server, StatusCode, StatusError, ToTower, header,
};
use phaseloop_server::web::middleware::allowed_methods;
use phaseloop_server::web::{Cookie, Error, Middleware, Result, State, express, koa};

// --- the onion --------------------------------------------------------------------------------------------------------

/// An onion of three layers; one of them fails, before or after the layers inside it.
fn onion(trace: &Trace, fails: Option<(usize, bool)>, catches: Option<usize>) -> koa::App {
    let mut app = koa::App::new();
    for depth in 0..3 {
        let trace = trace.clone();
        app.use_(async move |ctx, next| {
            let fail = |after| match fails {
                Some(place) if place == (depth, after) => Err(Error::other(format!("failed at {depth}"))),
                _ => Ok(()),
            };
            trace.log(format!("{depth} before"));
            fail(false)?;
            match next.run(ctx).await {
                Err(error) if catches == Some(depth) => {
                    trace.log(format!("{depth} caught"));
                    ctx.status(503).body(error.to_string())?;
                }
                outcome => outcome?,
            }
            fail(true)?;
            trace.log(format!("{depth} after"));
            Ok(())
        });
    }
    let inner = trace.clone();
    app.use_(async move |ctx, _next| {
        inner.log("handler");
        if matches!(fails, Some((3, _))) {
            return ctx.throw(418, "failed at 3");
        }
        ctx.body("done")
    });
    let outer = trace.clone();
    app.on_error(move |error, _req| outer.log(format!("on_error {error}")));
    app
}

#[test]
fn the_onion_runs_in_and_out() {
    let trace = Trace::default();
    assert_eq!(ask(&onion(&trace, None, None), get("/")), (200, "done".into()));
    assert_eq!(trace.take(), "0 before, 1 before, 2 before, handler, 2 after, 1 after, 0 after");
}

#[test]
fn an_error_at_each_depth_comes_out_where_nobody_catches_it() {
    let trace = Trace::default();
    for (place, expected) in [
        ((0, false), "0 before, on_error failed at 0"),
        ((1, false), "0 before, 1 before, on_error failed at 1"),
        ((2, false), "0 before, 1 before, 2 before, on_error failed at 2"),
        ((2, true), "0 before, 1 before, 2 before, handler, on_error failed at 2"),
        ((0, true), "0 before, 1 before, 2 before, handler, 2 after, 1 after, on_error failed at 0"),
    ] {
        assert_eq!(ask(&onion(&trace, Some(place), None), get("/")), (500, "Internal Server Error\n".into()));
        assert_eq!(trace.take(), expected);
    }
    assert_eq!(ask(&onion(&trace, Some((3, false)), None), get("/")), (418, "failed at 3\n".into()));
    assert_eq!(trace.take(), "0 before, 1 before, 2 before, handler, on_error 418: failed at 3");
}

#[test]
fn the_nearest_layer_outside_catches() {
    let trace = Trace::default();
    let app = onion(&trace, Some((3, false)), Some(1));
    assert_eq!(ask(&app, get("/")), (503, "418: failed at 3".into()));
    assert_eq!(trace.take(), "0 before, 1 before, 2 before, handler, 1 caught, 1 after, 0 after");
    let app = onion(&trace, Some((1, false)), Some(1));
    assert_eq!(ask(&app, get("/")).0, 500, "a layer does not catch its own");
    assert_eq!(trace.take(), "0 before, 1 before, on_error failed at 1");
}

// --- the chain of Express ---------------------------------------------------------------------------------------------

/// A layer that says its name and goes on, or fails.
fn step(trace: &Trace, name: &'static str, fails: &'static str) -> Middleware {
    let trace = trace.clone();
    express::middleware(async move |req, res, next| {
        trace.log(name);
        if fails == name {
            next.fail(Error::other(format!("error of {name}")))
        } else {
            next.run(req, res).await
        }
    })
}

fn express_chain(trace: &Trace, fails: &'static str) -> express::App {
    let mut app = express::App::new();
    app.with(step(trace, "first", fails));
    let mut router = express::Router::new();
    router.with(step(trace, "inner", fails));
    let log = trace.clone();
    router.use_error(async move |error, _req, _res, next| {
        log.log(format!("inner catch: {error}"));
        next.fail(Error::other(format!("again {error}")))
    });
    router.with(step(trace, "behind", fails));
    app.mount("/in", router);
    app.with(step(trace, "second", fails));
    let log = trace.clone();
    app.use_error(async move |error, req, res, next| {
        log.log(format!("resume: {error}"));
        if error.to_string().contains("second") { next.run(req, res).await } else { Err(error) }
    });
    let log = trace.clone();
    app.use_error(async move |error, _req, res, _next| {
        log.log(format!("last: {error}"));
        res.status(500).text("handled")
    });
    let log = trace.clone();
    app.get("/in/x", async move |_req, res, _next| {
        log.log("handler");
        res.text("done")
    });
    app
}

#[test]
fn an_error_goes_to_the_error_handlers_behind_it() {
    let trace = Trace::default();
    for (fails, status, expected) in [
        ("", 200, "first, inner, behind, second, handler"),
        ("first", 500, "first, resume: error of first, last: error of first"),
        (
            "inner",
            500,
            "first, inner, inner catch: error of inner, resume: again error of inner, last: again error of inner",
        ),
        ("behind", 500, "first, inner, behind, resume: error of behind, last: error of behind"),
        ("second", 200, "first, inner, behind, second, resume: error of second, handler"),
    ] {
        assert_eq!(ask(&express_chain(&trace, fails), get("/in/x")).0, status, "{fails}");
        assert_eq!(trace.take(), expected);
    }
}

#[test]
fn an_error_that_all_have_seen_is_not_offered_again_on_its_way_out() {
    let trace = Trace::default();
    let mut app = express::App::new();
    app.with(step(&trace, "outer", ""));
    app.use_(async |_req, _res, _next| Err(Error::new(StatusCode::CONFLICT, "no")));
    let log = trace.clone();
    app.use_error(async move |error, _req, _res, _next| {
        log.log("seen");
        Err(error)
    });
    assert_eq!(ask(&app, get("/")), (409, "(409: no)".into()));
    assert_eq!(trace.take(), "outer, seen");
}

#[test]
fn an_error_brings_what_belongs_into_the_header_of_its_answer() {
    let mut app = koa::App::new();
    let busy = StatusError::new(StatusCode::SERVICE_UNAVAILABLE, "later");
    let busy = busy.with_header(header::RETRY_AFTER, HeaderValue::from_static("7"));
    app.use_(async move |_ctx, _next| Err(busy.clone().into()));
    app.on_error(|_, _| {});
    let (response, text) = full(&app, get("/"));
    assert_eq!((response.status().as_u16(), text.as_str()), (503, "later\n"));
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
}

// --- routes -----------------------------------------------------------------------------------------------------------

#[test]
fn routes_are_found_by_path_and_method() {
    let mut app = express::App::new();
    app.get("/users/me", async |_, res, _| res.text("me"));
    app.get("/users/:id", async |req, res, _| res.text(format!("user {}", req.param("id").unwrap())));
    app.post("/users/:name", async |req, res, _| res.text(format!("named {}", req.param("name").unwrap())));
    app.get("/files/*path", async |req, res, _| res.text(req.param("path").unwrap().to_owned()));
    app.all("/any", async |req, res, _| res.text(req.method().as_str().to_owned()));
    app.method(Method::from_bytes(b"PURGE").unwrap(), "/cache", async |_, res, _| res.send_status(202));
    for (request, expected) in [
        (get("/users/7"), "user 7"),
        (get("/users/7/"), "user 7"),
        (get("/users/me"), "me"),
        (get("/users/a%2Fb%20%C3%A4?x=1"), "user a/b ä"),
        (with("POST", "/users/x", &[]), "named x"),
        (get("/files/a/b.txt"), "a/b.txt"),
        (with("DELETE", "/any", &[]), "DELETE"),
        (with("PURGE", "/cache", &[]), "Accepted\n"),
    ] {
        assert_eq!(ask(&app, request).1, expected);
    }
    for (request, expected) in [
        (get("/"), 404),
        (get("/users"), 404),
        (get("/Users/7"), 404),
        (get("/users/7/x"), 404),
        (with("DELETE", "/users/7", &[]), 405),
        (with("PURGE", "/users/7", &[]), 501),
        (with("BREW", "/nothing", &[]), 501),
        (get("/users/%zz"), 400),
        (get("/users/%ff"), 400),
        (get("/users/%"), 400),
        (with("OPTIONS", "*", &[]), 404),
    ] {
        let says = format!("{request:?}");
        assert_eq!(ask(&app, request).0, expected, "{says}");
    }
}

#[test]
fn what_a_path_takes_is_said() {
    let mut app = koa::App::new();
    app.with(allowed_methods());
    app.get("/a/:x", async |ctx, _| ctx.body("got"));
    app.put("/a/:y", async |ctx, _| ctx.body("put"));
    app.use_(async |ctx, next| match ctx.path() {
        "/a/1" => next.run(ctx).await,
        _ => ctx.status(404).body("nothing here"),
    });
    for (method, status) in [("OPTIONS", 204), ("POST", 405), ("BREW", 501)] {
        let (response, _) = full(&app, with(method, "/a/1", &[]));
        assert_eq!(
            (response.status().as_u16(), response.headers()["allow"].to_str().unwrap()),
            (status, "GET, HEAD, PUT, OPTIONS")
        );
    }
    assert_eq!(ask(&app, get("/b")), (404, "nothing here".into()));
    assert_eq!(ask(&app, with("HEAD", "/a/1", &[])).0, 200);
}

#[test]
fn what_is_added_for_one_path_goes_on_to_the_next() {
    let mut app = express::App::new();
    app.get("/x", async |req, res, next| {
        if req.query("key").as_deref() != Some("sesame") {
            return res.send_status(401);
        }
        req.state.insert("ada".to_owned());
        next.run(req, res).await
    });
    app.all("/x", async |req, res, next| {
        res.set("x-all", "1");
        next.run(req, res).await
    });
    app.post("/x", async |_, res, _| res.text("posted"));
    app.get("/x", async |req, res, _| res.text(req.state.get::<String>().unwrap().clone()));
    assert_eq!(ask(&app, get("/x")), (401, "Unauthorized\n".into()));
    assert_eq!(ask(&app, get("/x?key=sesame")), (200, "ada".into()));
    assert_eq!(ask(&app, with("POST", "/x", &[])), (200, "posted".into()));
}

#[test]
fn routers_nest_and_see_their_part_of_the_path() {
    let mut posts = koa::Router::new();
    posts.get("/:post", async |ctx, _| {
        let (user, post) = (ctx.param("user").unwrap(), ctx.param("post").unwrap());
        let says = format!("{user} {post} at {} behind {}", ctx.path(), ctx.req.base_path());
        ctx.body(says)
    });
    let mut users = koa::Router::new();
    users.mount("/:user/posts", posts);
    users.get("/", async |ctx, _| ctx.body("all users"));
    let mut app = koa::App::new();
    app.use_(async |ctx, next| {
        next.run(ctx).await?;
        let says = format!("{} {:?}", ctx.path(), ctx.req.route());
        ctx.set("x-outside", says);
        Ok(())
    });
    app.mount("/api/users", users);
    app.use_at("/api", async |ctx, _| {
        let says = format!("the rest: {} {:?}", ctx.path(), ctx.param("user"));
        ctx.body(says)
    });
    let (response, text) = full(&app, get("/api/users/ada/posts/3"));
    assert_eq!(text, "ada 3 at /3 behind /api/users/ada/posts");
    assert_eq!(response.headers()["x-outside"], "/api/users/ada/posts/3 Some(\"/:post\")");
    assert_eq!(ask(&app, get("/api/users")).1, "all users");
    assert_eq!(ask(&app, get("/api/users/")).1, "all users");
    assert_eq!(ask(&app, get("/api/users/ada/posts/3/4")).1, "the rest: /users/ada/posts/3/4 None");
    assert_eq!(ask(&app, get("/apix")).0, 404);
    assert_eq!(ask(&app, get("/api/users/%zz/posts/1")).0, 400);
}

#[test]
#[should_panic(expected = "the pattern \"/files/*path/more\" has a `*` that is not at its end")]
fn a_pattern_that_is_none_is_refused() {
    koa::App::new().get("/files/*path/more", async |ctx, _| ctx.body(()));
}

#[test]
fn tower_services_go_in_and_out() {
    let mut inner = koa::App::new();
    inner.use_(async |ctx, _| {
        let says = format!("inner {}", ctx.path());
        ctx.body(says)
    });
    let mut app = express::App::new();
    app.handler_at("/service", FromTower::new(ToTower::new(inner)));
    app.handler_at("/plain", async |request: Request<Body>| request.into_body().text().await);
    assert_eq!(ask(&app, get("/service/x")).1, "inner /service/x");
    assert_eq!(ask(&app, post("/plain", "text/plain", "echo")).1, "echo");
    let mut service = ToTower::new(app);
    let response =
        on_loop(async |_| tower_service::Service::call(&mut service, get("/nothing")).await.unwrap());
    assert_eq!(response.status(), 404);
}

#[test]
fn an_answer_made_elsewhere_adds_to_vary_and_to_cookies() {
    let mut app = koa::App::new();
    app.use_(async |ctx, next| {
        ctx.res.vary("origin");
        ctx.set("x-a", "outer").set("x-b", "outer").set_cookie(&Cookie::new("session", "7"));
        next.run(ctx).await
    });
    app.handler_at("/", async |_: Request<Body>| {
        let answer = Response::builder().header("vary", "accept-encoding").header("set-cookie", "lang=de");
        answer.header("x-a", "1").header("x-a", "2").body(Body::from("inner"))
    });
    let (response, text) = full(&app, get("/"));
    assert_eq!(text, "inner");
    for (name, expected) in [
        ("vary", &["origin", "accept-encoding"][..]),
        ("set-cookie", &["session=7; Path=/; HttpOnly; SameSite=Lax", "lang=de"]),
        ("x-a", &["1", "2"]),
        ("x-b", &["outer"]),
    ] {
        assert_eq!(response.headers().get_all(name).iter().collect::<Vec<_>>(), expected);
    }
}

// --- answers ----------------------------------------------------------------------------------------------------------

#[test]
fn answers_say_what_they_are() {
    let mut app = express::App::new();
    app.get("/json", async |_, res, _| res.status(201).json(&[1, 2]));
    app.get("/html", async |_, res, _| res.html("<p>"));
    app.get("/css", async |_, res, _| res.type_("css").send("a{}"));
    app.get("/bytes", async |_, res, _| res.send(vec![65_u8]));
    app.get("/value", async |_, res, _| res.send(serde_json::json!({"a": 1})));
    app.get("/go", async |_, res, _| res.redirect("/there?a=b"));
    app.get("/cookie", async |_, res, _| {
        res.cookie(&Cookie::new("a", "b")).cookie(&Cookie::removal("c")).end()
    });
    app.get("/split", async |req, res, _| {
        let name = req.query("name").unwrap().into_owned();
        res.set("x-name", name.as_str()).text("never")
    });
    app.get("/status", async |_, res, _| res.status(99).end());
    app.get("/bad-cookie", async |_, res, _| res.cookie(&Cookie::new("a b", "")).end());
    let type_of = |path: &str| {
        let (response, text) = full(&app, get(path));
        let media_type =
            response.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned();
        (response.status().as_u16(), media_type, text)
    };
    let expect = |status, media_type: &str, text: &str| (status, media_type.to_owned(), text.to_owned());
    assert_eq!(type_of("/json"), expect(201, "application/json", "[1,2]"));
    assert_eq!(type_of("/html"), expect(200, "text/html; charset=utf-8", "<p>"));
    assert_eq!(type_of("/css"), expect(200, "text/css; charset=utf-8", "a{}"));
    assert_eq!(type_of("/bytes"), expect(200, "application/octet-stream", "A"));
    assert_eq!(type_of("/value"), expect(200, "application/json", "{\"a\":1}"));
    assert_eq!(full(&app, get("/go")).0.headers()["location"], "/there?a=b");
    assert_eq!(full(&app, get("/cookie")).0.headers().get_all("set-cookie").iter().count(), 2);
    let (status, _, text) = type_of("/split?name=a%0D%0Aset-cookie:%20x");
    assert_eq!((status, text.as_str()), (500, "(the answer has a bad value of the header field x-name)"));
    assert_eq!((type_of("/status").0, type_of("/bad-cookie").0), (500, 500));
}

#[test]
fn a_dropped_answer_leaves_nothing_that_describes_it() {
    let mut app = koa::App::new();
    app.use_(async |ctx, _| {
        ctx.set("content-type", "text/css").set("etag", "\"a\"").set("x-kept", "1");
        ctx.set_cookie(&Cookie::new("session", "secret"));
        ctx.throw(403, "no")
    });
    app.on_error(|_, _| {});
    let (response, text) = full(&app, get("/"));
    assert_eq!((response.status().as_u16(), text.as_str()), (403, "no\n"));
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(response.headers().contains_key("x-kept"));
    assert!(!response.headers().contains_key("etag") && !response.headers().contains_key("set-cookie"));
}

// --- bodies -----------------------------------------------------------------------------------------------------------

fn bodies() -> express::App {
    #[derive(serde::Deserialize)]
    struct Input {
        n: u32,
    }
    let mut app = express::App::new();
    app.post("/typed", async |req, res, _| {
        let input: Input = req.json().await?;
        res.text((input.n + 1).to_string())
    });
    app.post("/json", async |req, res, _| {
        let value: serde_json::Value = req.json().await?;
        let again: serde_json::Value = req.json().await?;
        assert_eq!(value, again);
        res.json(&value)
    });
    app.post("/form", async |req, res, _| {
        let form = req.form().await?;
        res.text(format!("{:?} {:?}", form.get("a"), form.get_all("b").collect::<Vec<_>>()))
    });
    app.post("/text", async |req, res, _| {
        let text = req.text().await?;
        res.text(text)
    });
    app
}

#[test]
fn bodies_are_read_as_what_they_say_they_are() {
    let app = bodies();
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    for (path, media_type, body, expected) in [
        ("/typed", json, "{\"n\": 4}", "5"),
        ("/json", "application/problem+json; charset=utf-8", "[1]", "[1]"),
        ("/json", json, r#"["cut \ud83d"]"#, "[\"cut \u{fffd}\"]"),
        ("/form", form, "a=1&b=2&b=%C3%A4+x&c", "Some(\"1\") [\"2\", \"ä x\"]"),
        ("/form", form, "", "None []"),
        ("/text", "", "ä", "ä"),
    ] {
        assert_eq!(ask(&app, post(path, media_type, body)), (200, expected.to_owned()), "{path}");
    }
}

#[test]
fn bad_bodies_get_the_status_that_says_why() {
    let app = bodies();
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    let (deep, long) = ("[".repeat(50_000), format!("\"{}\"", "a".repeat(200_000)));
    let fields = "a&".repeat(1001);
    for (path, media_type, body, status, says) in [
        ("/typed", json, "{\"n\": -4}", 400, "invalid value: integer `-4`, expected u32"),
        ("/typed", json, "{", 400, "EOF while parsing"),
        ("/typed", json, "", 400, "EOF while parsing"),
        ("/typed", "text/plain", "{}", 415, "the body must be application/json, and says \"text/plain\""),
        ("/json", json, &deep, 400, "recursion limit exceeded"),
        ("/json", json, &long, 413, "longer than 102400 bytes"),
        ("/form", json, "a=1", 415, "must be application/x-www-form-urlencoded"),
        ("/form", form, &fields, 413, "more than 1000 fields"),
        ("/form", form, &long, 413, "longer than 102400 bytes"),
    ] {
        let (answered, text) = ask(&app, post(path, media_type, body.to_owned()));
        assert!((answered, text.contains(says)) == (status, true), "{path} {says}: {answered} {text}");
    }
    let mut request = post("/json", json, "[]");
    request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(ask(&app, request), (415, "(415: the content coding \"gzip\" is not taken here)".into()));
    for (codings, status) in [(&["identity", "gzip"][..], 415), (&["Identity", ""], 200), (&["GZIP"], 415)] {
        let mut request = post("/json", json, "[]");
        for coding in codings {
            request.headers_mut().append("content-encoding", coding.parse().unwrap());
        }
        assert_eq!(ask(&app, request).0, status, "{codings:?}");
    }
    assert_eq!(ask(&app, post("/text", "", vec![0xff_u8])).0, 400);
}

#[test]
fn a_body_in_pieces_is_bounded_as_well() {
    let app = bodies();
    let pieces = |count| {
        Body::from_stream(futures::stream::iter(
            (0..count).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1000])),
        ))
    };
    let (status, text) = ask(&app, post("/json", "application/json", pieces(1000)));
    assert_eq!((status, text.as_str()), (413, "(413: the body is longer than 102400 bytes)"));
    assert_eq!(ask(&app, post("/text", "", pieces(3))), (200, " ".repeat(3000)));
}

#[test]
fn a_hostile_client_on_a_socket_gets_an_answer_each_time() {
    on_loop(async |lp| {
        let (_serving, address) = start(&lp, Server::new(bodies()));
        let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(9000));
        let large = "POST /json HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n";
        let broken = "POST /json HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
        for (bytes, expected) in [
            (long.as_str(), 414),
            ("GET /users/%00 HTTP/1.1\r\nhost: x\r\n\r\n", 404),
            ("GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", 404),
            (large, 413),
            (broken, 400),
        ] {
            let reply = Raw::ask(&lp, address, bytes).await.reply().await;
            assert_eq!(status(&reply), expected, "{reply}");
        }
        // And after all that another client is served.
        let good =
            "POST /json HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]";
        let reply = Raw::ask(&lp, address, good).await.reply().await;
        assert_eq!((status(&reply), body(&reply)), (200, "[]"));
    });
}

#[test]
fn the_state_holds_one_value_of_each_type() {
    let mut state = State::default();
    assert_eq!(state.insert(Rc::new(1)), None);
    assert_eq!(state.insert(Rc::new(2)), Some(Rc::new(1)));
    *state.get_mut::<Rc<i32>>().unwrap() = Rc::new(3);
    assert_eq!((state.take::<Rc<i32>>(), state.get::<Rc<i32>>()), (Some(Rc::new(3)), None));
}

#[test]
fn errors_tell_what_they_are_made_of() {
    let parse = || -> Result<u8> { Ok("x".parse::<u8>()?) };
    let error = parse().unwrap_err();
    assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
    assert_eq!((error.status().as_u16(), error.message().as_str()), (500, "Internal Server Error"));
}
