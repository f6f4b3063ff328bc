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
use phaseloop_server::cluster::Worker;
use phaseloop_server::http::{Handler, Limits, RequestExt as _, Server, Serving, ShutdownReport};
use phaseloop_server::socketio::{Io, Options, Recovery};
use phaseloop_server::tls::{Certificate, Certificates, DevCertificate, ServerTls, TlsError};
use serde_json::json;

use crate::config::{Config, Database as DatabaseConfig, Secret, Tls};
use crate::controllers::chat;
use crate::log::Log;
use crate::middleware::Origins;
use crate::refusal::Refusal;
use crate::services::{
    Allowances, LoopView, Messages, NEWS, OrderFeed, Orders, Passwords, Posts, SqlPosts, Tokens, Users,
    random_secret,
};
use crate::site::Site;
use crate::stores::database::refusal;
use crate::stores::{
    Cache, ClusterHub, ClusterRooms, Database, Hub, LocalCache, LocalHub, LocalLocks, Locks, Post,
};

/// How often the table of events is looked at, though nobody said that there is something new: another worker may have died
/// between its commit and its word.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// How long a worker that starts waits for a database that is away: less than the primary waits for a worker. Those that end at once are
/// given up after some times.
const START_PATIENCE: Duration = Duration::from_secs(20);
/// How often it tries.
const START_PAUSE: Duration = Duration::from_millis(500);

/// What workers know the primary's listener by.
pub(crate) const LISTENER: &str = "web";

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
    /// For who comes to the chat, and what is said there.
    pub(crate) chat_limits: Allowances,
    pub(crate) order_feed: Rc<OrderFeed>,
    pub(crate) loop_view: Rc<LoopView>,
    share_rooms: ShareRooms,
    is_stopping: std::cell::Cell<bool>,
}

