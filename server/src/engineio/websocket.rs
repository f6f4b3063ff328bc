//! Packets by WebSocket: from the start, or taking a session over from polling.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use phaseloop::spawn;
use sha1::{Digest, Sha1};
use tungstenite::Message;

use super::answers::Refusal;
use super::options::Options;
use super::session::{CloseReason, Farewell, Session};
use super::socket::{Ended, Socket};
use crate::http::{Body, Upgrading, asked_protocol};
use crate::proto::engineio::{Kind, Packet, decode};

/// True if a request asks for a WebSocket: by an upgrade, or by an extended CONNECT of HTTP/2 (RFC 8441).
pub(crate) fn is_asked_for(request: &Request<Body>) -> bool {
    match request.version() {
        Version::HTTP_2 => asked_protocol(request) == Some("websocket"),
        _ => request.method() == Method::GET && has_token(request.headers(), UPGRADE, "websocket"),
    }
}

/// A connection that will be a WebSocket.
pub(crate) struct Accepted {
    upgrading: Upgrading,
    message_len_max: usize,
    unsent_len_max: usize,
}

impl Accepted {
    async fn socket(self) -> Option<Socket> {
        let stream = self.upgrading.await.ok()?;
        Some(Socket::new(stream, self.message_len_max, self.unsent_len_max))
    }
}

/// The answer that opens a WebSocket. RFC 6455, section 4.2.2, and RFC 8441, section 5.
pub(crate) fn accept(
    request: &mut Request<Body>,
    options: &Options,
) -> Result<(Response<Body>, Accepted), Refusal> {
    let headers = request.headers();
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::BadRequest);
    }
    let switching = if request.version() == Version::HTTP_2 { None } else { Some(switch(headers)?) };
    let upgrading = crate::http::upgrade(request).map_err(|_| Refusal::BadRequest)?;
    let accepted = Accepted {
        upgrading,
        message_len_max: options.max_payload,
        // A batch is pushed when nothing else waits: its frames, with a head each, and one that is as long as it may be.
        unsent_len_max: options.send_queue_len_max.saturating_add(3 * WRITE_BATCH_LEN),
    };
    Ok((switching.unwrap_or_default(), accepted))
}

/// The answer that leaves HTTP/1.1.
fn switch(headers: &HeaderMap) -> Result<Response<Body>, Refusal> {
    let switches = has_token(headers, CONNECTION, "upgrade");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| switches).ok_or(Refusal::BadRequest)?;
    let accept = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let accept = HeaderValue::from_str(&STANDARD.encode(accept)).map_err(|_| Refusal::BadRequest)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Serves a session whose transport is this WebSocket.
pub(crate) fn carry(session: Session, accepted: Accepted) {
    spawn(async move {
        match accepted.socket().await {
            Some(mut socket) => serve(&session, &mut socket).await,
            None => session.end(CloseReason::TransportError, Farewell::Nothing),
        }
    })
    .detach();
}

/// Has a WebSocket take a polling session over.
///
/// One that comes when it is too late is opened and closed: browsers see no reason for a refused one either way.
pub(crate) fn upgrade(session: Session, request: &mut Request<Body>) -> Response<Body> {
    let options = session.0.options();
    if !options.allow_upgrades {
        return Refusal::BadRequest.answer();
    }
    let limit = options.upgrade_timeout;
    let (response, accepted) = match accept(request, options) {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal.answer(),
    };
    spawn(async move {
        let Some(mut socket) = accepted.socket().await else { return };
        if !session.is_open() || !session.0.begin_upgrade() {
            return leave(&session, &mut socket).await;
        }
        let claim = Claim(&session);
        let probed = session.lp().timeout(limit, probe(&session, &mut socket)).await;
        drop(claim);
        match probed {
            Ok(true) => serve(&session, &mut socket).await,
            _ => leave(&session, &mut socket).await,
        }
    })
    .detach();
    response
}

/// The right to take a session over, given back if that comes to nothing.
struct Claim<'a>(&'a Session);

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.0.give_up_upgrade();
    }
}

/// True once the client has tried the WebSocket and has said that it changes over.
async fn probe(session: &Session, socket: &mut Socket) -> bool {
    if next(session, socket).await.as_deref() != Some("2probe") {
        return false;
    }
    let said = poll_fn(|cx| {
        session.0.stand_by(cx);
        Poll::Ready(socket.push(Message::text("3probe"), cx))
    });
    if said.await.is_err() || poll_fn(|cx| socket.poll_flush(cx)).await.is_err() {
        return false;
    }
    loop {
        // More than once: the client may ask anew before it hears of the probe.
        session.0.release_poll();
        let Ok(said) = session.lp().timeout(RELEASE_INTERVAL, next(session, socket)).await else { continue };
        match said.as_deref().map(decode) {
            Some(Ok(Packet::Text(Kind::Upgrade, _))) => {
                session.0.complete_upgrade();
                return true;
            }
            Some(Ok(Packet::Text(Kind::Noop, _))) => {}
            _ => return false,
        }
    }
}

