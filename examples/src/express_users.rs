//! The application of the example `express_users`: users in memory in the style of Express, and a part that only those see who have
//! logged in.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use fs_pool::hash::fill_random;
use phaseloop_server::http::StatusCode;
use phaseloop_server::web::express::{App, Router};
use phaseloop_server::web::middleware::logger;
use phaseloop_server::web::{Cookie, Error, Req, Result};
use serde_json::{Value, json};

/// How many users and sessions there may be.
const USERS_MAX: usize = 1000;
const SESSIONS_MAX: usize = 1000;

/// All that is kept. No lock: all handlers run on one thread.
#[derive(Default)]
struct Store {
    users: RefCell<BTreeMap<u32, String>>,
    /// Who has logged in, by token.
    sessions: RefCell<HashMap<String, u32>>,
    last_id: Cell<u32>,
}

/// Who asks.
struct Me(u32);

/// Users at `/users`, a session at `/session`; `log` gets a line for each request.
pub fn app(log: impl Fn(&str) + 'static) -> App {
    let store = Rc::new(Store::default());
    let mut app = App::new();
    app.with(logger(move |line| log(&line.to_string())));
    let sessions = Rc::clone(&store);
    // Logging in is optional here: what needs it says so.
    app.use_(async move |req, res, next| {
        let me = req.cookie("session").and_then(|token| sessions.sessions.borrow().get(&*token).copied());
        if let Some(id) = me {
            req.state.insert(Me(id));
        }
        next.run(req, res).await
    });
    app.mount("/users", users(&store));
    app.mount("/session", session(&store));
    app.use_(async |req, _res, next| {
        let what = format!("there is no {} {}", req.method(), req.uri().path());
        next.fail(Error::new(StatusCode::NOT_FOUND, what))
    });
    // Errors of all layers in front of it come here. The server's own are told to the log, not to the client.
    app.use_error(async |error, _req, res, _next| {
        let says =
            if error.status().is_server_error() { "that went wrong".to_owned() } else { error.message() };
        res.status(error.status()).json(&json!({ "error": says }))
    });
    app
}

/// Who asks; an error for those who have not logged in.
fn required(req: &Req) -> Result<u32> {
    let me = req.state.get::<Me>().map(|Me(id)| *id);
    me.ok_or_else(|| Error::new(StatusCode::UNAUTHORIZED, "log in first"))
}

fn users(store: &Rc<Store>) -> Router {
    let mut router = Router::new();
    let all = Rc::clone(store);
    router.get("/", async move |_req, res, _next| {
        let list: Vec<_> = all.users.borrow().iter().map(|(id, name)| user(*id, name)).collect();
        res.json(&list)
    });
    let new = Rc::clone(store);
    router.post("/", async move |req, res, _next| {
        let name = name(&req.json::<Value>().await?)?;
        if new.users.borrow().len() >= USERS_MAX {
            return Err(Error::new(
                StatusCode::INSUFFICIENT_STORAGE,
                format!("there are {USERS_MAX} users already"),
            ));
        }
        let id = new.last_id.get() + 1;
        new.last_id.set(id);
        let answer = user(id, &name);
        new.users.borrow_mut().insert(id, name);
        res.status(StatusCode::CREATED).set("location", format!("/users/{id}")).json(&answer)
    });
    let one = Rc::clone(store);
    router.get("/:id", async move |req, res, _next| {
        let id = req.param_as("id")?;
        let found = one.users.borrow().get(&id).map(|name| user(id, name));
        res.json(&found.ok_or_else(|| no_user(id))?)
    });
    let gone = Rc::clone(store);
    router.delete("/:id", async move |req, res, _next| {
        let (me, id) = (required(req)?, req.param_as("id")?);
        if me != id {
            return Err(Error::new(StatusCode::FORBIDDEN, "nobody removes others"));
        }
        gone.users.borrow_mut().remove(&id).ok_or_else(|| no_user(id))?;
        gone.sessions.borrow_mut().retain(|_, user| *user != id);
        res.send_status(StatusCode::NO_CONTENT)
    });
    router
}

/// POST logs in, by a form with `name`; GET says who one is; DELETE logs out.
fn session(store: &Rc<Store>) -> Router {
    let mut router = Router::new();
    let enter = Rc::clone(store);
    router.post("/", async move |req, res, _next| {
        let form = req.form().await?;
        let name = form.get("name").unwrap_or_default();
        let id = enter.users.borrow().iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
        let id =
            id.ok_or_else(|| Error::new(StatusCode::UNAUTHORIZED, format!("nobody is called {name:?}")))?;
        let token = token()?;
        let mut sessions = enter.sessions.borrow_mut();
        if sessions.len() >= SESSIONS_MAX {
            sessions.clear(); // all have to log in again: better than nobody being able to
        }
        sessions.insert(token.clone(), id);
        res.cookie(&Cookie::new("session", token)).status(StatusCode::CREATED).json(&json!({ "id": id }))
    });
    let who = Rc::clone(store);
    router.get("/", async move |req, res, _next| match req.state.get::<Me>() {
        Some(Me(id)) => res.json(&who.users.borrow().get(id).map(|name| user(*id, name))),
        None => res.json(&Value::Null),
    });
    let leave = Rc::clone(store);
    router.delete("/", async move |req, res, _next| {
        if let Some(token) = req.cookie("session") {
            leave.sessions.borrow_mut().remove(&*token);
        }
        res.cookie(&Cookie::removal("session")).send_status(StatusCode::NO_CONTENT)
    });
    router
}

/// Thirty-two characters that nobody guesses.
fn token() -> Result<String> {
    let mut bytes = [0; 16];
    fill_random(&mut bytes).map_err(Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn user(id: u32, name: &str) -> Value {
    json!({ "id": id, "name": name })
}

fn name(body: &Value) -> Result<String> {
    let name = body["name"].as_str().map(str::trim).filter(|name| (1..=100).contains(&name.len()));
    name.map(str::to_owned)
        .ok_or_else(|| Error::new(StatusCode::BAD_REQUEST, "`name` must be a text of 1 to 100 bytes"))
}

fn no_user(id: u32) -> Error {
    Error::new(StatusCode::NOT_FOUND, format!("there is no user {id}"))
}
