//! Requests in, sessions out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode};
use phaseloop::{LoopHandle, current};

use super::answers::{Refusal, answer};
use super::options::Options;
use super::session::{CloseReason, Farewell, Session, TransportKind};
use super::{polling, websocket};
use crate::http::{Body, BoxError, Handler};

type OnSession = Rc<dyn Fn(Session, &Request<Body>)>;
type AllowRequest = Rc<dyn Fn(&Request<Body>) -> Result<(), String>>;

/// An Engine.IO server: answers the requests below a path, and makes a [`Session`] for each client.
///
/// Cheap to clone; clones are the same engine. It is a [`Handler`]; beside other pages, ask [`serves`](Self::serves) first.
///
/// # Examples
/// ```
/// use phaseloop::EventLoop;
/// use phaseloop_server::engineio::{Engine, Message, Options};
/// use phaseloop_server::http::Server;
///
/// let echo = Engine::new(Options::default(), |session, _request| {
///     let back = session.clone();
///     session.on_message(move |message| {
///         // A client that has gone, or takes nothing, is ended by the engine; there is nothing left to do about it here.
///         let _ = match message {
///             Message::Text(text) => back.send_text(text),
///             Message::Binary(bytes) => back.send_binary(bytes),
///         };
///     });
/// });
/// let lp = EventLoop::new()?;
/// let serving = Server::new(echo).listen(&lp, "127.0.0.1:0".parse()?)?;
/// # serving.shutdown(std::time::Duration::ZERO).detach();
/// lp.run(phaseloop::RunMode::Default)?; // until it is shut down
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Engine(Rc<Inner>);

struct Inner {
    options: Rc<Options>,
    sessions: Rc<Sessions>,
    on_session: OnSession,
    allow_request: RefCell<Option<AllowRequest>>,
}

/// The open sessions, and those whose last packets wait to be fetched.
#[derive(Default)]
pub(crate) struct Sessions(RefCell<HashMap<String, Session>>);

impl Engine {
    /// An engine that tells `on_session` of each client, with the request it came by, before its first message.
    pub fn new(options: Options, on_session: impl Fn(Session, &Request<Body>) + 'static) -> Self {
        Self(Rc::new(Inner {
            options: Rc::new(options),
            sessions: Rc::default(),
            on_session: Rc::new(on_session),
            allow_request: RefCell::default(),
        }))
    }

    /// Sets what may refuse a client, with a reason that it is told with 403. It replaces what was set before.
    pub fn allow_request(&self, allow: impl Fn(&Request<Body>) -> Result<(), String> + 'static) {
        let old = self.0.allow_request.replace(Some(Rc::new(allow)));
        drop(old);
    }

    /// True if a request's path is one of the engine's.
    pub fn serves(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let mine = self.0.options.path.as_str();
        path.starts_with(mine) || path == mine.trim_end_matches('/')
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.0.sessions.0.borrow().len()
    }

    /// Ends all sessions, as with a server that shuts down.
    pub fn close(&self) {
        let sessions: Vec<Session> = self.0.sessions.0.borrow().values().cloned().collect();
        for session in sessions {
            session.end(CloseReason::ServerShuttingDown, Farewell::Close);
        }
    }