impl Parts {
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.get()
    }

    async fn open(
        lp: &LoopHandle,
        config: Config,
        log: Log,
        member: Option<&Worker>,
    ) -> Result<Self, StartError> {
        let worker = member.map_or(0, |worker| worker.id().number());
        let log = if member.is_some() { log.of_worker(worker) } else { log };
        let pool = Pool::builder().build().map_err(|error| StartError::Store(Refusal::internal(error)))?;
        let patience = if member.is_some() { START_PATIENCE } else { Duration::ZERO };
        let database = open_database(&config, &log, patience).await.map_err(StartError::Store)?;
        let (database, loop_pool) = (Rc::new(database), LoopPool::new(lp, &pool));
        let Shared { cache, locks, hub, share_rooms } =
            shared(lp, &config, &log, member).await.map_err(StartError::Store)?;
        let posts = posts(&config, &database).await.map_err(StartError::Store)?;
        let order_feed = OrderFeed::open(&database, &log, LOOK_PERIOD).await.map_err(StartError::Store)?;
        let feed = Rc::clone(&order_feed);
        hub.listen(NEWS, Box::new(move || feed.look()));
        let tokens = Rc::new(Tokens::new(token_secret(&config)?, config.token_ttl));
        let users = Users::new(&database, &cache, Passwords::new(&loop_pool), &log);
        if let Some((name, password)) = &config.admin {
            users.ensure_admin(name, password.reveal()).await.map_err(StartError::Store)?;
        }
        let started = Instant::now();
        Ok(Self {
            orders: Orders::new(&database, &cache, &locks, &hub),
            messages: Messages(Rc::clone(&database)),
            chat_limits: Allowances::new(config.rate_limit),
            loop_view: LoopView::new(lp, &pool, worker),
            pool: loop_pool,
            share_rooms,
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

/// The database, which may be away for a while, as when it starts as well.
async fn open_database(config: &Config, log: &Log, patience: Duration) -> Result<Database, Refusal> {
    let begin = phaseloop::current().now();
    loop {
        let refusal = match Database::open(config).await {
            Ok(database) => return Ok(database),
            Err(error) => refusal(&error),
        };
        let waited = phaseloop::current().now().saturating_duration_since(begin);
        if refusal.code != "unavailable" || waited + START_PAUSE > patience {
            return Err(refusal);
        }
        log.warn("start", &[("waits", &"for the database"), ("error", &refusal)]);
        phaseloop::sleep(START_PAUSE).await;
    }
}

/// What workers share, or what one has for itself.
struct Shared {
    cache: Rc<dyn Cache>,
    locks: Rc<dyn Locks>,
    hub: Rc<dyn Hub>,
    share_rooms: ShareRooms,
}

/// Has the chat share its rooms, before its first client.
type ShareRooms = Box<dyn Fn(&Io)>;

impl Shared {
    /// What there is without Redis. Locks of one process are enough for nobody but it: the database decides in the end.
    fn without_redis(member: Option<&Worker>, log: &Log) -> Self {
        let (cache, locks) = (Rc::new(LocalCache::default()), Rc::new(LocalLocks::default()));
        let Some(worker) = member else {
            let hub = Rc::new(LocalHub::default());
            return Self { cache, locks, hub, share_rooms: Box::new(|_| {}) };
        };
        let (post, log) = (Post::new(worker), log.clone());
        let hub = Rc::new(ClusterHub::new(&post));
        let share_rooms = Box::new(move |io: &Io| {
            let (post, log) = (Rc::clone(&post), log.clone());
            io.set_adapters(move |namespace| ClusterRooms::new(&post, namespace, &log));
        });
        Self { cache, locks, hub, share_rooms }
    }
}

#[cfg(feature = "redis")]
async fn shared(
    lp: &LoopHandle,
    config: &Config,
    log: &Log,
    member: Option<&Worker>,
) -> Result<Shared, Refusal> {
    use crate::stores::redis::{RedisCache, RedisHub, RedisLocks, connect, share_rooms};
    let Some(url) = &config.redis else { return Ok(Shared::without_redis(member, log)) };
    let client = connect(lp, url, log).await?;
    let hub = Rc::new(RedisHub::new(&client, log));
    let share_rooms = share_rooms(&client, log);
    let (cache, locks) = (RedisCache(client.clone()), RedisLocks(client));
    Ok(Shared { cache: Rc::new(cache), locks: Rc::new(locks), hub, share_rooms })
}

#[cfg(not(feature = "redis"))]
async fn shared(_: &LoopHandle, _: &Config, log: &Log, member: Option<&Worker>) -> Result<Shared, Refusal> {
    Ok(Shared::without_redis(member, log))
}

#[cfg(feature = "mongo")]
async fn posts(config: &Config, database: &Rc<Database>) -> Result<Rc<dyn Posts>, Refusal> {
    match &config.mongodb {
        Some(url) => Ok(Rc::new(crate::stores::mongo::MongoPosts::open(url, config.answer_wait).await?)),
        None => Ok(Rc::new(SqlPosts(Rc::clone(database)))),
    }
}

#[cfg(not(feature = "mongo"))]
async fn posts(_: &Config, database: &Rc<Database>) -> Result<Rc<dyn Posts>, Refusal> {
    Ok(Rc::new(SqlPosts(Rc::clone(database))))
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
        Self::start_as(lp, config, log, None).await
    }

    /// The same as a worker of a primary, which listens. The worker sees to its end.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_worker(worker: &Worker, config: Config, log: Log) -> Result<Self, StartError> {
        Self::start_as(worker.lp(), config, log, Some(worker)).await
    }

    async fn start_as(
        lp: &LoopHandle,
        config: Config,
        log: Log,
        member: Option<&Worker>,
    ) -> Result<Self, StartError> {
        let parts = Rc::new(Parts::open(lp, config, log, member).await?);
        let (config, told) = (&parts.config, parts.log.clone());
        let io = chat_server(&parts);
        let site = io.beside(Site::new(&parts));
        let mut server = Server::new(site)
            .limits(limits(config))
            .on_trouble(move |trouble| told.info("trouble", &[("what", trouble)]));
        if let Some(tls) = tls(config)? {
            server = server.tls(&tls);
        }
        let serving = serve(lp, server, config.address, member)?;
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
        let service = Self { parts, io, serving };
        if let Some(worker) = member {
            let (parts, io) = (Rc::clone(&service.parts), service.io.clone());
            worker.on_end(move |_| async move { let_go(&parts, &io) });
        }
        Ok(service)
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
        Ok(self.parts.config.url(self.local_addr()?))
    }

    /// Stops accepting, tells clients to come back elsewhere, and waits for what is under way, up to the configured time.
    pub async fn shutdown(&self) -> ShutdownReport {
        let Parts { config, log, .. } = &*self.parts;
        log.info("shutdown", &[("grace_ms", &config.shutdown_grace.as_millis())]);
        let shutdown = self.serving.shutdown(config.shutdown_grace);
        let_go(&self.parts, &self.io);
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

/// Listens, or takes what the primary listens for.
fn serve<H: Handler>(
    lp: &LoopHandle,
    server: Server<H>,
    address: SocketAddr,
    member: Option<&Worker>,
) -> Result<Serving, StartError> {
    let Some(worker) = member else {
        return server.listen(lp, address).map_err(|error| StartError::Listen(address, error));
    };
    let serving = server.serve_streams(lp);
    worker.serve(LISTENER, &serving).map_err(StartError::Cluster)?;
    Ok(serving)
}

/// Tells those who stay long that it is over: they come back, here or elsewhere.
fn let_go(parts: &Parts, io: &Io) {
    parts.is_stopping.set(true);
    io.close();
    parts.order_feed.close();
    parts.loop_view.close();
}

/// Who is away for longer, or misses more, asks for the room's history: it is in the database, and need not be in memory too.
fn recovery() -> Recovery {
    let mut recovery = Recovery::default();
    recovery.disconnected_max = Duration::from_secs(30);
    recovery.packets_max = 2_000;
    recovery.packets_len_max = 512 * 1024;
    recovery
}

fn chat_server(parts: &Rc<Parts>) -> Io {
    let config = &parts.config;
    let mut options = Options::default();
    options.recovery = Some(recovery());
    options.engine.max_payload = 16 * 1024;
    // A polling client comes by many connections, each to another worker. Sticky ones would not do: which worker a connection belongs to is
    // seen by its first request, and a browser polls by those that it has kept from others.
    options.engine.polling = config.workers == 1;
    options.engine.sessions_max = config.connections_max;
    options.engine.send_queue_len_max = 256 * 1024;
    if !config.origins.is_empty() {
        options.engine.cors =
            Some(phaseloop_server::engineio::Cors::origins(config.origins.iter().map(String::as_str)));
    }
    let io = Io::with_options(options);
    (parts.share_rooms)(&io);
    let (origins, own) = (Origins::of(config), Rc::clone(parts));
    io.engine().allow_request(move |request| {
        origins.check(request)?;
        if own.is_stopping() {
            return Err("this server is shutting down: come back in a second".to_owned());
        }
        let limit = request.peer_addr().and_then(|peer| own.chat_limits.of(peer.ip()));
        match limit.is_none_or(|limit| limit.take()) {
            true => Ok(()),
            false => Err("too many connections at once: try again in a second".to_owned()),
        }
    });
    chat::set_up(&io, parts);
    io
}

/// What was configured, or what was made up once and is kept beside the database, so that tokens outlive a restart.
pub(crate) fn token_secret(config: &Config) -> Result<Secret, StartError> {
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

/// For the owner's eyes alone. The database, which makes its folder, may not have been opened yet.
fn keep(path: &Path, secret: &str) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")
}

fn limits(config: &Config) -> Limits {
    let mut limits = Limits::default();
    limits.connections_max = config.connections_max;
    limits.connections_per_address_max = config.connections_max;
    limits
}

/// A certificate for who tries the service on its own machine.
pub(crate) fn dev_certificate() -> Result<DevCertificate, StartError> {
    DevCertificate::generate(["localhost", "127.0.0.1"]).map_err(StartError::Tls)
}

fn tls(config: &Config) -> Result<Option<ServerTls>, StartError> {
    let certificate = match &config.tls {
        Tls::Off => return Ok(None),
        Tls::Dev => dev_certificate()?.certificate(),
        Tls::Handed(chain, key) => {
            Certificate::from_pem(chain.as_bytes(), key.reveal().as_bytes()).map_err(StartError::Tls)?
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
    /// The cluster of workers does not come about.
    Cluster(io::Error),
    /// A store can not be used.
    Store(Refusal),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "can not listen on {address}: {error}"),
            Self::Secret(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Cluster(error) => write!(f, "the workers can not be run: {error}"),
            Self::Store(refusal) => write!(f, "a store can not be used: {refusal}"),
            Self::Tls(error) => write!(f, "TLS_CERT, TLS_KEY: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
