//! Packets by HTTP requests: one that waits for what the server says, others that bring what the client says.

use std::future::poll_fn;

use http::{Request, Response, StatusCode};

use super::answers::{Refusal, answer};
use super::session::{CloseReason, Farewell, Session};
use crate::http::{Body, BodyError};
use crate::proto::engineio::{SEPARATOR, decode};

pub(crate) const MEDIA_TYPE: &str = "text/plain; charset=UTF-8";

/// A request for what waits.
pub(crate) async fn poll(session: &Session) -> Response<Body> {
    if !session.0.begin_poll() {
        // Two polls would take each other's packets. The first one is told that it is over.
        session.end(CloseReason::TransportError, Farewell::Close);
        return Refusal::BadRequest.answer();
    }
    let mut waiting = Waiting { session, answered: false };
    let payload = poll_fn(|cx| session.0.poll_payload(cx)).await;
    waiting.answered = true;
    drop(waiting);
    session.forget_if_done();
    answer(StatusCode::OK, MEDIA_TYPE, payload)
}

/// A poll under way. Dropped unanswered, the client has gone.
struct Waiting<'a> {
    session: &'a Session,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.session.0.end_poll();
        if !self.answered {
            self.session.end(CloseReason::TransportError, Farewell::Nothing);
        }
    }
}

/// A request that brings packets.
pub(crate) async fn post(session: &Session, request: Request<Body>) -> Response<Body> {
    if !session.0.begin_post() {
        // Their order would be lost.
        session.end(CloseReason::TransportError, Farewell::Close);
        return Refusal::BadRequest.answer();
    }
    let mut posting = Posting { session, answered: false };
    let mut body = request.into_body();
    let len_max = session.0.options().max_payload;
    body.set_len_max(len_max as u64);
    let response = match body.bytes().await {
        Ok(bytes) if bytes.len() > len_max => Refusal::PayloadTooLarge.answer(),
        Ok(bytes) => take_in(session, &bytes),
        Err(BodyError::TooLarge(_)) => Refusal::PayloadTooLarge.answer(),
        Err(_) => {
            session.end(CloseReason::TransportError, Farewell::Close);
            Refusal::BadRequest.answer()
        }
    };
    posting.answered = true;
    response
}

/// A request that brings packets, under way. Dropped unanswered, the client has gone, or a handler of it has panicked.
struct Posting<'a> {
    session: &'a Session,
    answered: bool,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        self.session.0.end_post();
        if !self.answered {
            self.session.end(CloseReason::TransportError, Farewell::Close);
        }
    }
}

fn take_in(session: &Session, payload: &[u8]) -> Response<Body> {
    if !session.is_open() {
        return Refusal::UnknownSession.answer();
    }
    let Ok(payload) = std::str::from_utf8(payload) else {
        session.end(CloseReason::ParseError, Farewell::Nothing);
        return Refusal::BadRequest.answer();
    };
    for text in payload.split(SEPARATOR) {
        let Ok(packet) = decode(text) else {
            session.end(CloseReason::ParseError, Farewell::Nothing);
            return Refusal::BadRequest.answer();
        };
        session.receive(packet);
        if !session.is_open() {
            break;
        }
    }
    answer(StatusCode::OK, "text/html", "ok")
}
