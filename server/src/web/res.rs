//! An answer that is being made.

use std::fmt;

use serde::Serialize;

use super::cookie::Cookie;
use super::{Error, Result};
use crate::http::{Body, Bytes, HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

/// An answer that is being made by middleware and handlers. Until somebody sets a status or a body there is none.
///
/// What sets something gives the answer back, to go on; what ends an answer gives a [`Result`], to be the handler's own. Nothing
/// is sent before all middleware is done.
///
/// # Errors
/// A bad status, name or value of the header, such as one with a line break in it, is remembered, and becomes a 500 when the
/// answer is ended: nothing that a client sent can split a header.
///
/// # Examples
/// ```
/// use phaseloop_server::web::express::App;
/// use serde_json::json;
///
/// let mut app = App::new();
/// app.post("/users", async |_req, res, _next| {
///     res.status(201).set("location", "/users/7").json(&json!({ "id": 7 }))
/// });
/// app.get("/old", async |_req, res, _next| res.redirect("/new"));
/// # drop(app);
/// ```
#[derive(Default)]
pub struct Res {
    status: Option<StatusCode>,
    headers: HeaderMap,
    body: Option<Body>,
    fault: Option<String>,
}

impl Res {
    /// Sets the status: a number or a [`StatusCode`].
    pub fn status(&mut self, status: impl TryInto<StatusCode>) -> &mut Self {
        match status.try_into() {
            Ok(status) => self.status = Some(status),
            Err(_) => self.blame(|| "a status that is none".to_owned()),
        }
        self
    }

    /// The status it would have now: 404 until there is an answer.
    pub fn status_code(&self) -> StatusCode {
        let default = if self.body.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        self.status.unwrap_or(default)
    }

    /// Whether somebody has set a status or a body.
    pub fn is_answered(&self) -> bool {
        self.status.is_some() || self.body.is_some()
    }

    // --- the header ---

    /// Sets a field of the header, in place of all of its name.
    pub fn set(&mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> &mut Self {
        if let Some((name, value)) = self.field(name, value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Adds a field to the header.
    pub fn append(&mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> &mut Self {
        if let Some((name, value)) = self.field(name, value) {
            self.headers.append(name, value);
        }
        self
    }

    fn field(
        &mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Option<(HeaderName, HeaderValue)> {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => return Some((name, value)),
            (Ok(name), Err(_)) => self.blame(|| format!("a bad value of the header field {name}")),
            (Err(_), _) => self.blame(|| "a bad name of a header field".to_owned()),
        }
        None
    }

    /// The header.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The header, to be changed.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// A field of the header as text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Says that the answer depends on this field of the request. Said once, however often it is called.
    pub fn vary(&mut self, name: &'static str) -> &mut Self {
        let said = |field: &HeaderValue| {
            let names = field.to_str().unwrap_or("").split(',');
            names.map(str::trim).any(|said| said == "*" || said.eq_ignore_ascii_case(name))
        };
        if !self.headers.get_all(header::VARY).iter().any(said) {
            self.headers.append(header::VARY, HeaderValue::from_static(name));
        }
        self
    }

    /// Sets the media type: `text/css`, or what it is for a file's ending: `css`.
    pub fn type_(&mut self, media_type: &str) -> &mut Self {
        if media_type.contains('/') {
            return self.set(header::CONTENT_TYPE, media_type);
        }
        let Some(found) = mime_guess::from_ext(media_type.trim_start_matches('.')).first_raw() else {
            self.blame(|| format!("{media_type:?} is no media type, nor a known ending"));
            return self;
        };
        self.set(header::CONTENT_TYPE, with_charset(found))
    }

    /// Sets a cookie.
    pub fn cookie(&mut self, cookie: &Cookie) -> &mut Self {
        if let Some(problem) = cookie.problem() {
            self.blame(|| problem);
            return self;
        }
        self.append(header::SET_COOKIE, cookie.to_string())
    }

    // --- the body ---

    /// Sets the body, whose type says what it is, unless the header does: text, JSON or bytes. Text is plain text: what a
    /// client sent never becomes a page by accident.
    pub fn send(&mut self, reply: impl Reply) -> Result {
        let (body, media_type) = reply.into_reply();
        self.set_body(body);
        self.typed(media_type);
        self.end()
    }

    /// Sets the body to plain text.
    pub fn text(&mut self, text: impl Into<String>) -> Result {
        self.send(text.into())
    }

    /// Sets the body to a page. What a client sent must be escaped by whoever makes it.
    pub fn html(&mut self, page: impl Into<String>) -> Result {
        self.typed("text/html; charset=utf-8");
        self.send(page.into())
    }

    /// Sets the body to JSON.
    ///
    /// # Errors
    /// If the value can not be JSON, such as a map whose keys are no text.
    pub fn json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        let json = serde_json::to_vec(value)?;
        self.typed("application/json");
        self.send(Body::from(json))
    }

    /// Sends the client elsewhere, with 302.
    pub fn redirect(&mut self, to: &str) -> Result {
        self.redirect_with(StatusCode::FOUND, to)
    }

    /// Sends the client elsewhere.
    pub fn redirect_with(&mut self, status: impl TryInto<StatusCode>, to: &str) -> Result {
        self.status(status).set(header::LOCATION, to).send(format!("see {to}\n"))
    }

    /// Answers with a status and its name as text.
    pub fn send_status(&mut self, status: impl TryInto<StatusCode>) -> Result {
        self.status(status);
        let status = self.status_code();
        self.send(format!("{}\n", status.canonical_reason().unwrap_or(status.as_str())))
    }

    /// Ends the answer as it is; without a status it is a 200.
    pub fn end(&mut self) -> Result {
        if let Some(fault) = self.fault.take() {
            return Err(Error::other(format!("the answer has {fault}")));
        }
        if !self.is_answered() {
            self.status = Some(StatusCode::OK);
        }
        Ok(())
    }

    /// Sets the body and nothing else: for middleware.
    pub fn set_body(&mut self, body: impl Into<Body>) {
        self.body = Some(body.into());
    }

    /// Takes the body out: for middleware that puts another one in.
    pub fn take_body(&mut self) -> Option<Body> {
        self.body.take()
    }

    /// The body.
    pub fn body(&self) -> Option<&Body> {
        self.body.as_ref()
    }

    /// Takes over an answer that was made elsewhere. Fields of the header that it has replace those of the same name, but for `Vary`
    /// and `Set-Cookie`, which are added to what is there.
    pub fn set_response(&mut self, response: Response<Body>) {
        let (parts, body) = response.into_parts();
        self.status = Some(parts.status);
        for name in parts.headers.keys().filter(|name| ![header::VARY, header::SET_COOKIE].contains(name)) {
            self.headers.remove(name);
        }
        for (name, value) in &parts.headers {
            self.headers.append(name, value.clone());
        }
        self.body = Some(body);
    }

    /// Drops the answer, and of the header what describes it. What is said of the connection and of other answers stays.
    pub fn reset(&mut self) {
        *self = Self { headers: std::mem::take(&mut self.headers), ..Self::default() };
        for name in DESCRIBES {
            self.headers.remove(name);
        }
    }

    pub(super) fn into_response(mut self) -> Result<Response<Body>> {
        self.end()?;
        let mut response = Response::new(self.body.unwrap_or_default());
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        *response.headers_mut() = self.headers;
        Ok(response)
    }

    fn typed(&mut self, media_type: &'static str) {
        if !media_type.is_empty() && !self.headers.contains_key(header::CONTENT_TYPE) {
            self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
    }

    fn blame(&mut self, fault: impl FnOnce() -> String) {
        self.fault.get_or_insert_with(fault);
    }
}

/// The fields that belong to an answer that is dropped for another.
const DESCRIBES: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::SET_COOKIE,
];

/// Adds the charset to what is text.
pub(super) fn with_charset(media_type: &str) -> String {
    let is_text = media_type.starts_with("text/") || media_type == "application/javascript";
    if is_text { format!("{media_type}; charset=utf-8") } else { media_type.to_owned() }
}

/// What [`Res::send`] takes.
pub trait Reply {
    /// The bytes, and the media type where the header says none; an empty one for no type at all.
    fn into_reply(self) -> (Body, &'static str);
}

macro_rules! replies_as {
    ($media_type:literal: $($type:ty),*) => {
        $(impl Reply for $type {
            fn into_reply(self) -> (Body, &'static str) {
                (self.into(), $media_type)
            }
        })*
    };
}

replies_as!("text/plain; charset=utf-8": &'static str, String);
replies_as!("application/octet-stream": &'static [u8], Vec<u8>, Bytes);
replies_as!("": Body, ());

impl Reply for serde_json::Value {
    fn into_reply(self) -> (Body, &'static str) {
        (self.to_string().into(), "application/json")
    }
}

impl fmt::Debug for Res {
    /// Without the header, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Res").field("status", &self.status).field("body", &self.body).finish_non_exhaustive()
    }
}
