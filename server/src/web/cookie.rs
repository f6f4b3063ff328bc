//! Cookies: read from a request, set by an answer.

use std::borrow::Cow;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// To which requests from other sites a browser adds a cookie. Source: RFC 6265bis, section 5.6.7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Those that go to a page.
    Lax,
    /// All; browsers take it from an encrypted connection only, and the cookie becomes `Secure`.
    None,
}

/// A cookie that an answer sets. By default for all paths, until the browser ends, `HttpOnly` and `SameSite=Lax`.
///
/// What does not fit into a cookie is percent-encoded; [`Req::cookie`](super::Req::cookie) decodes it. It is neither signed nor
/// encrypted: what a client must not forge belongs into a session on the server.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use phaseloop_server::web::Cookie;
///
/// let cookie = Cookie::new("name", "a b").secure(true).max_age(Duration::from_secs(60));
/// assert_eq!(cookie.to_string(), "name=a%20b; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    max_age: Option<Duration>,
    http_only: bool,
    secure: bool,
    same_site: SameSite,
}

impl Cookie {
    /// A cookie. A name that is none is refused when it is set.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: "/".into(),
            domain: None,
            max_age: None,
            http_only: true,
            secure: false,
            same_site: SameSite::Lax,
        }
    }

    /// Has the browser forget the cookie of this name.
    pub fn removal(name: impl Into<String>) -> Self {
        Self::new(name, "").max_age(Duration::ZERO)
    }

    /// The paths it is for.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// The domain it is for, names below it included. By default this host alone.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// How long it lives, in whole seconds.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Whether it is hidden from scripts, as it is by default.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Whether it is sent over encrypted connections only.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// To which requests from other sites it is added.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// What is wrong with it.
    pub(crate) fn problem(&self) -> Option<String> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            return Some(format!("{:?} is no name of a cookie", self.name));
        }
        let bad = |text: &str| text.chars().any(|c| c == ';' || !(' '..='~').contains(&c));
        let texts = [Some(&self.path), self.domain.as_ref()];
        texts
            .into_iter()
            .flatten()
            .find(|text| bad(text))
            .map(|text| format!("{text:?} is no path or domain"))
    }
}

impl std::fmt::Display for Cookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}; Path={}", self.name, utf8_percent_encode(&self.value, UNSAFE), self.path)?;
        if let Some(domain) = &self.domain {
            write!(f, "; Domain={domain}")?;
        }
        if let Some(max_age) = self.max_age {
            write!(f, "; Max-Age={}", max_age.as_secs())?;
        }
        if self.http_only {
            f.write_str("; HttpOnly")?;
        }
        if self.secure || self.same_site == SameSite::None {
            f.write_str("; Secure")?;
        }
        write!(f, "; SameSite={:?}", self.same_site)
    }
}

/// What must not stand in a cookie's value (RFC 6265, section 4.1.1), and the percent sign.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The value of the first cookie of this name in a `Cookie` field. One that is badly encoded is given as it is.
pub(crate) fn find<'a>(field: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = field.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    Some(percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value)))
}

#[cfg(test)]
mod tests {
    use super::{Cookie, SameSite, find};

    #[test]
    fn cookies_are_found_by_name_and_decoded() {
        let field = "a=1; b=\"two\";c = x; d=%C3%A4; e=%zz; =no; a=2; f";
        for (name, value) in
            [("a", Some("1")), ("b", Some("two")), ("d", Some("ä")), ("e", Some("%zz")), ("f", None)]
        {
            assert_eq!(find(field, name).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn what_would_split_the_header_is_refused_or_encoded() {
        assert!(Cookie::new("a b", "").problem().is_some());
        assert!(Cookie::new("", "").problem().is_some());
        assert!(Cookie::new("a", "").path("/;x").problem().is_some());
        assert!(Cookie::new("a", "").domain("x\r\n").problem().is_some());
        let cookie = Cookie::new("a", "1; Secure\r\n").same_site(SameSite::None).http_only(false);
        assert_eq!(cookie.to_string(), "a=1%3B%20Secure%0D%0A; Path=/; Secure; SameSite=None");
        assert_eq!(cookie.problem(), None);
    }
}
