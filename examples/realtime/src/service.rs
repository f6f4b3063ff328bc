//! The service: what it is made of, its start and its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fs_pool::pool::Pool;
use fs_pool::request::LoopPool;
use phaseloop::LoopHandle;
use phaseloop_server::http::{Limits, Server, Serving, ShutdownReport};
use phaseloop_server::socketio::{Io, Options, Recovery};
use phaseloop_server::tls::{Certificate, Certificates, DevCertificate, ServerTls, TlsError};
use serde_json::json;

use crate::config::{Config, Database as DatabaseConfig, Secret, Tls};
use crate::controllers::chat;
use crate::log::Log;
use crate::middleware::Origins;
use crate::refusal::Refusal;
use crate::services::{
    LoopView, Messages, NEWS, OrderFeed, Orders, Passwords, Posts, SqlPosts, Tokens, Users, random_secret,
};
use crate::site::Site;
use crate::stores::database::refusal;
use crate::stores::{Cache, Database, Hub, LocalCache, LocalHub, LocalLocks, Locks};

/// How often the table of events is looked at, though nobody said that there is something new: another worker may have died
/// between its commit and its word.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// What requests share.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) log: Log,
    pub(crate) worker: u32,
    pub(crate) started: Instant,
    pub(crate) pool: LoopPool,
    pub(crate) database: Rc<Database>,
    pub(crate) cache: Rc<dyn Cache>,
    pub(crate) hub: Rc<dyn Hub>,
    pub(crate) tokens: Rc<Tokens>,
    pub(crate) users: Users,
    pub(crate) orders: Orders,
    pub(crate) posts: Rc<dyn Posts>,
    pub(crate) messages: Messages,
    pub(crate) order_feed: Rc<OrderFeed>,
    pub(crate) loop_view: Rc<LoopView>,
    is_stopping: std::cell::Cell<bool>,
}

impl Parts {
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.get()
    }

    async fn open(lp: &LoopHandle, config: Config, log: Log) -> Result<Self, StartError> {
        let pool = Pool::builder().build().map_err(|error| StartError::Store(Refusal::internal(error)))?;
        let database = Database::open(&config).await.map_err(|error| StartError::Store(refusal(&error)))?;
        let (database, loop_pool) = (Rc::new(database), LoopPool::new(lp, &pool));
        let cache: Rc<dyn Cache> = Rc::new(LocalCache::default());
        let locks: Rc<dyn Locks> = Rc::new(LocalLocks::default());
        let hub: Rc<dyn Hub> = Rc::new(LocalHub::default());
        let posts: Rc<dyn Posts> = Rc::new(SqlPosts(Rc::clone(&database)));
        let order_feed = OrderFeed::open(&database, &log, LOOK_PERIOD).await.map_err(StartError::Store)?;
        let feed = Rc::clone(&order_feed);
        hub.listen(NEWS, Box::new(move || feed.look()));
        let tokens = Rc::new(Tokens::new(token_secret(&config)?, config.token_ttl));
        let users = Users::new(&database, &cache, Passwords::new(&loop_pool), &log);
        if let Some((name, password)) = &config.admin {
            users.ensure_admin(name, password.reveal()).await.map_err(StartError::Store)?;
        }
        let (worker, started) = (0, Instant::now());
        Ok(Self {
            orders: Orders::new(&database, &cache, &locks, &hub),
            messages: Messages(Rc::clone(&database)),
            loop_view: LoopView::new(lp, &pool, worker),
            pool: loop_pool,
            is_stopping: std::cell::Cell::new(false),
            config,
            log,
            worker,
            started,
            database,
            cache,
            hub,
            tokens,
            users,
            posts,
            order_feed,
        })
    }
}

/// A service that runs.
pub struct Service {
    parts: Rc<Parts>,
    io: Io,
    serving: Serving,
}

impl Service {
    /// Opens the stores and listens. It keeps the loop alive until it is [shut down](Self::shutdown). The loop must sleep in a tokio
    /// runtime (`Builder::with_tokio`): the database's driver needs one.
    ///
    /// # Errors
    /// The address can not be listened on, a store can not be reached, a certificate is none.
    pub async fn start(lp: &LoopHandle, config: Config, log: Log) -> Result<Self, StartError> {
        let parts = Rc::new(Parts::open(lp, config, log).await?);
        let (config, told) = (&parts.config, parts.log.clone());
        let io = chat_server(&parts);
        let site = io.beside(Site::new(&parts));
        let mut server = Server::new(site)
            .limits(limits(config))
            .on_trouble(move |trouble| told.info("trouble", &[("what", trouble)]));
        if let Some(tls) = tls(config)? {
            server = server.tls(&tls);
        }
        let address = config.address;
        let serving = server.listen(lp, address).map_err(|error| StartError::Listen(address, error))?;
        let (counted, sockets, feed) = (serving.clone(), io.clone(), Rc::clone(&parts.order_feed));
        let view = Rc::downgrade(&parts.loop_view);
        parts.loop_view.set_others(move || {
            let stats = counted.stats();
            let watching = view.upgrade().map_or(0, |view| view.clients());
            json!({
                "connections": stats.connections,
                "requests": stats.requests,
                "sockets": sockets.socket_count(),
                "sse": { "orders": feed.clients(), "loop": watching },
            })
        });
        Ok(Self { parts, io, serving })
    }

