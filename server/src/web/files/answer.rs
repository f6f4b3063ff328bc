//! A file as an answer.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use fs_pool::fs::{File, Fs, ReadOptions, ReadStream};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::Files;
use super::asked::{Wanted, range};
use super::open::Opened;
use crate::http::{Body, BodyError, Bytes, Method, StatusCode, header};
use crate::web::fresh::{fits_range, is_fresh, was_changed};
use crate::web::res::with_charset;
use crate::web::{Req, Res, Result};

/// Answers with a file: whole, a part, or that the client has it.
pub(super) fn answer(req: &Req, res: &mut Res, opened: Opened, files: &Files) -> Result {
    let len = opened.metadata.len();
    let modified = opened.metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // The time is as fine as the file system keeps it: two changes within one of its ticks that keep the size look the same.
    let etag =
        format!("\"{len:x}-{:x}{}\"", since.as_nanos(), opened.coding.map_or("", |coding| &coding[..1]));
    res.set(header::ETAG, etag.as_str())
        .set(header::LAST_MODIFIED, httpdate::fmt_http_date(modified.max(SystemTime::UNIX_EPOCH)));
    if was_changed(req.headers(), &etag, modified) {
        return res.send_status(StatusCode::PRECONDITION_FAILED);
    }
    // What may be kept is the file, and not that a client asked for too much of it.
    let kept = files.cache_control.as_str();
    if is_fresh(req.headers(), Some(&etag), Some(modified)) {
        res.set(header::CACHE_CONTROL, kept);
        return res.status(StatusCode::NOT_MODIFIED).end();
    }
    let wanted = match req.header(header::RANGE).filter(|_| fits_range(req.headers(), &etag, modified)) {
        Some(field) if *req.method() == Method::GET => range(field, len),
        _ => Wanted::All,
    };
    res.set(header::ACCEPT_RANGES, "bytes");
    let part = match wanted {
        Wanted::Nothing => {
            res.set(header::CONTENT_RANGE, format!("bytes */{len}"));
            return res.send_status(StatusCode::RANGE_NOT_SATISFIABLE);
        }
        Wanted::Part(part) => {
            res.set(header::CONTENT_RANGE, format!("bytes {}-{}/{len}", part.start, part.end - 1));
            res.status(StatusCode::PARTIAL_CONTENT);
            part
        }
        Wanted::All => 0..len,
    };
    res.set(header::CACHE_CONTROL, kept);
    let media_type = mime_guess::from_path(&opened.name).first_raw().unwrap_or("application/octet-stream");
    // A browser must not make a page of what says it is none.
    res.set(header::CONTENT_TYPE, with_charset(media_type)).set("x-content-type-options", "nosniff");
    if let Some(coding) = opened.coding {
        res.set(header::CONTENT_ENCODING, coding);
    }
    if *req.method() == Method::HEAD {
        res.set(header::CONTENT_LENGTH, len);
        return res.status(StatusCode::OK).end();
    }
    res.send(content(opened, part, files))
}

/// The bytes: there already, or read as the client takes them.
fn content(opened: Opened, part: Range<u64>, files: &Files) -> Body {
    if let Some(bytes) = opened.bytes {
        return Body::from(Bytes::from(bytes).slice(part.start as usize..part.end as usize));
    }
    let left = part.end - part.start;
    let file = File::from_std(&Fs::new(&files.pool), opened.file, opened.name);
    Body::wrap(Content { stream: file.into_read_stream(ReadOptions::new().range(part)), left })
}

/// A part of a file on its way, of a length that was said beforehand.
struct Content {
    stream: ReadStream,
    left: u64,
}

impl HttpBody for Content {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(self.stream.poll_chunk(cx)) {
            Some(Ok(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                Ok(Frame::data(chunk.into()))
            }
            Some(Err(error)) => Err(BodyError::Other(error.source.into())),
            None => {
                Err(BodyError::Other(format!("the file is {} bytes shorter than it was", self.left).into()))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