    /// How it was set up.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Answers one request.
    ///
    /// # Cancel safety
    /// A poll that is dropped ends its session, as when the client goes away.
    pub async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let cors = self.0.options.cors.clone();
        let headers = cors.as_ref().map(|_| request.headers().clone()).unwrap_or_default();
        if let (Some(cors), &Method::OPTIONS) = (&cors, request.method()) {
            return preflight(cors, &headers);
        }
        let mut response = match self.check(&request) {
            Ok(asked) => self.follow(asked, request).await,
            Err(refusal) => refusal.answer(),
        };
        if let Some(cors) = cors {
            cors.mark(&headers, response.headers_mut());
        }
        response
    }

    /// What is asked for, or why not. The order of the checks is Node's.
    fn check(&self, request: &Request<Body>) -> Result<Asked, Refusal> {
        let query = Query::of(request);
        let options = &self.0.options;
        let transport = match query.transport {
            Some("polling") if options.polling => TransportKind::Polling,
            Some("websocket") if options.websocket => TransportKind::WebSocket,
            _ => return Err(Refusal::UnknownTransport),
        };
        let opens_websocket = websocket::is_asked_for(request);
        if let Some(id) = query.sid {
            let session = self.0.sessions.get(id).ok_or(Refusal::UnknownSession)?;
            if session.check_heartbeat() {
                return Err(Refusal::UnknownSession);
            }
            return match (transport, opens_websocket) {
                (TransportKind::WebSocket, true) => Ok(Asked::Upgrade(session)),
                (TransportKind::Polling, false) if session.transport() == transport => {
                    Ok(Asked::Polling(session))
                }
                _ => Err(Refusal::BadRequest),
            };
        }
        if request.method() != Method::GET && !opens_websocket {
            return Err(Refusal::BadHandshakeMethod);
        }
        if (transport == TransportKind::WebSocket) != opens_websocket {
            return Err(Refusal::BadRequest);
        }
        let allow = self.0.allow_request.borrow().clone();
        allow.map_or(Ok(()), |allow| allow(request)).map_err(Refusal::Forbidden)?;
        match query.version {
            Some("4") if self.session_count() < options.sessions_max => Ok(Asked::Handshake(transport)),
            Some("4") => Err(Refusal::TooManySessions),
            _ => Err(Refusal::UnsupportedVersion),
        }
    }

    async fn follow(&self, asked: Asked, mut request: Request<Body>) -> Response<Body> {
        match asked {
            Asked::Polling(session) if request.method() == Method::GET => polling::poll(&session).await,
            Asked::Polling(session) if request.method() == Method::POST => {
                polling::post(&session, request).await
            }
            Asked::Polling(_) => Refusal::BadRequest.answer(),
            Asked::Upgrade(session) => websocket::upgrade(session, &mut request),
            Asked::Handshake(TransportKind::Polling) => {
                let session = self.open(TransportKind::Polling, &request);
                let payload = session.0.take_payload().unwrap_or_default();
                answer(StatusCode::OK, polling::MEDIA_TYPE, payload)
            }
            Asked::Handshake(TransportKind::WebSocket) => {
                match websocket::accept(&mut request, &self.0.options) {
                    Ok((response, upgrading)) => {
                        let session = self.open(TransportKind::WebSocket, &request);
                        websocket::carry(session, upgrading);
                        response
                    }
                    Err(refusal) => refusal.answer(),
                }
            }
        }
    }

    fn open(&self, transport: TransportKind, request: &Request<Body>) -> Session {
        let inner = &self.0;
        let session = Session::new(&current(), &inner.sessions, &inner.options, transport);
        inner.sessions.0.borrow_mut().insert(session.id().to_owned(), session.clone());
        // A fresh queue takes a packet of this size under any limit that makes sense; a smaller one ends the session.
        let _ = session.send(super::Frame::encoded(self.handshake(&session)));
        session.start_heartbeat();
        (inner.on_session)(session.clone(), request);
        session
    }

    fn handshake(&self, session: &Session) -> String {
        let options = &self.0.options;
        let upgrades =
            session.transport() == TransportKind::Polling && options.allow_upgrades && options.websocket;
        let upgrades: &[&str] = if upgrades { &["websocket"] } else { &[] };
        let facts = serde_json::json!({
            "sid": session.id(),
            "upgrades": upgrades,
            "pingInterval": millis(options.ping_interval),
            "pingTimeout": millis(options.ping_timeout),
            "maxPayload": options.max_payload,
        });
        format!("0{facts}")
    }
}

impl Handler for Engine {
    /// Requests outside of the engine's path get 404.
    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if !self.serves(&request) {
            return Ok(answer(StatusCode::NOT_FOUND, "text/plain", "not found\n"));
        }
        Ok(self.respond(request).await)
    }
}

impl Sessions {
    fn get(&self, id: &str) -> Option<Session> {
        self.0.borrow().get(id).cloned()
    }

    pub(crate) fn forget(&self, id: &str) {
        let session = self.0.borrow_mut().remove(id);
        drop(session);
    }

    /// Forgets a session later.
    pub(crate) fn linger(self: &Rc<Self>, id: &str, lp: &LoopHandle, time: Duration) {
        let (sessions, id) = (Rc::downgrade(self), id.to_owned());
        let timer = lp.timer(time, move |_| {
            if let Some(sessions) = sessions.upgrade() {
                sessions.forget(&id);
            }
        });
        lp.unref_timer(timer);
    }
}

enum Asked {
    Handshake(TransportKind),
    Polling(Session),
    Upgrade(Session),
}

/// What the target's query says. None of the values needs decoding to be compared.
#[derive(Default)]
struct Query<'a> {
    transport: Option<&'a str>,
    version: Option<&'a str>,
    sid: Option<&'a str>,
}

impl<'a> Query<'a> {
    fn of(request: &'a Request<Body>) -> Self {
        let mut query = Self::default();
        for (name, value) in
            request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='))
        {
            match name {
                "transport" => query.transport = Some(value),
                "EIO" => query.version = Some(value),
                "sid" => query.sid = Some(value),
                _ => {}
            }
        }
        query
    }
}

fn preflight(cors: &super::Cors, headers: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    cors.mark_preflight(headers, response.headers_mut());
    response
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Engine");
        out.field("path", &self.0.options.path)
            .field("sessions", &self.session_count())
            .finish_non_exhaustive()
    }
}
