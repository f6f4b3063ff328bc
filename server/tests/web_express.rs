//! The style of Express against Express: the same application on both, asked the same.

#![cfg(feature = "web")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

mod asking;
mod peer;

use std::path::Path;
use std::process::Command;

use asking::full;
use phaseloop_server::http::{Body, Request, StatusCode};
use phaseloop_server::web::express::{App, Router};
use phaseloop_server::web::{BodyLimits, Error};
use phaseloop_tests::peers;
use serde_json::{Value, json};

/// What web_express/app.cjs is.
fn app() -> App {
    let mut limits = BodyLimits::default();
    (limits.json_len_max, limits.form_len_max) = (1000, 1000);
    let mut app = App::new();
    app.body_limits(limits);
    app.use_(async |req, res, next| {
        res.set("x-seen", "app");
        next.run(req, res).await
    });
    app.use_at("/private", async |_, res, _| res.status(401).text("who are you"));
    app.all("/guarded/*path", async |req, res, next| match req.query("key").as_deref() {
        Some("sesame") => next.run(req, res).await,
        _ => res.status(401).text("who are you"),
    });
    app.get("/guarded/:what", async |req, res, _| res.text(format!("guarded {}", param(req, "what"))));
    app.post("/login", async |_, res, _| res.text("logged in"));
    app.get("/users/me", async |_, res, _| res.text("me"));
    app.put("/users/me", async |_, res, _| res.text("put"));
    app.get("/users/:id", async |req, res, _| res.text(format!("user {}", param(req, "id"))));
    app.delete("/users/:id", async |_, res, _| res.status(204).end());
    app.all("/chain", async |req, res, next| next.run(req, res).await);
    app.get("/chain", async |req, res, next| {
        res.set("x-seen", "chain");
        next.run(req, res).await
    });
    app.get("/chain", async |_, res, _| res.text("end of the chain"));
    app.post("/passed", async |req, res, next| next.run(req, res).await);
    app.get("/go", async |_, res, _| res.redirect("/there?a=b"));
    app.get("/query", async |req, res, _| {
        res.text(format!("{} {}", req.query("a").unwrap(), req.query("b").unwrap()))
    });
    app.post("/json", async |req, res, _| {
        let body: Value = req.json().await?;
        res.json(&body)
    });
    app.post("/form", async |req, res, _| {
        let form = req.form().await?;
        res.text(format!("{} {}", form.get("a").unwrap(), form.get("b").unwrap()))
    });
    app.mount("/by/:user/posts", posts());
    errors(&mut app);
    app
}

fn errors(app: &mut App) {
    app.get("/fails", async |_, _, _| Err(Error::other("of a handler")));
    app.get("/resumes", async |_, _, next| next.fail(Error::other("resume")));
    app.use_error(async |error, req, res, next| match error.to_string().as_str() {
        "resume" => next.run(req, res).await,
        _ => Err(error),
    });
    app.get("/resumes", async |_, res, _| res.text("resumed"));
    app.get("/page/*path", async |req, res, _| res.text(format!("page {}", param(req, "path"))));
    app.get("/:page", async |req, res, _| res.text(format!("a page {}", param(req, "page"))));
    app.use_error(async |error, _, res, _| match error.status() {
        StatusCode::INTERNAL_SERVER_ERROR => res.status(500).text(format!("caught: {error}")),
        status => res.status(status).text("refused"),
    });
}

fn posts() -> Router {
    let mut posts = Router::new();
    posts.use_(async |req, res, next| {
        res.set("x-seen", format!("posts at {}", req.base_path()));
        next.run(req, res).await
    });
    posts.get("/", async |_, res, _| res.text("all posts"));
    posts.get("/:post", async |req, res, _| {
        let (post, user) = (param(req, "post"), param(req, "user"));
        res.text(format!("post {post} of {user} at {}", req.path()))
    });
    posts.get("/:post/fails", async |_, _, _| Err(Error::other("of the router")));
    posts.use_error(async |error, _, _, next| next.fail(Error::other(format!("{error}, once more"))));
    posts
}

