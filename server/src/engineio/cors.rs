//! What pages of other origins may do.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

/// Which origins may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AllowedOrigins {
    /// All. With credentials the origin that asks is named, since browsers take no `*` then.
    Any,
    /// These, such as `https://example.org`.
    These(Vec<String>),
}

/// What pages of other origins may do, by polling. A WebSocket may be opened by any page: check the `Origin` header with
/// [`Engine::allow_request`](super::Engine::allow_request) where that matters.
///
/// # Examples
/// ```
/// use phaseloop_server::engineio::{Cors, Options};
///
/// let mut options = Options::default();
/// options.cors = Some(Cors::origins(["https://example.org"]).credentials(true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: AllowedOrigins,
    credentials: bool,
}

impl Cors {
    /// Pages of all origins may talk to the server.
    pub fn any() -> Self {
        Self { origins: AllowedOrigins::Any, credentials: false }
    }

    /// Pages of these origins may.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        let origins = AllowedOrigins::These(origins.into_iter().map(Into::into).collect());
        Self { origins, credentials: false }
    }

    /// Whether they may send cookies; not by default.
    pub fn credentials(mut self, allow: bool) -> Self {
        self.credentials = allow;
        self
    }

    /// Which origins may ask.
    pub fn allowed_origins(&self) -> &AllowedOrigins {
        &self.origins
    }

    /// Adds what a browser wants to see in each answer to `request`.
    pub(crate) fn mark(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        let origin = request.get(ORIGIN);
        let allowed = match &self.origins {
            AllowedOrigins::Any if !self.credentials => Some(HeaderValue::from_static("*")),
            AllowedOrigins::Any => origin.cloned(),
            AllowedOrigins::These(these) => {
                let named =
                    |origin: &&HeaderValue| these.iter().any(|one| origin.as_bytes() == one.as_bytes());
                origin.filter(named).cloned()
            }
        };
        if allowed.as_ref().is_none_or(|allowed| allowed != "*") {
            answer.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(allowed) = allowed else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Adds what the answer to a preflight says besides.
    pub(crate) fn mark_preflight(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.mark(request, answer);
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,POST"));
        if let Some(headers) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(cors: &Cors, origin: &'static str) -> HeaderMap {
        let mut request = HeaderMap::new();
        request.insert(ORIGIN, HeaderValue::from_static(origin));
        let mut answer = HeaderMap::new();
        cors.mark(&request, &mut answer);
        answer
    }

    #[test]
    fn only_named_origins_are_let_in() {
        let cors = Cors::origins(["https://a.example"]);
        assert_eq!(marked(&cors, "https://a.example")[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert!(!marked(&cors, "https://b.example").contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert_eq!(marked(&cors, "https://b.example")[VARY], "Origin");
    }

    #[test]
    fn with_credentials_any_origin_is_named() {
        assert_eq!(marked(&Cors::any(), "https://a.example")[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let answer = marked(&Cors::any().credentials(true), "https://a.example");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    }
}
