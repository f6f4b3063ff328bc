//! The whole of what answers HTTP.

use std::rc::Rc;

use phaseloop_server::http::{Body, BoxError, Handler, Method, Request, Response};
use phaseloop_server::web::middleware::{
    Cors, LogLine, RateLimit, allowed_methods, etag, logger, request_id,
};
use phaseloop_server::web::{BodyLimits, Middleware, Req, express, koa};

use crate::log::Log;
use crate::middleware::{Origins, auth_optional, errors_as_json, same_origin};
use crate::routes;
use crate::service::Parts;

/// Bytes of a request's body: the largest that is good for anything is a post.
const BODY_LEN_MAX: usize = 16 * 1024;

/// Passwords that an address may try at once, and a second: who guesses needs more. As many users may register: each password takes the pool
/// as much time and memory.
const PASSWORDS_BURST: u32 = 10;
const PASSWORDS_PER_S: f64 = 0.5;

/// The page and the API in one style, what is for admins in the other, and the same around both.
pub(crate) struct Site {
    koa: koa::App,
    express: express::App,
}

impl Site {
    pub(crate) fn new(parts: &Rc<Parts>) -> Self {
        let around = around(parts);
        let mut limits = BodyLimits::default();
        limits.json_len_max = BODY_LEN_MAX;
        let (mut koa, mut express) = (koa::App::new(), express::App::new());
        koa.body_limits(limits.clone());
        express.body_limits(limits);
        for middleware in around {
            koa.with(middleware.clone());
            express.with(middleware);
        }
        if parts.config.rate_limit.is_some() {
            for path in ["/api/login", "/api/users"] {
                koa.with_at(path, RateLimit::new(PASSWORDS_BURST, PASSWORDS_PER_S).key(sender));
            }
        }
        koa.mount("/api", routes::api(parts));
        koa.mount("/", routes::page());
        express.mount("/admin", routes::admin(parts));
        Self { koa, express }
    }
}

impl Handler for Site {
    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        match request.uri().path().split('/').nth(1) {
            Some("admin") => self.express.handle(request).await,
            _ => self.koa.handle(request).await,
        }
    }
}

/// Who sends something; nobody who only reads.
fn sender(req: &Req) -> Option<String> {
    if req.method() == Method::POST { RateLimit::by_address(req) } else { None }
}

/// Who asks the API. The page is some small files that are asked for together, and without one of them it is dead.
fn asker(req: &Req) -> Option<String> {
    let is_of_page = !["/api", "/admin"].iter().any(|prefix| req.path().starts_with(prefix));
    if is_of_page { None } else { RateLimit::by_address(req) }
}

/// From the outside in.
fn around(parts: &Rc<Parts>) -> Vec<Middleware> {
    let (config, log) = (&parts.config, &parts.log);
    let mut around = vec![request_id(), request_log(log), errors_as_json(log)];
    if !config.origins.is_empty() {
        let exposed = ["x-request-id", "x-cache", "idempotent-replayed", "retry-after"];
        let cors = config.origins.iter().fold(Cors::new(), |cors, origin| cors.origin(origin.as_str()));
        around.push(exposed.into_iter().fold(cors, Cors::expose).into());
    }
    around.push(same_origin(Origins::of(config)));
    if let Some((per_s, burst)) = config.rate_limit {
        around.push(RateLimit::new(burst, per_s).key(asker).into());
    }
    around.extend([auth_optional(&parts.tokens), etag(), allowed_methods()]);
    around
}

fn request_log(log: &Log) -> Middleware {
    let log = log.clone();
    logger(move |line: &LogLine| {
        let (id, ms) = (line.request_id.as_deref().unwrap_or(""), line.time.as_millis());
        let peer = line.peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
        let (method, path, status) = (&line.method, &line.path, line.status.as_u16());
        log.info(
            "request",
            &[
                ("id", &id),
                ("method", method),
                ("path", path),
                ("status", &status),
                ("ms", &ms),
                ("peer", &peer),
            ],
        );
    })
}
