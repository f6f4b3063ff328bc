//! Routers and middleware: the styles of Express and of Koa on one chain of layers.
//!
//! [`express::App`] has handlers of a request, an answer and what comes next; [`koa::App`] has an onion of async middleware
//! around a context. Both are thin: one router (matchit), one [`Req`], one [`Res`], and [`Middleware`] that goes into either.
//! [`middleware`] has what most servers need.
//!
//! Nothing needs to be `Send`: handlers share an `Rc` with a `Cell` in it.
//!
//! # Examples
//! ```
//! use phaseloop_server::http::Server;
//! use phaseloop_server::web::koa::App;
//! use phaseloop_server::web::middleware::{logger, request_id};
//!
//! let mut app = App::new();
//! app.with(request_id()).with(logger(|line| println!("{line}")));
//! app.get("/hello/:name", async |ctx, _next| {
//!     let name = ctx.param("name").unwrap_or("nobody").to_owned();
//!     ctx.body(format!("hello {name}\n"))
//! });
//! let server = Server::new(app); // and then `listen`
//! # drop(server);
//! ```

mod chain;
pub(crate) mod cookie;
mod error;
pub mod express;
pub(crate) mod files;
mod fresh;
pub mod koa;
mod limits;
pub mod middleware;
pub(crate) mod negotiate;
pub(crate) mod path;
mod read;
mod req;
mod res;
mod routes;
mod state;
mod table;
#[cfg(feature = "compress")]
mod transform;

use std::fmt;
use std::rc::Rc;

pub use cookie::{Cookie, SameSite};
pub use error::{Error, Result};
pub use files::{Dotfiles, Files, Links};
pub use limits::BodyLimits;
pub use read::Form;
pub use req::Req;
pub use res::{Reply, Res};
pub use state::State;

/// Middleware as a value: for [`express::App::with`] and [`koa::App::with`] alike. Cheap to clone; clones share what they count.
///
/// Made by [`koa::middleware`] and [`express::middleware`] of a closure, and by what is in [`middleware`].
#[derive(Clone)]
pub struct Middleware(Rc<dyn chain::Around>);

impl fmt::Debug for Middleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Middleware").finish_non_exhaustive()
    }
}