/// The next text, while the session is open.
async fn next(session: &Session, socket: &mut Socket) -> Option<String> {
    poll_fn(|cx| {
        if !session.is_open() {
            return Poll::Ready(None);
        }
        session.0.stand_by(cx);
        // An answer to a ping of WebSocket itself may wait.
        if let Poll::Ready(Err(_)) = socket.poll_flush(cx) {
            return Poll::Ready(None);
        }
        socket.poll_next(cx).map(|message| match message {
            Ok(Message::Text(text)) => Some(text.as_str().to_owned()),
            _ => None,
        })
    })
    .await
}

/// Carries packets both ways until one side ends.
async fn serve(session: &Session, socket: &mut Socket) {
    let _ended_if_dropped = EndedIfDropped(session);
    let ended = poll_fn(|cx| turn(session, socket, cx)).await;
    if let Some(ended) = ended {
        let reason = match ended {
            Ended::ByPeer => CloseReason::TransportClose,
            Ended::ByError => CloseReason::TransportError,
        };
        session.end(reason, Farewell::Nothing);
        session.0.drop_outbox();
    }
    finish(session, socket).await;
}

/// A panic of user code takes the task along, and with it the session.
struct EndedIfDropped<'a>(&'a Session);

impl Drop for EndedIfDropped<'_> {
    fn drop(&mut self) {
        self.0.end(CloseReason::TransportError, Farewell::Nothing);
    }
}

/// Ready with what ended the WebSocket, or nothing if the session did.
fn turn(session: &Session, socket: &mut Socket, cx: &Context<'_>) -> Poll<Option<Ended>> {
    session.0.carry(cx);
    let mut read = 0;
    while session.is_open() {
        match socket.poll_next(cx) {
            Poll::Ready(Ok(message)) => take_in(session, &message),
            Poll::Ready(Err(ended)) => return Poll::Ready(Some(ended)),
            Poll::Pending => break,
        }
        read += 1;
        if read == READ_BUDGET {
            cx.waker().wake_by_ref();
            break;
        }
    }
    if !session.is_open() {
        return Poll::Ready(None);
    }
    match poll_write(session, socket, cx) {
        Poll::Ready(Err(ended)) => Poll::Ready(Some(ended)),
        Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
    }
}

/// Writes all that waits.
fn poll_write(session: &Session, socket: &mut Socket, cx: &Context<'_>) -> Poll<Result<(), Ended>> {
    loop {
        ready!(socket.poll_flush(cx))?;
        let mut len = 0;
        while len < WRITE_BATCH_LEN {
            let Some(frame) = session.0.pop() else { break };
            len += frame.len() + 1;
            socket.push(frame.into_websocket(), cx)?;
        }
        if len == 0 {
            return Poll::Ready(Ok(()));
        }
    }
}

fn take_in(session: &Session, message: &Message) {
    match message {
        Message::Text(text) => match decode(text) {
            Ok(Packet::Text(kind, text)) => session.receive(Packet::Text(kind, text)),
            // Base64 is for polling alone.
            Ok(Packet::Binary(_)) | Err(_) => session.end(CloseReason::ParseError, Farewell::Close),
        },
        Message::Binary(bytes) => session.receive(Packet::Binary(bytes.clone())),
        _ => {}
    }
}

/// Writes what an ended session has left, and closes its WebSocket, within a time: a client that takes nothing must not hold them.
async fn finish(session: &Session, socket: &mut Socket) {
    let rest = async {
        if poll_fn(|cx| poll_write(session, socket, cx)).await.is_ok() {
            socket.close().await;
        }
    };
    // Elapsed or not, the stream is dropped next.
    let _ = session.lp().timeout(session.0.options().linger, rest).await;
    session.0.drop_outbox();
}

/// Closes a WebSocket that did not take the session over, within a time.
async fn leave(session: &Session, socket: &mut Socket) {
    // As in `finish`.
    let _ = session.lp().timeout(session.0.options().linger, socket.close()).await;
}

fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Messages that are read before what they caused is written.
const READ_BUDGET: usize = 64;

/// Bytes that are queued before they are flushed.
const WRITE_BATCH_LEN: usize = 64 * 1024;

/// Between two polls that are answered with nothing, so that the client can change over. As in Node.
const RELEASE_INTERVAL: Duration = Duration::from_millis(100);
