//! Reading the body of a request whole.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::req::Req;
use super::{Error, Result};
use crate::http::{Bytes, StatusCode, header};
use crate::proto::json::without_half_pairs;

/// The fields of a form, in their order.
///
/// # Examples
/// ```
/// use phaseloop_server::web::koa::App;
///
/// let mut app = App::new();
/// app.post("/login", async |ctx, _next| {
///     let form = ctx.req.form().await?;
///     let name = form.get("name").unwrap_or("nobody").to_owned();
///     ctx.res.text(format!("hello {name}\n"))
/// });
/// # drop(app);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    /// All values of this name.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| &**value)
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

/// Each of these reads the whole body, once; the next call finds it in memory.
///
/// # Errors
/// 415 if the body is of another type, of another charset than UTF-8, or compressed (unless middleware decodes it); 413 above the
/// limits; 400 for what can not be taken apart; 408 if it comes too slowly.
impl Req {
    /// The body, which says that it is JSON, as a value.
    ///
    /// # Cancel safety
    /// What was read so far is lost.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        if !self.is("application/json") && !self.is("+json") {
            return Err(self.wrong_type("application/json"));
        }
        let bytes = self.whole(self.limits.json_len_max).await?;
        // What serde says names the place, and of the body at most the value that does not fit.
        serde_json::from_slice(&bytes)
            .or_else(|error| match without_half_pairs(&bytes) {
                Some(mended) => serde_json::from_slice(&mended),
                None => Err(error),
            })
            .map_err(|error| bad(format!("the body is not the JSON that is expected: {error}")))
    }

    /// The body, which says that it is a form (`application/x-www-form-urlencoded`).
    ///
    /// # Cancel safety
    /// What was read so far is lost.
    pub async fn form(&mut self) -> Result<Form> {
        if !self.is("application/x-www-form-urlencoded") {
            return Err(self.wrong_type("application/x-www-form-urlencoded"));
        }
        let (bytes, max) = (self.whole(self.limits.form_len_max).await?, self.limits.fields_max);
        let mut fields = form_urlencoded::parse(&bytes);
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        let form = Form(fields.by_ref().take(max).map(owned).collect());
        if fields.next().is_some() {
            return Err(too_large(format!("the form has more than {max} fields")));
        }
        Ok(form)
    }

    /// The body as text, whatever type it says it is of.
    ///
    /// # Cancel safety
    /// What was read so far is lost.
    pub async fn text(&mut self) -> Result<String> {
        let bytes = self.whole(self.limits.text_len_max).await?;
        String::from_utf8(bytes.into())
            .map_err(|error| bad(format!("the body is not UTF-8: {}", error.utf8_error())))
    }

    /// The body as bytes.
    ///
    /// # Cancel safety
    /// What was read so far is lost.
    pub async fn bytes(&mut self) -> Result<Bytes> {
        self.whole(self.limits.text_len_max).await
    }

    async fn whole(&mut self, len_max: usize) -> Result<Bytes> {
        if self.read.is_none() {
            let coding = self.content_coding();
            if !coding.is_empty() {
                let message = format!("the content coding {coding:?} is not taken here");
                return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
            }
            let mut body = std::mem::take(&mut self.body);
            body.set_len_max(len_max as u64);
            // A body that middleware has put in has no such limit.
            let (mut read, mut pieces) = (Bytes::new(), Vec::new());
            while let Some(piece) = body.chunk().await {
                let piece = piece?;
                let len = read.len() + pieces.len() + piece.len();
                if len > len_max {
                    return Err(too_large(format!("the body is longer than {len_max} bytes")));
                }
                if read.is_empty() && pieces.is_empty() {
                    read = piece; // most bodies have one piece: it is not copied
                } else {
                    pieces.extend_from_slice(&std::mem::take(&mut read));
                    pieces.extend_from_slice(&piece);
                }
            }
            self.read = Some(if pieces.is_empty() { read } else { pieces.into() });
        }
        let read = self.read.clone().unwrap_or_default();
        if read.len() > len_max {
            return Err(too_large(format!("the body is longer than {len_max} bytes")));
        }
        Ok(read)
    }

    /// How the body is encoded, in small letters and in the order in which it was; empty for not at all.
    pub(super) fn content_coding(&self) -> String {
        let fields = self.headers().get_all(header::CONTENT_ENCODING).into_iter();
        let fields = fields.map(|field| String::from_utf8_lossy(field.as_bytes()).to_ascii_lowercase());
        let all = fields.collect::<Vec<_>>().join(",");
        let codings = all.split(',').map(str::trim).filter(|coding| !matches!(*coding, "" | "identity"));
        codings.collect::<Vec<_>>().join(", ")
    }

    fn wrong_type(&self, wanted: &str) -> Error {
        let given = self.header(header::CONTENT_TYPE).unwrap_or("nothing");
        Error::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("the body must be {wanted}, and says {given:?}"),
        )
    }
}

fn bad(message: String) -> Error {
    Error::new(StatusCode::BAD_REQUEST, message)
}

fn too_large(message: String) -> Error {
    Error::new(StatusCode::PAYLOAD_TOO_LARGE, message)
}
