//! Request bodies that come compressed.

use fs_pool::compress::{Brotli, Compress, Deflate, Zstd};
use fs_pool::request::LoopPool;

use crate::http::{Body, StatusCode, header};
use crate::web::koa::middleware;
use crate::web::transform::through;
use crate::web::{Error, Middleware, Result};

/// Decompresses request bodies in gzip, deflate, brotli and zstd for the layers behind it, on the pool, and as they are read.
///
/// Without it a handler that reads such a body answers 415. `len_max` is how many bytes may come of one; the limits of what reads
/// it hold as well. So what unfolds to a thousand times its size costs no more than that.
///
/// # Errors
/// 413 above `len_max`, 400 for what is no such coding, when the body is read; 415 for another coding, and for one inside another.
///
/// # Examples
/// ```
/// use fs_pool::{pool::Pool, request::LoopPool};
/// use phaseloop_server::web::{koa::App, middleware::decode_bodies};
///
/// let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// let mut app = App::new();
/// app.with(decode_bodies(&LoopPool::new(&lp, &pool), 1024 * 1024));
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode_bodies(pool: &LoopPool, len_max: u64) -> Middleware {
    let compress = Compress::new(pool);
    middleware(async move |ctx, next| {
        let coding = ctx.req.content_coding();
        if !coding.is_empty() {
            let body = ctx.req.take_body();
            let body = decoded(&compress, &coding, body, len_max)?;
            ctx.req.set_body(body);
            ctx.req.headers_mut().remove(header::CONTENT_ENCODING);
            ctx.req.headers_mut().remove(header::CONTENT_LENGTH);
        }
        next.run(ctx).await
    })
}

fn decoded(compress: &Compress, coding: &str, body: Body, len_max: u64) -> Result<Body> {
    Ok(match coding {
        "gzip" | "x-gzip" => through(body, |sink| compress.decode_writer(&Deflate::gzip(), sink, len_max))?,
        "deflate" => through(body, |sink| compress.decode_writer(&Deflate::zlib(), sink, len_max))?,
        "br" => through(body, |sink| compress.decode_writer(&Brotli::new(), sink, len_max))?,
        "zstd" => through(body, |sink| compress.decode_writer(&Zstd::new(), sink, len_max))?,
        _ => {
            let message = format!("the content coding {coding:?} is not known here");
            return Err(Error::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    })
}
