//! Pages of other sites, which may not have a visitor's browser call us.

use phaseloop_server::http::{Body, Request, header};
use phaseloop_server::web::Middleware;
use phaseloop_server::web::koa::middleware;

use crate::config::{Config, Tls};
use crate::refusal::Refusal;

/// The origins whose pages may call: our own, and those that are named.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    named: Vec<String>,
    /// Whether all that we serve is encrypted. Where it is not, a proxy may do that, and our pages have either scheme.
    is_encrypted: bool,
}

impl Origins {
    pub(crate) fn of(config: &Config) -> Self {
        Self { named: config.origins.clone(), is_encrypted: config.tls != Tls::Off }
    }

    /// True if a page of `origin` may call `host`. Who is no browser sends no origin, and may.
    fn allow(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let is_own = origin.split_once("://").is_some_and(|(scheme, own)| {
            Some(own) == host && (scheme == "https" || scheme == "http" && !self.is_encrypted)
        });
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
pub(crate) fn same_origin(origins: Origins) -> Middleware {
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
        let mut origins = Origins { named: vec!["https://app.example".to_owned()], is_encrypted: false };
        let allow = |origin, host| origins.allow(Some(origin), Some(host));
        assert!(origins.allow(None, Some("shop.example")), "no browser");
        assert!(allow("http://localhost:8080", "localhost:8080"));
        assert!(allow("https://app.example", "shop.example"));
        assert!(!allow("https://evil.example", "shop.example"));
        assert!(!allow("http://localhost:8081", "localhost:8080"), "another port is another origin");
        assert!(!allow("null", "null"), "a sandboxed page");
        assert!(!origins.allow(Some("https://evil.example"), None));
        assert!(allow("https://shop.example", "shop.example"), "a proxy encrypts");
        origins.is_encrypted = true;
        let allow = |origin, host| origins.allow(Some(origin), Some(host));
        assert!(allow("https://shop.example", "shop.example"));
        assert!(
            !allow("http://shop.example", "shop.example"),
            "anybody on the way may have written that page"
        );
    }
}