    /// Has steps of transactions fail: those for which `fails` says so. For tests of what then becomes of money.
    pub fn fail_at(&self, fails: impl Fn(&'static str) -> bool + 'static) {
        self.parts.database.faults.set(fails);
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// It is shut down.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.serving.local_addr()
    }

    /// Where a browser finds it.
    ///
    /// # Errors
    /// It is shut down.
    pub fn url(&self) -> io::Result<String> {
        let scheme = if self.parts.config.tls == Tls::Off { "http" } else { "https" };
        Ok(format!("{scheme}://{}/", self.local_addr()?))
    }

    /// Stops accepting, tells clients to come back elsewhere, and waits for what is under way, up to the configured time.
    pub async fn shutdown(&self) -> ShutdownReport {
        let Parts { config, log, .. } = &*self.parts;
        log.info("shutdown", &[("grace_ms", &config.shutdown_grace.as_millis())]);
        self.parts.is_stopping.set(true);
        let shutdown = self.serving.shutdown(config.shutdown_grace);
        self.io.close();
        self.parts.order_feed.close();
        self.parts.loop_view.close();
        let report = match shutdown.await {
            Ok(report) => report,
            Err(error) => panic!("shutting down failed: {error}"),
        };
        self.parts.database.close().await;
        log.info("stopped", &[("report", &report)]);
        report
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("config", &self.parts.config).finish_non_exhaustive()
    }
}

fn chat_server(parts: &Rc<Parts>) -> Io {
    let config = &parts.config;
    let mut options = Options::default();
    options.recovery = Some(Recovery::default());
    options.engine.max_payload = 16 * 1024;
    options.engine.sessions_max = config.connections_max;
    options.engine.send_queue_len_max = 256 * 1024;
    if !config.origins.is_empty() {
        options.engine.cors =
            Some(phaseloop_server::engineio::Cors::origins(config.origins.iter().map(String::as_str)));
    }
    let io = Io::with_options(options);
    let origins = Origins::new(&config.origins);
    io.engine().allow_request(move |request| origins.check(request));
    chat::set_up(&io, parts);
    io
}

/// What was configured, or what was made up once and is kept beside the database, so that tokens outlive a restart.
fn token_secret(config: &Config) -> Result<Secret, StartError> {
    let made_up = || random_secret().map_err(|error| StartError::Store(Refusal::internal(error)));
    let path = match (&config.token_secret, &config.database) {
        (Some(secret), _) => return Ok(secret.clone()),
        (None, DatabaseConfig::Sqlite(Some(path))) => path.with_extension("secret"),
        (None, _) => return made_up(),
    };
    let failed = |error| StartError::Secret(path.clone(), error);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => Ok(Secret::new(text.trim())),
        Ok(_) => Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is too short; remove it"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = made_up()?;
            keep(&path, secret.reveal()).map_err(failed)?;
            Ok(secret)
        }
        Err(error) => Err(failed(error)),
    }
}

/// For the owner's eyes alone.
fn keep(path: &Path, secret: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")
}

fn limits(config: &Config) -> Limits {
    let mut limits = Limits::default();
    limits.connections_max = config.connections_max;
    limits.connections_per_address_max = config.connections_max;
    limits
}

fn tls(config: &Config) -> Result<Option<ServerTls>, StartError> {
    let certificate = match &config.tls {
        Tls::Off => return Ok(None),
        Tls::Dev => {
            DevCertificate::generate(["localhost", "127.0.0.1"]).map_err(StartError::Tls)?.certificate()
        }
        Tls::Files(chain, key) => Certificate::from_files(chain, key).map_err(StartError::Tls)?,
    };
    Ok(Some(ServerTls::new(&Certificates::new(certificate)).map_err(StartError::Tls)?))
}

/// Why the service does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The address can not be listened on.
    Listen(SocketAddr, io::Error),
    /// The certificate or its key are none.
    Tls(TlsError),
    /// The file of the made-up secret can not be read or written.
    Secret(std::path::PathBuf, io::Error),
    /// A store can not be used.
    Store(Refusal),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "can not listen on {address}: {error}"),
            Self::Secret(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Store(refusal) => write!(f, "a store can not be used: {refusal}"),
            Self::Tls(error) => write!(f, "TLS_CERT, TLS_KEY: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
