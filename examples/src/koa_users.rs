//! The application of the example `koa_users`: users in memory, in the style of Koa.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use phaseloop_server::http::StatusCode;
use phaseloop_server::web::koa::{App, Context, Router};
use phaseloop_server::web::middleware::{allowed_methods, etag, logger, request_id, response_time, timeout};
use phaseloop_server::web::{Error, Result};
use serde_json::{Value, json};

/// Who is known, by number. No lock: all handlers run on one thread.
type Users = Rc<RefCell<BTreeMap<u32, String>>>;

/// How many users there may be.
const USERS_MAX: usize = 1000;

/// Users at `/api/users`; `log` gets a line for each request and each error that is the server's.
pub fn app(log: impl Fn(&str) + Clone + 'static) -> App {
    let (lines, errors) = (log.clone(), log);
    let mut app = App::new();
    app.with(request_id()).with(logger(move |line| lines(&line.to_string()))).with(response_time());
    app.with(timeout(Duration::from_secs(5))).use_(errors_as_json).with(etag()).with(allowed_methods());
    app.on_error(move |error, req| errors(&format!("{} {} failed: {error}", req.method(), req.uri().path())));
    app.mount("/api/users", users(&Users::default()));
    app
}

/// The client's errors as JSON; the server's go on to `on_error`.
async fn errors_as_json(ctx: &mut Context<'_>, next: phaseloop_server::web::koa::Next<'_>) -> Result {
    match next.run(ctx).await {
        Err(error) if error.status().is_client_error() => {
            ctx.res.reset();
            ctx.status(error.status()).body(json!({ "error": error.message() }))
        }
        outcome => outcome,
    }
}

fn users(users: &Users) -> Router {
    let mut router = Router::new();
    let all = Rc::clone(users);
    router.get("/", async move |ctx, _next| {
        let list: Vec<_> = all.borrow().iter().map(|(id, name)| user(*id, name)).collect();
        ctx.body(Value::from(list))
    });
    let one = Rc::clone(users);
    router.get("/:id", async move |ctx, _next| {
        let id = ctx.req.param_as("id")?;
        let found = one.borrow().get(&id).map(|name| user(id, name));
        ctx.body(found.ok_or_else(|| no_user(id))?)
    });
    let new = Rc::clone(users);
    router.post("/", async move |ctx, _next| {
        let name = name(&ctx.req.json().await?)?;
        let mut users = new.borrow_mut();
        if users.len() >= USERS_MAX {
            // The client is told, which of a status from 500 on it is not by `ctx.throw`.
            let message = format!("there are {USERS_MAX} users already");
            return Err(Error::new(StatusCode::INSUFFICIENT_STORAGE, message));
        }
        let id = users.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
        let answer = user(id, &name);
        users.insert(id, name);
        ctx.status(201).set("location", format!("/api/users/{id}")).body(answer)
    });
    let changed = Rc::clone(users);
    router.put("/:id", async move |ctx, _next| {
        let (id, name) = (ctx.req.param_as("id")?, name(&ctx.req.json().await?)?);
        *changed.borrow_mut().get_mut(&id).ok_or_else(|| no_user(id))? = name.clone();
        ctx.body(user(id, &name))
    });
    let gone = Rc::clone(users);
    router.delete("/:id", async move |ctx, _next| {
        let id = ctx.req.param_as("id")?;
        gone.borrow_mut().remove(&id).ok_or_else(|| no_user(id))?;
        ctx.status(204).body(())
    });
    router
}

fn user(id: u32, name: &str) -> Value {
    json!({ "id": id, "name": name })
}

fn name(body: &Value) -> Result<String> {
    let name = body["name"].as_str().map(str::trim).filter(|name| (1..=100).contains(&name.len()));
    name.map(str::to_owned).ok_or_else(|| bad_request("`name` must be a text of 1 to 100 bytes"))
}

fn bad_request(message: &str) -> Error {
    Error::new(phaseloop_server::http::StatusCode::BAD_REQUEST, message)
}

fn no_user(id: u32) -> Error {
    Error::new(phaseloop_server::http::StatusCode::NOT_FOUND, format!("there is no user {id}"))
}