fn param(req: &phaseloop_server::web::Req, name: &str) -> String {
    req.param(name).unwrap().to_owned()
}

/// A method, a path, the type of a body, and a body.
type Asked = (&'static str, &'static str, &'static str, String);

fn requests() -> Vec<Asked> {
    let plain = "GET /users/me; GET /users/me/; PUT /users/me; PUT /users/7; DELETE /users/7; OPTIONS /users/me; HEAD /users/me; \
        GET /users/a%2Fb; GET /users/a/b; GET /users/%zz; GET //users/me; GET /Users/me; GET /; GET /login; GET /%6Cogin; \
        HEAD /chain; GET /chain; POST /chain; POST /passed; GET /private; GET /private/a/b; GET /privatex; GET /%70rivate/x; \
        GET /guarded/x; GET /guarded/x?key=sesame; PUT /guarded/x; GET /guarded; GET /go; GET /query?a=1&b=x+y; \
        GET /by/ada/posts; GET /by/ada/posts/; GET /by/a%20b/posts/7; GET /by/ada/posts/7/fails; GET /by/ada/posts/7/8/9; \
        GET /by/%zz/posts/1; GET /fails; GET /resumes; GET /page/a/b/; GET /page/a//b; GET /page/; GET /page/%61%2Fb";
    let asked = plain.split("; ").map(|line| line.split_once(' ').unwrap());
    let mut all: Vec<Asked> =
        asked.map(|(method, path)| (method, path, "text/plain", String::new())).collect();
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    for body in ["{\"a\":[1]}".to_owned(), "{".to_owned(), format!("\"{}\"", "a".repeat(2000))] {
        all.push(("POST", "/json", json, body));
    }
    all.push(("POST", "/form", form, "a=1&b=%C3%A4".to_owned()));
    all
}

/// Where we part from Express, on purpose: what it answers, and what we do.
const PARTED: [(&str, &str, u64, u64); 4] = [
    ("PUT", "/users/7", 404, 405),
    ("POST", "/chain", 404, 405),
    ("OPTIONS", "/users/me", 200, 204),
    ("GET", "/%70rivate/x", 404, 401),
];

#[test]
fn express_answers_the_same() {
    let (Some(node), Some(modules)) = (peers::peer("node"), peers::node_package("express")) else { return };
    let requests = requests();
    let told = requests.iter().map(|(method, path, media_type, body)| {
        json!({ "method": method, "path": path, "fields": { "content-type": media_type }, "body": body })
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web_express/app.cjs");
    let mut command = Command::new(node);
    command.arg(script).arg(Value::from_iter(told).to_string()).env("NODE_PATH", modules);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), requests.len());

    let app = app();
    for ((method, path, media_type, body), theirs) in requests.into_iter().zip(answers) {
        let request = Request::builder().method(method).uri(path).header("content-type", media_type);
        let (response, text) = full(&app, request.body(Body::from(body.clone())).unwrap());
        let status = u64::from(response.status().as_u16());
        let asked = format!("{method} {path} {body:.20}: {status} {text:?}, and Express {theirs}");
        if let Some((.., of_express, ours)) =
            PARTED.iter().find(|(verb, at, ..)| (*verb, *at) == (method, path))
        {
            assert_eq!((&theirs["status"], status), (&json!(of_express), *ours), "{asked}");
            continue;
        }
        let field =
            |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        assert_eq!(
            json!([status, field("location"), field("x-seen")]),
            json!([theirs["status"], theirs["location"], theirs["seen"]]),
            "{asked}"
        );
        if method != "HEAD" && matches!(status, 200 | 400 | 401 | 413 | 500) {
            assert_eq!(theirs["text"], json!(text), "{asked}");
        }
    }
}
