//! Answers made smaller on the pool.

use fs_pool::compress::{Brotli, Compress, CompressError, Deflate, Format, Zstd};
use fs_pool::request::LoopPool;
use http_body::Body as _;

use crate::http::{Body, HeaderValue, Method, StatusCode, header};
use crate::web::koa::middleware;
use crate::web::negotiate::{accepted, quality};
use crate::web::transform::through;
use crate::web::{Middleware, Req, Res, Result};

/// Compresses answers, with the coding of brotli, zstd and gzip that the client likes best (in this order where it likes them alike).
///
/// Left as they are: answers that are compressed already, that are shorter than [`len_min`](Self::len_min), whose type does not gain
/// by it, that are a part of something, or that say `Cache-Control: no-transform`; and `text/event-stream`, unless it is asked for,
/// since compressing holds events back and costs memory for each client. `Vary` says that the answer depends on the client, also in a
/// 304; a strong `ETag` becomes a weak one. Where secrets and what a client sent stand in one answer, compression can give the secret away
/// (BREACH): leave such answers out.
///
/// # Examples
/// ```
/// use fs_pool::{pool::Pool, request::LoopPool};
/// use phaseloop_server::web::{koa::App, middleware::Compression};
///
/// let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// let mut app = App::new();
/// app.with(Compression::new(&LoopPool::new(&lp, &pool)).len_min(4096));
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Compression {
    compress: Compress,
    len_min: u64,
    events: bool,
}

impl Compression {
    /// Compression by a pool.
    pub fn new(pool: &LoopPool) -> Self {
        Self { compress: Compress::new(pool), len_min: 1024, events: false }
    }

    /// Bytes below which an answer is left as it is; 1 KiB. Answers of unknown length are compressed.
    pub fn len_min(mut self, len_min: u64) -> Self {
        self.len_min = len_min;
        self
    }

    /// Whether event streams are compressed, each piece for itself; by default not.
    pub fn events(mut self, events: bool) -> Self {
        self.events = events;
        self
    }

    async fn apply(&self, req: &Req, res: &mut Res) -> Result {
        if res.status_code() == StatusCode::NOT_MODIFIED {
            // RFC 9110, section 15.4.5: what the whole answer would say of itself. Who holds a compressed one knows it by the weak tag.
            res.vary("accept-encoding");
            if let Some(weak) = weak_tag(res).filter(|weak| holds(req, weak)) {
                res.set(header::ETAG, weak);
            }
            return Ok(());
        }
        if !self.gains(res) {
            return Ok(());
        }
        res.vary("accept-encoding");
        let liked = |coding| (quality(accepted(req.headers()), coding), coding);
        let codings = ["br", "zstd", "gzip"].map(liked);
        // Of those that are liked alike the first: `max_by_key` would take the last.
        let Some(&(1.., coding)) = codings.iter().rev().max_by_key(|(quality, _)| quality) else {
            return Ok(());
        };
        if *req.method() == Method::HEAD {
            return Ok(()); // what it would be takes all the work to know
        }
        let Some(body) = res.take_body() else { return Ok(()) };
        let body = match coding {
            "br" => self.encode(&Brotli::new().quality(4), body).await?,
            "zstd" => self.encode(&Zstd::new(), body).await?,
            _ => self.encode(&Deflate::gzip(), body).await?,
        };
        res.set_body(body);
        res.headers_mut().remove(header::CONTENT_LENGTH);
        res.headers_mut().remove(header::ACCEPT_RANGES);
        if let Some(weak) = weak_tag(res) {
            res.set(header::ETAG, weak);
        }
        res.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        Ok(())
    }

    fn gains(&self, res: &Res) -> bool {
        let status = res.status_code();
        let has_all = !status.is_informational()
            && !matches!(status, StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT);
        let is_new = !res.headers().contains_key(header::CONTENT_ENCODING);
        let len = res.body().map_or(Some(0), |body| body.size_hint().exact());
        has_all && is_new && self.is_text(res) && !is_fixed(res) && len.is_none_or(|len| len >= self.len_min)
    }

    fn is_text(&self, res: &Res) -> bool {
        let media_type = res.header(header::CONTENT_TYPE).unwrap_or("").to_ascii_lowercase();
        let media_type = media_type.split(';').next().unwrap_or("").trim();
        match media_type {
            "text/event-stream" => self.events,
            // At its end alone: what calls itself openxml is a zip file.
            _ if media_type.starts_with("text/") || media_type.ends_with("xml") => true,
            _ => ["json", "javascript", "wasm"].iter().any(|kind| media_type.contains(kind)),
        }
    }

    async fn encode(&self, format: &impl Format, body: Body) -> std::result::Result<Body, CompressError> {
        if let Some(bytes) = body.as_full() {
            return Ok(self.compress.encode(format, bytes.clone()).await?.into());
        }
        through(body, |sink| self.compress.encode_writer(format, sink))
    }
}

/// Whether the answer says that it must not be changed on its way.
fn is_fixed(res: &Res) -> bool {
    let fields = res.headers().get_all(header::CACHE_CONTROL).into_iter();
    let mut said = fields.filter_map(|field| field.to_str().ok()).flat_map(|field| field.split(','));
    said.any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

/// The tag of the same answer in other bytes, if it has a strong one.
fn weak_tag(res: &Res) -> Option<String> {
    res.header(header::ETAG).filter(|tag| tag.starts_with('"')).map(|tag| format!("W/{tag}"))
}

/// Whether the client says that it has what this tag is of.
fn holds(req: &Req, tag: &str) -> bool {
    let fields = req.headers().get_all(header::IF_NONE_MATCH).into_iter();
    fields
        .filter_map(|field| field.to_str().ok())
        .any(|field| field.split(',').any(|held| held.trim() == tag))
}

impl From<Compression> for Middleware {
    fn from(compression: Compression) -> Self {
        middleware(async move |ctx, next| {
            next.run(ctx).await?;
            compression.apply(ctx.req, ctx.res).await
        })
    }
}
