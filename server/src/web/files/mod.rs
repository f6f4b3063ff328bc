//! Static files: a folder, served.
//!
//! Opening a file, learning what it is and reading a small one is one job of the pool; a longer one is read piece by piece, as the
//! client takes it.

mod answer;
pub(crate) mod asked;
mod open;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use fs_pool::request::LoopPool;

use super::koa::middleware;
use super::{Middleware, Result};
use crate::http::{Method, StatusCode};
use asked::Asked;
use open::{Found, Search};

/// What is done about files and folders whose name begins with a dot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dotfiles {
    /// As if they were not there: 404. The default.
    #[default]
    Ignore,
    /// 403.
    Deny,
    /// Served like all others.
    Allow,
}

/// What is done about links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// Followed as long as they lead to something below the folder; one that leaves it is a 404. The default.
    ///
    /// Today: the path is looked at before it is opened, so who may change the folder while it is served may get around it.
    #[default]
    Inside,
    /// Followed wherever they lead.
    Follow,
}

/// Serves the files of a folder: middleware for GET and HEAD. What is not there goes on to the layers behind.
///
/// Types by ending; `ETag` and `Last-Modified` from the size and the time of change, with 304 and 412 where the client asks;
/// one range (a request for several gets the whole file, which RFC 9110, section 14.2, allows); `index.html` for a folder, which is
/// redirected to its name with a slash; `x.br`, `x.zst` and `x.gz` in place of `x` for those who take it, if asked. A path with an
/// empty segment or a `.` in it names nothing, so a guard in front that knows a folder by its path is not walked around.
///
/// # Errors
/// 400 for a path that is badly encoded or has a NUL, a backslash or an encoded slash in it; 403 for one with `..`; 416 for a range
/// behind the end. What the system refuses is a 403; other failures of it are errors, and so a 500. A file that gets shorter while
/// it is sent ends the connection.
///
/// # Examples
/// ```
/// use fs_pool::{pool::Pool, request::LoopPool};
/// use phaseloop_server::web::{Files, koa::App};
///
/// let (lp, pool) = (phaseloop::EventLoop::new()?, Pool::builder().build()?);
/// let files = Files::new(&LoopPool::new(&lp, &pool), "public").precompressed(true);
/// let mut app = App::new();
/// app.with_at("/assets", files);
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Files {
    pool: LoopPool,
    root: PathBuf,
    index: Option<String>,
    dotfiles: Dotfiles,
    links: Links,
    precompressed: bool,
    redirects: bool,
    cache_control: String,
}

impl Files {
    /// The files below `root`.
    pub fn new(pool: &LoopPool, root: impl AsRef<Path>) -> Self {
        Self {
            pool: pool.clone(),
            root: root.as_ref().to_path_buf(),
            index: Some("index.html".into()),
            dotfiles: Dotfiles::default(),
            links: Links::default(),
            precompressed: false,
            redirects: true,
            cache_control: "public, max-age=0".into(),
        }
    }

    /// The file that stands for a folder; `None` for none. By default `index.html`.
    pub fn index(mut self, name: Option<&str>) -> Self {
        self.index = name.map(str::to_owned);
        self
    }

    /// What is done about names with a dot in front.
    pub fn dotfiles(mut self, dotfiles: Dotfiles) -> Self {
        self.dotfiles = dotfiles;
        self
    }

    /// What is done about links.
    pub fn links(mut self, links: Links) -> Self {
        self.links = links;
        self
    }

    /// Whether `x.br`, `x.zst` or `x.gz` is sent in place of `x`. By default not: each is one more look at the disk.
    pub fn precompressed(mut self, precompressed: bool) -> Self {
        self.precompressed = precompressed;
        self
    }

    /// Whether a folder without a slash at its end is redirected to one with it, as it is by default.
    pub fn redirects(mut self, redirects: bool) -> Self {
        self.redirects = redirects;
        self
    }

    /// How long clients may keep files without asking; zero by default. `immutable` for files whose names change with them.
    pub fn max_age(mut self, max_age: Duration, immutable: bool) -> Self {
        let immutable = if immutable { ", immutable" } else { "" };
        self.cache_control = format!("public, max-age={}{immutable}", max_age.as_secs());
        self
    }
}

impl From<Files> for Middleware {
    fn from(files: Files) -> Self {
        let files = Rc::new(files);
        middleware(async move |ctx, next| {
            if !matches!(*ctx.req.method(), Method::GET | Method::HEAD) {
                return next.run(ctx).await;
            }
            let Some(asked) = asked::read(ctx.req.path())? else { return next.run(ctx).await };
            if asked.has_dotfile && files.dotfiles != Dotfiles::Allow {
                return match files.dotfiles {
                    Dotfiles::Deny => ctx.throw(403, "names that begin with a dot are not served"),
                    _ => next.run(ctx).await,
                };
            }
            if files.precompressed {
                ctx.res.vary("accept-encoding");
            }
            match files.find(&asked, ctx.req).await? {
                Found::Nothing => next.run(ctx).await,
                Found::Refused => ctx.throw(403, "the file can not be read"),
                Found::Folder if files.redirects => redirect(ctx.req, ctx.res),
                Found::Folder => next.run(ctx).await,
                Found::File(file) => answer::answer(ctx.req, ctx.res, *file, &files),
            }
        })
    }
}

impl Files {
    async fn find(&self, asked: &Asked, req: &super::Req) -> Result<Found> {
        let taken = if self.precompressed { asked::encodings(req) } else { Vec::new() };
        let search = Search {
            root: Arc::from(self.root.as_path()),
            path: asked.path.clone(),
            is_folder: asked.is_folder,
            index: self.index.clone(),
            inside: self.links == Links::Inside,
            taken,
        };
        Ok(self.pool.spawn(fs_pool::pool::Class::FS, move |_| search.run()).await??)
    }
}

/// To the same path with a slash behind it. Two slashes in front would name another host.
fn redirect(req: &super::Req, res: &mut super::Res) -> Result {
    let query = req.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let to = format!("/{}/{query}", req.uri().path().trim_start_matches('/'));
    res.redirect_with(StatusCode::MOVED_PERMANENTLY, &to)
}
