//! Whether the service can do its work.

use std::rc::Rc;

use phaseloop_server::web::Result;
use phaseloop_server::web::koa::Context;
use serde_json::{Value, json};

use crate::log::Log;
use crate::refusal::Refusal;
use crate::service::Parts;

pub(crate) async fn show(parts: &Rc<Parts>, ctx: &mut Context<'_>) -> Result {
    let log = &parts.log;
    let (database, documents, cache, events) =
        futures::join!(parts.database.check(), parts.posts.check(), parts.cache.check(), parts.hub.check());
    let stores = [
        ("database", state(log, parts.database.kind(), database)),
        ("documents", state(log, parts.posts.kind(), documents)),
        ("cache", state(log, parts.cache.kind(), cache)),
        ("events", state(log, parts.hub.kind(), events)),
    ];
    let is_well = stores.iter().all(|(_, state)| state["ok"] == true) && !parts.is_stopping();
    let mut body = json!({
        "status": if is_well { "ok" } else { "unavailable" },
        "worker": parts.worker,
        "uptime_ms": parts.started.elapsed().as_millis() as u64,
    });
    if let Value::Object(body) = &mut body {
        body.extend(stores.map(|(name, state)| (name.to_owned(), state)));
    }
    ctx.status(if is_well { 200 } else { 503 }).set("cache-control", "no-store");
    ctx.body(body)
}

fn state(log: &Log, kind: &str, outcome: std::result::Result<(), Refusal>) -> Value {
    if let Err(error) = &outcome {
        log.warn("health", &[("store", &kind), ("error", error)]);
    }
    json!({ "kind": kind, "ok": outcome.is_ok() })
}
