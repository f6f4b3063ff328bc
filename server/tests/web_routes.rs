//! Which routes and layers a request meets, and in which order.

#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod asking;
mod peer;

use asking::{Trace, ask, full, get, with};
use peer::{ms, on_loop};
use phaseloop_server::http::Handler;
use phaseloop_server::web::{Middleware, express, koa};
use phaseloop_tests::random::Random;

/// Middleware that says its name and goes on.
fn passing(trace: &Trace, name: &str) -> Middleware {
    let (trace, name) = (trace.clone(), name.to_owned());
    koa::middleware(async move |ctx, next| {
        trace.log(name.as_str());
        next.run(ctx).await
    })
}

#[test]
fn the_first_route_that_fits_runs_and_then_the_next() {
    let trace = Trace::default();
    let mut app = express::App::new();
    for pattern in ["/*all", "/users/:id", "/users/me", "/:kind/me", "/users/*rest", "/users/:name"] {
        let trace = trace.clone();
        app.get(pattern, async move |req, res, next| {
            trace.log(req.route().unwrap());
            next.run(req, res).await
        });
    }
    for (path, expected) in [
        ("/users/me", "/*all, /users/:id, /users/me, /:kind/me, /users/*rest, /users/:name"),
        ("/users/7", "/*all, /users/:id, /users/*rest, /users/:name"),
        ("/cats/me", "/*all, /:kind/me"),
        ("/users/a/b", "/*all, /users/*rest"),
        ("/users", "/*all"),
        ("/", ""),
    ] {
        assert_eq!(ask(&app, get(path)).0, 404);
        assert_eq!(trace.take(), expected, "{path}");
    }
}

#[test]
fn a_route_for_another_method_hides_none() {
    let mut app = koa::App::new();
    app.post("/login", async |ctx, _| ctx.body("logged in"));
    app.put("/users/me", async |ctx, _| ctx.body("put"));
    app.get("/users/:id", async |ctx, _| {
        let says = format!("user {}", ctx.param("id").unwrap());
        ctx.body(says)
    });
    app.get("/:page", async |ctx, _| ctx.body("a page"));
    app.get("/*path", async |ctx, _| ctx.body("the page"));
    for (method, path, expected) in [
        ("GET", "/login", "a page"),
        ("POST", "/login", "logged in"),
        ("GET", "/users/me", "user me"),
        ("PUT", "/users/me", "put"),
        ("GET", "/users/me/x", "the page"),
    ] {
        assert_eq!(ask(&app, with(method, path, &[])), (200, expected.to_owned()), "{method} {path}");
    }
    for (method, path, status, allowed) in [
        ("DELETE", "/login", 405, "GET, HEAD, POST, OPTIONS"),
        ("DELETE", "/users/me", 405, "GET, HEAD, PUT, OPTIONS"),
        ("OPTIONS", "/users/7", 204, "GET, HEAD, OPTIONS"),
    ] {
        let (response, _) = full(&app, with(method, path, &[]));
        let says = response.headers()["allow"].to_str().unwrap();
        assert_eq!((response.status().as_u16(), says), (status, allowed), "{method} {path}");
    }
}

#[test]
fn a_method_that_a_route_takes_and_passes_on_is_not_refused() {
    let mut app = koa::App::new();
    app.all("/*path", async |ctx, next| next.run(ctx).await);
    app.get("/a", async |ctx, next| next.run(ctx).await);
    app.post("/a", async |ctx, _| ctx.body("posted"));
    for (method, status) in [("GET", 404), ("HEAD", 404), ("POST", 200), ("PUT", 405), ("OPTIONS", 204)] {
        assert_eq!(ask(&app, with(method, "/a", &[])).0, status, "{method}");
    }
    assert_eq!(ask(&app, with("PUT", "/b", &[])).0, 404);
}

#[test]
fn a_head_meets_what_is_for_all_and_for_get() {
    let trace = Trace::default();
    let mut app = express::App::new();
    let log = trace.clone();
    app.all("/x", async move |req, res, next| {
        log.log("check");
        next.run(req, res).await
    });
    app.head("/own", async |_, res, _| res.set("x-own", "1").end());
    for path in ["/x", "/own"] {
        app.get(path, async |_, res, _| res.text("page"));
    }
    assert_eq!(ask(&app, with("HEAD", "/x", &[])).0, 200);
    assert_eq!(trace.take(), "check");
    assert!(full(&app, with("HEAD", "/own", &[])).0.headers().contains_key("x-own"));
    assert_eq!(ask(&app, get("/own")), (200, "page".into()));
}

