//! The service: what it is made of, its start and its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use phaseloop::LoopHandle;
use phaseloop_server::http::{Limits, Server, Serving, ShutdownReport};
use phaseloop_server::tls::{Certificate, Certificates, DevCertificate, ServerTls, TlsError};

use crate::config::{Config, Tls};
use crate::log::Log;
use crate::site::site;

/// What requests share.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) log: Log,
    pub(crate) worker: u32,
    pub(crate) started: Instant,
}

/// A service that runs.
pub struct Service {
    parts: Rc<Parts>,
    serving: Serving,
}

impl Service {
    /// Opens the stores and listens. It keeps the loop alive until it is [shut down](Self::shutdown).
    ///
    /// # Errors
    /// The address can not be listened on, a store can not be reached, a certificate is none.
    pub async fn start(lp: &LoopHandle, config: Config, log: Log) -> Result<Self, StartError> {
        let parts = Rc::new(Parts { config, log, worker: 0, started: Instant::now() });
        let config = &parts.config;
        let told = parts.log.clone();
        let mut server = Server::new(site(&parts))
            .limits(limits(config))
            .on_trouble(move |trouble| told.warn("trouble", &[("what", trouble)]));
        if let Some(tls) = tls(config)? {
            server = server.tls(&tls);
        }
        let address = config.address;
        let serving = server.listen(lp, address).map_err(|error| StartError::Listen(address, error))?;
        Ok(Self { parts, serving })
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
        let grace = self.parts.config.shutdown_grace;
        self.parts.log.info("shutdown", &[("grace_ms", &grace.as_millis())]);
        let report = match self.serving.shutdown(grace).await {
            Ok(report) => report,
            Err(error) => panic!("shutting down failed: {error}"),
        };
        self.parts.log.info("stopped", &[("report", &report)]);
        report
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("config", &self.parts.config).finish_non_exhaustive()
    }
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
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "can not listen on {address}: {error}"),
            Self::Tls(error) => write!(f, "TLS_CERT, TLS_KEY: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
