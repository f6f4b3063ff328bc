//! A service of its own for a test, on a port of its own, and those who ask it.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in helpers of tests too, a failure names its line")]

pub(crate) mod books;
pub(crate) mod program;
pub(crate) mod proxy;
pub(crate) mod servers;
pub(crate) mod talk;

use std::cell::RefCell;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phaseloop::{EventLoop, LoopHandle};
use phaseloop_server::client::{Client, ClientError, ClientOptions};
use phaseloop_server::http::{Body, Method, Request, Response};
use realtime::{Config, Level, Log, Service, StartError};
use serde_json::{Value, json};

/// How long a test may take before it is taken for stuck.
const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) const SECRET: &str = "the-secret-of-all-tests-0123456789";

/// What a test needs of its loop, its folder and its log.
pub(crate) struct World {
    pub(crate) lp: LoopHandle,
    pub(crate) folder: Folder,
    pub(crate) lines: Rc<RefCell<Vec<String>>>,
}

/// A service, and a client of it.
pub(crate) struct Shop {
    pub(crate) service: Service,
    asker: Asker,
}

/// Who asks a service, wherever it runs.
pub(crate) struct Asker {
    pub(crate) base: String,
    client: Client,
}

impl Deref for Shop {
    type Target = Asker;

    fn deref(&self) -> &Asker {
        &self.asker
    }
}

/// Runs a test on a loop with tokio below it, in a folder that is removed afterwards.
pub(crate) fn test(work: impl AsyncFnOnce(&World)) {
    let lp = EventLoop::builder().with_tokio().unwrap().build().unwrap();
    let world = World { lp: lp.handle(), folder: Folder::new(), lines: Rc::default() };
    let done = lp.block_on(async { phaseloop::timeout(PATIENCE, work(&world)).await.is_ok() }).unwrap();
    assert!(done, "still at it after {PATIENCE:?}; the log ends:\n{}", world.last_lines());
}

/// Whether a store did not listen yet: refused, or still so after all tries.
fn is_of_nobody_there(error: &StartError) -> bool {
    let told = error.to_string();
    ["os error", "timed out"].iter().any(|word| told.contains(word))
}

impl World {
    /// A service whose database is in the folder, and as it was left by the one before.
    pub(crate) async fn open(&self, more: &[(&str, &str)]) -> Shop {
        self.try_open(more).await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn try_open(&self, more: &[(&str, &str)]) -> Result<Shop, StartError> {
        let database = self.database();
        let mut variables = vec![
            ("PORT", "0"),
            ("DATABASE_URL", database.as_str()),
            ("DATABASE_WAIT_MS", "60000"),
            ("TOKEN_SECRET", SECRET),
            ("RATE_LIMIT_PER_S", "0"),
            ("ADMIN_NAME", "boss"),
            ("ADMIN_PASSWORD", "boss-password"),
        ];
        variables.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        variables.extend(more);
        let lookup =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        let config = Config::read(lookup).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let lines = Rc::clone(&self.lines);
        let log = Log::new(false, Level::Info, move |line| lines.borrow_mut().push(line.to_owned()));
        let service = Service::start(&self.lp, config, log).await?;
        let base = format!("http://{}", service.local_addr().unwrap());
        Ok(Shop { service, asker: Asker::new(&self.lp, base, 2000) })
    }

    /// The same with stores that were just started, and listen soon.
    pub(crate) async fn open_when_there(&self, more: &[(&str, &str)]) -> Shop {
        loop {
            match self.try_open(more).await {
                Ok(shop) => return shop,
                Err(error @ StartError::Store(_)) if is_of_nobody_there(&error) => {
                    phaseloop::yield_now().await; // nobody listens yet
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The database that [`open`](Self::open) makes.
    pub(crate) fn database(&self) -> String {
        format!("sqlite:{}", self.folder.file("shop.db").display())
    }

    pub(crate) fn log(&self) -> String {
        self.lines.borrow().join("\n")
    }

    fn last_lines(&self) -> String {
        let lines = self.lines.borrow();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Asker {
    /// It keeps so many connections for the next question.
    pub(crate) fn new(lp: &LoopHandle, base: String, kept_max: usize) -> Self {
        let mut options = ClientOptions::default();
        options.head = Duration::from_secs(120);
        options.kept_per_server_max = kept_max;
        Self { base, client: Client::with_options(lp, options) }
    }

    /// Asks; gives the status and the JSON, which is null if it is none.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Option<&Value>,
    ) -> (u16, Value) {
        let response = self.response(method, path, fields, body).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().bytes().await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(crate) async fn response(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Response<Body> {
        self.try_response(method, path, fields, body).await.unwrap()
    }

    pub(crate) async fn try_response(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Response<Body>, ClientError> {
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap());
        request = request.uri(format!("{}{path}", self.base));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.client.request(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &[], None).await
    }

    /// A new customer's token.
    pub(crate) async fn register(&self, name: &str) -> String {
        let body = json!({ "name": name, "password": format!("password of {name}") });
        let (status, answer) = self.ask("POST", "/api/users", &[], Some(&body)).await;
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn boss(&self) -> String {
        let body = json!({ "name": "boss", "password": "boss-password" });
        let (status, answer) = self.ask("POST", "/api/login", &[], Some(&body)).await;
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn with_token(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        self.ask(method, path, &[("authorization", &bearer(token))], body).await
    }

    pub(crate) async fn order(&self, token: &str, key: &str, items: &[(i64, i64)]) -> (u16, Value) {
        self.try_order(token, key, items).await.unwrap()
    }

    /// None if the connection broke.
    pub(crate) async fn try_order(
        &self,
        token: &str,
        key: &str,
        items: &[(i64, i64)],
    ) -> Option<(u16, Value)> {
        let item = |(product, quantity): &(i64, i64)| json!({ "product": product, "quantity": quantity });
        let body = json!({ "items": items.iter().map(item).collect::<Vec<_>>() });
        let fields = [("authorization", &*bearer(token)), ("idempotency-key", key)];
        let response = self.try_response("POST", "/api/orders", &fields, Some(&body)).await.ok()?;
        let status = response.status().as_u16();
        let bytes = response.into_body().bytes().await.ok()?;
        Some((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
    }

    /// The events of orders, from there on.
    pub(crate) async fn follow(&self, path: &str, fields: &[(&str, &str)]) -> Events {
        let response = self.response("GET", path, fields, None).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body(), text: String::new() }
    }
}

pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// What an answer of events tells.
pub(crate) struct Events {
    body: Body,
    text: String,
}

impl Events {
    /// The data of the next event of an order or the loop, or none at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                let is_other = ["event: database", "event: beat"].iter().any(|name| event.contains(name));
                self.text = rest.to_owned();
                if let Some(data) = data.filter(|_| !is_other) {
                    return Some(serde_json::from_str(&data).unwrap());
                }
            }
            let piece = self.body.chunk().await?.ok()?;
            self.text.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }
}

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("phaseloop-shop-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
