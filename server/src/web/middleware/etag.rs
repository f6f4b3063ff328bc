//! Tags for answers, and 304 for clients that have them.

use std::fmt::Write as _;

use sha1::{Digest, Sha1};

use crate::http::{Method, StatusCode, header};
use crate::web::fresh::{date, is_fresh};
use crate::web::koa::middleware;
use crate::web::{Middleware, Res};

/// Gives answers to GET and HEAD an `ETag`, and answers 304 where the client has what it would get.
///
/// The tag is of the bytes, so bodies that are streamed get none; where a handler has set `ETag` or `Last-Modified` these are compared.
/// Hashing costs the loop about 1 ms a MiB: longer bodies than 1 MiB get no tag. Put it behind compression, not in front.
///
/// # Examples
/// ```
/// use phaseloop_server::web::{koa::App, middleware::etag};
///
/// let mut app = App::new();
/// app.with(etag());
/// # drop(app);
/// ```
pub fn etag() -> Middleware {
    middleware(async |ctx, next| {
        next.run(ctx).await?;
        let asks = matches!(*ctx.req.method(), Method::GET | Method::HEAD);
        if !asks || ctx.res.status_code() != StatusCode::OK {
            return Ok(());
        }
        if let Some(tag) = tag(ctx.res) {
            ctx.set(header::ETAG, tag);
        }
        let modified = ctx.res.header(header::LAST_MODIFIED).and_then(date);
        if is_fresh(ctx.req.headers(), ctx.res.header(header::ETAG), modified) {
            ctx.res.take_body();
            ctx.res.headers_mut().remove(header::CONTENT_TYPE);
            ctx.res.headers_mut().remove(header::CONTENT_LENGTH);
            ctx.res.status(StatusCode::NOT_MODIFIED);
        }
        Ok(())
    })
}

fn tag(res: &Res) -> Option<String> {
    let has = res.headers().contains_key(header::ETAG);
    let bytes = res.body()?.as_full().filter(|bytes| !has && bytes.len() <= HASHED_LEN_MAX)?;
    let mut tag = format!("\"{:x}-", bytes.len());
    for byte in &Sha1::digest(bytes)[..10] {
        // A `String` takes all that is written to it.
        let _ = write!(tag, "{byte:02x}");
    }
    Some(tag + "\"")
}

const HASHED_LEN_MAX: usize = 1024 * 1024;
