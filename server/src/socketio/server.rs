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
    /// Namespaces that clients may bring into being by [`Io::of_any`], at a time; 10,000. At the limit those go that have no client,
    /// and wait for none to come back.
    pub made_namespaces_max: usize,
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
            made_namespaces_max: 10_000,
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
    /// Those that the program asked for.
    namespaces: Known,
    /// Those that clients brought into being.
    made: Known,
    makers: RefCell<Vec<Rc<Maker>>>,
    adapters: RefCell<Option<MakeAdapter>>,
}

type Known = RefCell<BTreeMap<String, Namespace>>;
type MakeAdapter = Rc<dyn Fn(&Namespace)>;

/// Says of a name whether there is such a namespace, and sets it up.
struct Maker {
    accepts: Box<dyn Fn(&str) -> bool>,
    set_up: Box<dyn Fn(&Namespace)>,
}

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
        let (made, makers, adapters) = (RefCell::default(), RefCell::default(), RefCell::default());
        let inner = Rc::new(Inner { options, namespaces, made, makers, adapters });
        // The engine does not keep what holds it.
        let weak = Rc::downgrade(&inner);
        let engine =
            Engine::new(inner.options.engine.clone(), move |session, request| match weak.upgrade() {
                Some(inner) => Client::serve(&inner, session, Handshake::of(request)),
                None => session.close(),
            });
        Self { inner, engine, main }
    }

    /// The namespace of that name, made if there is none, and set up if [`of_any`](Self::of_any) takes the name. What is made here
    /// stays; what clients brought into being by `of_any` still goes when it is empty and room is needed. A `/` in front may be left out.
    pub fn of(&self, name: &str) -> Namespace {
        let name = if name.starts_with('/') { name.to_owned() } else { format!("/{name}") };
        self.inner.of(&name)
    }

    /// Has other servers share the rooms of all namespaces: those there are and those to come. Once, before the first client.
    ///
    /// # Panics
    /// A namespace has an adapter, or has had to do without one.
    pub fn set_adapters<A: Adapter>(&self, make: impl Fn(&Namespace) -> A + 'static) {
        let make: MakeAdapter = Rc::new(move |namespace| namespace.set_adapter(make(namespace)));
        let mut there: Vec<Namespace> = self.inner.namespaces.borrow().values().cloned().collect();
        there.extend(self.inner.made.borrow().values().cloned());
        there.iter().for_each(|namespace| make(namespace));
        self.inner.adapters.replace(Some(make));
    }

    /// Makes namespaces when clients ask for them: those whose names `accepts` takes, set up by `set_up`. See
    /// [`Options::made_namespaces_max`] for when they go.
    ///
    /// # Panics
    /// Where `set_up` panics, what guards the namespace may be missing: clients that ask for it are refused, until it goes. The one that asked
    /// first is ended, as by a handler that panics.
    pub fn of_any(&self, accepts: impl Fn(&str) -> bool + 'static, set_up: impl Fn(&Namespace) + 'static) {
        let maker = Maker { accepts: Box::new(accepts), set_up: Box::new(set_up) };
        self.inner.makers.borrow_mut().push(Rc::new(maker));
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
    /// The namespace the program asks for.
    fn of(&self, name: &str) -> Namespace {
        // What clients brought into being stays theirs: a program that asks for each would keep them all.
        self.known(name).unwrap_or_else(|| self.make(name, &self.namespaces, self.maker(name).as_deref()))
    }

    fn known(&self, name: &str) -> Option<Namespace> {
        let known = self.namespaces.borrow().get(name).cloned();
        known.or_else(|| self.made.borrow().get(name).cloned())
    }

    /// The namespace a client asks for.
    pub(crate) fn find(&self, name: &str) -> Option<Namespace> {
        if let Some(found) = self.known(name) {
            return found.takes_clients().then_some(found);
        }
        let maker = self.maker(name)?;
        let is_full = || self.made.borrow().len() >= self.options.made_namespaces_max;
        if is_full() {
            self.give_up_empty();
        }
        (!is_full()).then(|| self.make(name, &self.made, Some(&maker)))
    }

    fn maker(&self, name: &str) -> Option<Rc<Maker>> {
        let makers = self.makers.borrow().clone();
        makers.into_iter().find(|maker| (maker.accepts)(name))
    }

    fn make(&self, name: &str, among: &Known, maker: Option<&Maker>) -> Namespace {
        let made = Namespace::new(name, &self.options);
        among.borrow_mut().insert(name.to_owned(), made.clone());
        let adapt = self.adapters.borrow().clone();
        made.set_up(|made| {
            if let Some(adapt) = adapt {
                adapt(made);
            }
            if let Some(maker) = maker {
                (maker.set_up)(made);
            }
        });
        made
    }

    fn give_up_empty(&self) {
        let mut empty = Vec::new();
        self.made.borrow_mut().retain(|_, namespace| {
            let stays = !namespace.is_empty();
            if !stays {
                empty.push(namespace.clone());
            }
            stays
        });
        empty.iter().for_each(Namespace::let_go);
    }
}

impl fmt::Debug for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Io");
        out.field("engine", &self.engine).field("main", &self.main).finish_non_exhaustive()
    }
}
