//! Setting a server up.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use phaseloop::LoopHandle;
use phaseloop::net::TcpListener;

use super::connection::{Allows, OnTrouble, Secure, Served};
use super::error::Trouble;
use super::handler::Handler;
use super::http2;
use super::limits::Limits;
use super::registry::Registry;
use super::serving::Serving;
use crate::joint::cork::Spares;
use crate::joint::wire::Scratch;

/// An HTTP server that is being set up: a handler, and how it is reached.
///
/// HTTP/1.1 and HTTP/2 share a port. Without TLS a client of HTTP/2 says so with its first bytes ("prior knowledge"); with
/// TLS both sides agree on one in the handshake.
///
/// # Examples
/// ```
/// use phaseloop::EventLoop;
/// use phaseloop_server::http::{Body, Request, Server};
/// use std::time::Duration;
///
/// let lp = EventLoop::new()?;
/// let server = Server::new(async |request: Request<Body>| format!("you asked for {}\n", request.uri()));
/// let serving = server.listen(&lp, "127.0.0.1:0".parse()?)?;
/// println!("http://{}/", serving.local_addr()?);
/// # let stopper = serving.clone();
/// # lp.set_immediate(move |_| stopper.shutdown(Duration::ZERO).detach());
/// lp.run(phaseloop::RunMode::Default)?; // until it is shut down
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server<H> {
    handler: H,
    limits: Limits,
    secure: Option<Rc<dyn Secure>>,
    allows: Allows,
    on_trouble: Option<OnTrouble>,
}

impl<H: Handler> Server<H> {
    /// A server of plain HTTP, of all versions, with the default limits.
    pub fn new(handler: H) -> Self {
        let allows = Allows { http1: true, http2: http2::IS_SPOKEN };
        Self { handler, limits: Limits::default(), secure: None, allows, on_trouble: None }
    }

    /// Bounds what peers may cost.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Encrypts. What `tls` is told later, such as a new certificate, is used from the next handshake on.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: &crate::tls::ServerTls) -> Self {
        self.secure = Some(Rc::new(tls.clone()));
        self
    }

    /// Whether HTTP/1.1 is spoken, as it is by default. Where it is not, its clients get 505.
    pub fn allow_http1(mut self, allow: bool) -> Self {
        self.allows.http1 = allow;
        self
    }

    /// Whether HTTP/2 is spoken, as it is by default.
    #[cfg(feature = "http2")]
    pub fn allow_http2(mut self, allow: bool) -> Self {
        self.allows.http2 = allow;
        self
    }

    /// Sets what is told of errors that no peer learns of: for a log. It replaces what was set before.
    pub fn on_trouble(mut self, on_trouble: impl Fn(&Trouble) + 'static) -> Self {
        self.on_trouble = Some(Rc::new(on_trouble));
        self
    }

    /// Listens on `address` and serves whoever comes. Port 0 has the system choose one.
    ///
    /// It keeps the loop alive until it is shut down.
    ///
    /// # Errors
    /// The system's: the address is in use, is not ours, needs a right.
    #[track_caller]
    pub fn listen(self, lp: &LoopHandle, address: SocketAddr) -> io::Result<Serving> {
        Ok(self.serve(TcpListener::bind(lp, address)?))
    }

    /// Serves whoever comes to `listener`, on its loop.
    pub fn serve(self, listener: TcpListener) -> Serving {
        let serving = self.serve_streams(listener.lp());
        serving.add_listener(listener);
        serving
    }

    /// Serves nobody by itself: connections come by [`Serving::serve_stream`], from a program that accepts them otherwise.
    pub fn serve_streams(self, lp: &LoopHandle) -> Serving {
        let secure = self.secure.map(|secure| secure.allowing(self.allows));
        Serving::new(Rc::new(Served {
            lp: lp.clone(),
            handler: Rc::new(self.handler),
            limits: Rc::new(self.limits),
            registry: Rc::new(Registry::default()),
            secure,
            allows: self.allows,
            on_trouble: self.on_trouble,
            scratch: Scratch::default(),
            spares: Spares::default(),
        }))
    }
}

impl<H> fmt::Debug for Server<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Server");
        out.field("limits", &self.limits).field("encrypts", &self.secure.is_some()).finish_non_exhaustive()
    }
}