#[test]
fn a_guard_is_not_walked_around_by_encoding() {
    let mut app = koa::App::new();
    app.use_at("/private", async |ctx, _| ctx.throw(401, "who are you"));
    app.all("/secret/*path", async |ctx, _| ctx.throw(401, "who are you"));
    app.get("/*path", async |ctx, _| ctx.body("open"));
    for path in ["/private/x", "/%70rivate/x", "/privat%65", "/secret/x", "/%73ecret/%78"] {
        assert_eq!(ask(&app, get(path)).0, 401, "{path}");
    }
    for path in ["/private%2Fx", "/privat", "/secret"] {
        assert_eq!(ask(&app, get(path)).0, 200, "{path}");
    }
}

#[test]
fn a_layer_finds_its_parameters_after_those_behind_it() {
    let trace = Trace::default();
    let mut app = koa::App::new();
    let log = trace.clone();
    app.use_at("/users/:id", async move |ctx, next| {
        next.run(ctx).await?;
        log.log(format!("{:?} {:?} {}", ctx.param("id"), ctx.param("name"), ctx.path()));
        Ok(())
    });
    let log = trace.clone();
    app.get("/users/:name/:what", async move |ctx, next| {
        next.run(ctx).await?;
        log.log(format!("{:?} {:?} {:?}", ctx.param("id"), ctx.param("name"), ctx.param("what")));
        Ok(())
    });
    app.get("/:a/:b/:id", async |ctx, _| {
        let says = format!("{:?} {:?}", ctx.param("id"), ctx.param("name"));
        ctx.body(says)
    });
    assert_eq!(ask(&app, get("/users/7/posts")).1, "Some(\"posts\") None");
    assert_eq!(trace.take(), "None Some(\"7\") Some(\"posts\"), Some(\"7\") None /posts");
}

#[test]
fn a_request_comes_back_from_what_is_dropped() {
    let mut app = koa::App::new();
    app.use_(async |ctx, next| {
        let is_late = phaseloop::timeout(ms(10), next.run(ctx)).await.is_err();
        let says = format!("late {is_late}, at {}", ctx.path());
        ctx.body(says)
    });
    let mut inner = koa::Router::new();
    inner.get("/slow", async |_, _| {
        phaseloop::sleep(ms(20)).await;
        Ok(())
    });
    app.mount("/in", inner);
    assert_eq!(ask(&app, get("/in/slow")).1, "late true, at /in/slow");
}

#[test]
fn routes_are_ordered_with_the_layers_between_them() {
    let trace = Trace::default();
    let mut app = koa::App::new();
    app.get("/:x", async |ctx, next| next.run(ctx).await).with(passing(&trace, "between"));
    app.get("/a", async |ctx, _| ctx.body("a")).with(passing(&trace, "behind"));
    assert_eq!(ask(&app, get("/a")).1, "a");
    assert_eq!(trace.take(), "between");
    assert_eq!(ask(&app, get("/b")).0, 404);
    assert_eq!(trace.take(), "between, behind");
}

#[test]
#[should_panic(expected = "the prefix \"/api/*\" covers all below it: leave its `*` away")]
fn a_guard_with_a_star_is_refused() {
    koa::App::new().use_at("/api/*", async |ctx, next| next.run(ctx).await);
}

// --- against a look at every route ------------------------------------------------------------------------------------

#[test]
fn the_index_finds_what_a_look_at_every_route_finds() {
    on_loop(async |_| {
        for seed in 0..400 {
            let mut random = Random::new(seed);
            let mut pick = |from: &[&str], end: &[&str]| {
                let mut path = String::new();
                for _ in 0..random.below(4) {
                    path = format!("{path}/{}", from[random.below(from.len() as u64) as usize]);
                }
                path + end[random.below(end.len() as u64) as usize]
            };
            let (trace, mut app) = (Trace::default(), koa::App::new());
            let patterns: Vec<_> =
                (0..12).map(|_| pick(&["a", "b", "{c}", ":x", ":y"], &["", "", "/*z"])).collect();
            for pattern in &patterns {
                let trace = trace.clone();
                app.get(pattern, async move |ctx, next| {
                    trace.log(ctx.req.route().unwrap());
                    next.run(ctx).await
                });
            }
            for _ in 0..20 {
                let path = format!(
                    "/{}",
                    pick(&["a", "b", "%61", "%7Bc%7D", "q%2Fq"], &["", "/"]).trim_start_matches('/')
                );
                let expected: Vec<_> =
                    patterns.iter().filter(|pattern| fits(pattern, &path)).cloned().collect();
                assert_eq!(app.handle(get(&path)).await.unwrap().status(), 404);
                assert_eq!(trace.take(), expected.join(", "), "{path} of {patterns:?}, seed {seed}");
            }
        }
    });
}

fn fits(pattern: &str, path: &str) -> bool {
    let path = path.replace("%61", "a").replace("%7B", "{").replace("%7D", "}");
    let mut names = path.trim_end_matches('/').split('/').filter(|name| !name.is_empty());
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        match (segment, names.next()) {
            (_, None) => return false,
            ("*z", Some(_)) => return true,
            (segment, Some(name)) if segment.starts_with(':') || segment == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}
