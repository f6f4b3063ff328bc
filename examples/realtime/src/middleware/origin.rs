//! Pages of other sites, which may not have a visitor's browser call us.

use phaseloop_server::http::{Body, Request, header};
use phaseloop_server::web::Middleware;
use phaseloop_server::web::koa::middleware;

use crate::refusal::Refusal;

/// The origins whose pages may call: our own, and those that are named.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    named: Vec<String>,
}

impl Origins {
    pub(crate) fn new(named: &[String]) -> Self {
        Self { named: named.to_vec() }
    }

    /// True if a page of `origin` may call `host`. Who is no browser sends no origin, and may.
    fn allow(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let own = origin.split_once("://").map(|(_, own)| own);
        let is_own = own.is_some() && own == host;
        is_own || self.named.iter().any(|named| named.eq_ignore_ascii_case(origin))
    }

    /// The same for a request of Socket.IO.
    pub(crate) fn check(&self, request: &Request<Body>) -> Result<(), String> {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
        let host =
            header(header::HOST).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        match self.allow(header(header::ORIGIN), host) {
            true => Ok(()),
            false => Err("pages of this origin may not call here".to_owned()),
        }
    }
}

/// Refuses what pages of other origins ask, with 403; also plain GETs, since answers of ours are nobody else's to read.
pub(crate) fn same_origin(origins: &Origins) -> Middleware {
    let origins = origins.clone();
    middleware(async move |ctx, next| {
        let header = |name| ctx.req.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
        let host =
            header(header::HOST).or_else(|| ctx.req.uri().authority().map(|authority| authority.as_str()));
        if !origins.allow(header(header::ORIGIN), host) {
            return Err(Refusal::forbidden("pages of this origin may not call here").into());
        }
        next.run(ctx).await
    })
}

#[cfg(test)]
mod tests {
    use super::Origins;

    #[test]
    fn only_ones_own_origin_and_those_named_may_call() {
        let origins = Origins::new(&["https://app.example".to_owned()]);
        let allow = |origin, host| origins.allow(Some(origin), Some(host));
        assert!(origins.allow(None, Some("shop.example")), "no browser");
        assert!(allow("http://localhost:8080", "localhost:8080"));
        assert!(allow("https://app.example", "shop.example"));
        assert!(!allow("https://evil.example", "shop.example"));
        assert!(!allow("http://localhost:8081", "localhost:8080"), "another port is another origin");
        assert!(!allow("null", "null"), "a sandboxed page");
        assert!(!origins.allow(Some("https://evil.example"), None));
    }
}
