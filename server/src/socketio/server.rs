//! The namespaces of a server, and the engine below them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};

use super::adapter::Adapter;
use super::client::Client;
use super::connect::Handshake;
use super::namespace::Namespace;
use super::recovery::Recovery;
use crate::engineio::{self, Engine};
use crate::http::{Body, BoxError, Handler};

/// How a server behaves, and what its clients may cost.
///
/// # Examples
/// ```
/// use phaseloop_server::engineio::Cors;
/// use phaseloop_server::socketio::{Io, Options, Recovery};
///
/// let mut options = Options::default();
/// options.recovery = Some(Recovery::default());
/// options.engine.cors = Some(Cors::origins(["https://example.org"]));
/// let io = Io::with_options(options);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The sessions below. The path is `/socket.io/` here.
    pub engine: engineio::Options,
    /// How long a session may be open without connecting to a namespace; 45 s.
    pub connect_timeout: Duration,
    /// Binary values that a packet may carry; 10. Each is bounded by `engine.max_payload`.
    pub attachments_max: usize,
    /// Acknowledgements that may be awaited from one socket; 10,000.
    pub acks_max: usize,
    /// Namespaces that one client may be connected to; 100.
    pub namespaces_max: usize,
    /// Whether clients that lost their connection are taken back; not by default.
    pub recovery: Option<Recovery>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            engine: engineio::Options::below("/socket.io/"),
            connect_timeout: Duration::from_secs(45),
            attachments_max: 10,
            acks_max: 10_000,
            namespaces_max: 100,
            recovery: None,
        }
    }
}

/// A Socket.IO server. It is a [`Handler`] of requests, and its main [`Namespace`], `/`. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Io {
    inner: Rc<Inner>,
    engine: Engine,
    main: Namespace,
}

pub(crate) struct Inner {
    pub(crate) options: Rc<Options>,
    namespaces: RefCell<BTreeMap<String, Namespace>>,
    makers: RefCell<Vec<Maker>>,
    adapters: RefCell<Option<MakeAdapter>>,
}

type MakeAdapter = Rc<dyn Fn(&Namespace)>;

/// Says of a name whether there is such a namespace, and sets it up.
struct Maker {
    accepts: Box<dyn Fn(&str) -> bool>,
    set_up: Rc<dyn Fn(&Namespace)>,
}

/// Namespaces that clients may bring into being, in all.
const MADE_NAMESPACES_MAX: usize = 10_000;

impl Default for Io {
    fn default() -> Self {
        Self::new()
    }
}

impl Io {
    /// A server with the default options.
    pub fn new() -> Self {
        Self::with_options(Options::default())
    }

    /// A server with other options.
    pub fn with_options(options: Options) -> Self {
        let options = Rc::new(options);
        let main = Namespace::new("/", &options);
        let namespaces = RefCell::new(BTreeMap::from([("/".to_owned(), main.clone())]));
        let inner =
            Rc::new(Inner { options, namespaces, makers: RefCell::default(), adapters: RefCell::default() });
        // The engine does not keep what holds it.
        let weak = Rc::downgrade(&inner);
        let engine =
            Engine::new(inner.options.engine.clone(), move |session, request| match weak.upgrade() {
                Some(inner) => Client::serve(&inner, session, Handshake::of(request)),
                None => session.close(),
            });
        Self { inner, engine, main }
    }

    /// The namespace of that name, made if there is none. A `/` in front may be left out.
    pub fn of(&self, name: &str) -> Namespace {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        let known = self.inner.namespaces.borrow().get(&name).cloned();
        known.unwrap_or_else(|| self.inner.make(&name))
    }

    /// Has other servers share the rooms of all namespaces: those there are and those to come. Once, before the first client.
    ///
    /// # Panics
    /// A namespace has an adapter, or has had to do without one.
    pub fn set_adapters<A: Adapter>(&self, make: impl Fn(&Namespace) -> A + 'static) {
        let make: MakeAdapter = Rc::new(move |namespace| namespace.set_adapter(make(namespace)));
        let there: Vec<Namespace> = self.inner.namespaces.borrow().values().cloned().collect();
        there.iter().for_each(|namespace| make(namespace));
        self.inner.adapters.replace(Some(make));
    }

    /// Makes namespaces when clients ask for them: those whose names `accepts` takes, set up by `set_up`.
    pub fn of_any(&self, accepts: impl Fn(&str) -> bool + 'static, set_up: impl Fn(&Namespace) + 'static) {
        let maker = Maker { accepts: Box::new(accepts), set_up: Rc::new(set_up) };
        self.inner.makers.borrow_mut().push(maker);
    }

    /// The engine below, for its sessions and for [`Engine::allow_request`].
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// True if a request is Socket.IO's.
    pub fn serves(&self, request: &Request<Body>) -> bool {
        self.engine.serves(request)
    }

    /// A handler that has `pages` answer all that is not Socket.IO's.
    ///
    /// # Examples
    /// ```
    /// use phaseloop_server::http::{Body, Request, Server};
    /// use phaseloop_server::socketio::Io;
    ///
    /// let io = Io::new();
    /// let server = Server::new(io.beside(async |_: Request<Body>| "a page"));
    /// # drop(server);
    /// ```
    pub fn beside<H: Handler>(&self, pages: H) -> impl Handler + use<H> {
        Beside { io: self.clone(), pages }
    }

    /// Disconnects everybody, as a server that shuts down.
    pub fn close(&self) {
        self.engine.close();
    }
}

impl Deref for Io {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.main
    }
}

impl Handler for Io {
    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        self.engine.handle(request).await
    }
}

struct Beside<H> {
    io: Io,
    pages: H,
}

impl<H: Handler> Handler for Beside<H> {
    async fn handle(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        if self.io.serves(&request) {
            return Ok(self.io.engine.respond(request).await);
        }
        self.pages.handle(request).await
    }
}

impl Inner {
    /// The namespace a client asks for.
    pub(crate) fn find(&self, name: &str) -> Option<Namespace> {
        if let Some(found) = self.namespaces.borrow().get(name) {
            return Some(found.clone());
        }
        let set_up = {
            let makers = self.makers.borrow();
            Rc::clone(&makers.iter().find(|maker| (maker.accepts)(name))?.set_up)
        };
        if self.namespaces.borrow().len() >= MADE_NAMESPACES_MAX {
            return None;
        }
        let made = self.make(name);
        set_up(&made);
        Some(made)
    }

    fn make(&self, name: &str) -> Namespace {
        let made = Namespace::new(name, &self.options);
        self.namespaces.borrow_mut().insert(name.to_owned(), made.clone());
        let make = self.adapters.borrow().clone();
        if let Some(make) = make {
            make(&made);
        }
        made
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Io");
        out.field("engine", &self.engine).field("main", &self.main).finish_non_exhaustive()
    }
}
