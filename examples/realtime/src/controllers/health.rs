//! Whether the service can do its work.

use phaseloop_server::web::Result;
use phaseloop_server::web::koa::Context;
use serde_json::json;

use crate::service::Parts;

pub(crate) async fn show(parts: &Parts, ctx: &mut Context<'_>) -> Result {
    let uptime_ms = parts.started.elapsed().as_millis();
    ctx.body(json!({ "status": "ok", "worker": parts.worker, "uptime_ms": uptime_ms as u64 }))
}
