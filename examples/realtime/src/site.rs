//! The whole of what answers HTTP.

use std::rc::Rc;

use phaseloop_server::web::koa::App;
use phaseloop_server::web::middleware::{LogLine, RateLimit, allowed_methods, etag, logger, request_id};

use crate::log::Log;
use crate::middleware::{Origins, errors_as_json, same_origin};
use crate::routes;
use crate::service::Parts;

/// The page and the API, with all that stands around them.
pub(crate) fn site(parts: &Rc<Parts>) -> App {
    let (config, log) = (&parts.config, &parts.log);
    let mut app = App::new();
    app.with(request_id()).with(request_log(log)).with(errors_as_json(log));
    app.with(same_origin(&Origins::new(&config.origins)));
    if let Some((per_s, burst)) = config.rate_limit {
        app.with(RateLimit::new(burst, per_s));
    }
    app.with(etag()).with(allowed_methods());
    app.mount("/api", routes::api(parts));
    app.mount("/", routes::page());
    app
}

fn request_log(log: &Log) -> phaseloop_server::web::Middleware {
    let log = log.clone();
    logger(move |line: &LogLine| {
        let (id, ms) = (line.request_id.as_deref().unwrap_or(""), line.time.as_millis());
        let peer = line.peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
        let status = line.status.as_u16();
        log.info(
            "request",
            &[
                ("id", &id),
                ("method", &line.method),
                ("path", &line.path),
                ("status", &status),
                ("ms", &ms),
                ("peer", &peer),
            ],
        );
    })
}
