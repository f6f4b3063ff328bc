//! What the environment says: read once, checked at once, and all mistakes told together.

mod database;
mod reader;
mod secret;

use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use database::Database;
use reader::Reader;
pub use secret::Secret;

/// What the service needs to know. Its `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen.
    pub address: SocketAddr,
    /// Development, where everything is allowed that a visitor should see, or production.
    pub stage: Stage,
    /// Where orders and users are.
    pub database: Database,
    /// Where lists are read, if not there.
    pub replica: Option<Database>,
    /// Connections to the database.
    pub database_pool: u32,
    /// How long a request waits for a connection.
    pub database_wait: Duration,
    /// How long it then waits for an answer, and for one of the document store.
    pub answer_wait: Duration,
    /// Where posts are, if not in the database.
    pub mongodb: Option<Secret>,
    /// Where cache, lock and events are, if not in the process.
    pub redis: Option<Secret>,
    /// What tokens are signed with; made up if it is not set.
    pub token_secret: Option<Secret>,
    /// How long a token is good for.
    pub token_ttl: Duration,
    /// Who is made an admin: name and password.
    pub admin: Option<(String, Secret)>,
    /// Other origins whose pages may call.
    pub origins: Vec<String>,
    /// Whether and how to encrypt.
    pub tls: Tls,
    /// Processes that share the port.
    pub workers: u32,
    /// Requests of an address a second, and at once; none without bound.
    pub rate_limit: Option<(f64, u32)>,
    /// Connections in all.
    pub connections_max: usize,
    /// How long a shutdown waits.
    pub shutdown_grace: Duration,
    /// Whether the loop view has its buttons.
    pub loop_controls: bool,
    /// How log lines look.
    pub log_json: bool,
    /// What is logged.
    pub log_level: Level,
}

/// Where the service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// On somebody's desk.
    Development,
    /// Before customers.
    Production,
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tls {
    /// Not at all.
    Off,
    /// With a certificate made up for `localhost`.
    Dev,
    /// With one that the primary has made up and handed over: the certificate and its key as PEM.
    Handed(String, Secret),
    /// With the chain and the key in these files.
    Files(PathBuf, PathBuf),
}

/// What is logged: this, and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// What somebody has to look at.
    Error,
    /// What works again by itself.
    Warn,
    /// Each request.
    Info,
}

impl Config {
    /// Where a browser finds the service at this address.
    pub(crate) fn url(&self, address: SocketAddr) -> String {
        let scheme = if self.tls == Tls::Off { "http" } else { "https" };
        format!("{scheme}://{address}/")
    }

    /// Reads the variables that `lookup` gives.
    ///
    /// # Errors
    /// All that is wrong, with name and value; of secrets without the value.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(&lookup);
        let stage = reader
            .one_of("APP_ENV", &[("development", Stage::Development), ("production", Stage::Production)]);
        let is_development = stage == Stage::Development;
        let host: IpAddr =
            reader.parsed("HOST", "an IP address, such as 127.0.0.1", IpAddr::from([127, 0, 0, 1]));
        let config = Self {
            address: SocketAddr::new(host, reader.parsed("PORT", "a port, 0 to 65535", 8080)),
            stage,
            database: database::read(&mut reader, "DATABASE_URL").unwrap_or_default(),
            replica: database::read(&mut reader, "DATABASE_REPLICA_URL"),
            database_pool: reader.number("DATABASE_POOL", 1..=200, 10),
            database_wait: reader.millis("DATABASE_WAIT_MS", 1..=60_000, 3_000),
            answer_wait: reader.millis("STORE_ANSWER_MS", 1..=600_000, 10_000),
            mongodb: database::mongodb(&mut reader),
            redis: database::redis(&mut reader),
            token_secret: token_secret(&mut reader, stage),
            token_ttl: Duration::from_secs(reader.number("TOKEN_TTL_S", 1..=31_536_000, 86_400)),
            admin: admin(&mut reader),
            origins: origins(&mut reader),
            tls: tls(&mut reader),
            workers: reader.number("WORKERS", 1..=64, 1),
            rate_limit: rate_limit(&mut reader),
            connections_max: reader.number("CONNECTIONS_MAX", 1..=1_000_000, 10_000),
            shutdown_grace: reader.millis("SHUTDOWN_GRACE_MS", 0..=600_000, 10_000),
            loop_controls: reader.switch("LOOP_CONTROLS", is_development),
            log_json: reader.one_of("LOG_FORMAT", &[("text", false), ("json", true)]),
            log_level: reader.one_of(
                "LOG_LEVEL",
                &[("info", Level::Info), ("warn", Level::Warn), ("error", Level::Error)],
            ),
        };
        if config.workers > 1 && config.database.is_in_memory() {
            reader.wrong(
                "WORKERS",
                "one process has a database in memory for itself; give DATABASE_URL a file",
            );
        }
        reader.finish(config)
    }
}

fn token_secret(reader: &mut Reader<'_>, stage: Stage) -> Option<Secret> {
    let secret = reader.secret("TOKEN_SECRET");
    match &secret {
        Some(given) if given.reveal().chars().count() < 32 => {
            reader.wrong("TOKEN_SECRET", "it must be of 32 characters or more");
        }
        None if stage == Stage::Production => {
            reader.wrong("TOKEN_SECRET", "production needs one, of 32 characters or more");
        }
        _ => {}
    }
    secret
}

fn admin(reader: &mut Reader<'_>) -> Option<(String, Secret)> {
    let (name, password) = (reader.text("ADMIN_NAME"), reader.secret("ADMIN_PASSWORD"));
    match (name, password) {
        (Some(name), Some(password)) => {
            if let Err(problem) = crate::models::user::check_name(&name) {
                reader.wrong("ADMIN_NAME", &problem);
            }
            if let Err(problem) = crate::models::user::check_password(password.reveal()) {
                reader.wrong("ADMIN_PASSWORD", &problem);
            }
            Some((name, password))
        }
        (None, None) => None,
        (Some(_), None) => {
            reader.wrong("ADMIN_PASSWORD", "ADMIN_NAME is set, so this must be too");
            None
        }
        (None, Some(_)) => {
            reader.wrong("ADMIN_NAME", "ADMIN_PASSWORD is set, so this must be too");
            None
        }
    }
}

fn origins(reader: &mut Reader<'_>) -> Vec<String> {
    let text = reader.text("ALLOWED_ORIGINS").unwrap_or_default();
    let origins: Vec<_> =
        text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(str::to_owned).collect();
    let is_origin = |origin: &String| {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']))
    };
    if let Some(bad) = origins.iter().find(|origin| !is_origin(origin)) {
        reader.wrong("ALLOWED_ORIGINS", &format!("{bad:?} is no origin, such as https://app.example"));
    }
    origins
}

fn tls(reader: &mut Reader<'_>) -> Tls {
    let dev = reader.one_of("TLS", &[("off", false), ("dev", true)]);
    match (reader.text("TLS_CERT"), reader.text("TLS_KEY")) {
        (None, None) if dev => match (reader.text(DEV_CERT), reader.secret(DEV_KEY)) {
            (Some(chain), Some(key)) => Tls::Handed(chain, key),
            _ => Tls::Dev,
        },
        (None, None) => Tls::Off,
        (Some(_), Some(_)) if dev => {
            reader.wrong("TLS", "`dev` makes a certificate up, and TLS_CERT names one: set one of both");
            Tls::Dev
        }
        (Some(chain), Some(key)) => Tls::Files(chain.into(), key.into()),
        _ => {
            reader.wrong("TLS_CERT", "TLS_CERT and TLS_KEY go together");
            Tls::Off
        }
    }
}

/// Where a primary hands its workers the certificate that it has made up, and the key.
pub(crate) const DEV_CERT: &str = "TLS_DEV_CERT";
pub(crate) const DEV_KEY: &str = "TLS_DEV_KEY";

fn rate_limit(reader: &mut Reader<'_>) -> Option<(f64, u32)> {
    let per_s = reader.number("RATE_LIMIT_PER_S", 0..=1_000_000, 50);
    let burst = reader.number("RATE_LIMIT_BURST", 1..=1_000_000, 200);
    (per_s > 0).then_some((f64::from(per_s), burst))
}

/// All that is wrong with the configuration, a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
mod tests {
    use super::{Config, Stage, Tls};

    fn read(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let found = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        Config::read(found).map_err(|mistakes| mistakes.0)
    }

    #[test]
    fn an_empty_environment_is_development_on_loopback() {
        let config = read(&[]).unwrap();
        assert_eq!(config.address.to_string(), "127.0.0.1:8080");
        assert_eq!((config.stage, config.loop_controls, config.tls), (Stage::Development, true, Tls::Off));
    }

    #[test]
    fn all_mistakes_are_told_at_once_and_secrets_never() {
        let wrong = read(&[
            ("PORT", "eighty"),
            ("DATABASE_POOL", "0"),
            ("TOKEN_SECRET", "hunter2"),
            ("DATABASE_URL", "postgres://u:swordfish@h/d"),
            ("ALLOWED_ORIGINS", "https://ok.example, ftp://no"),
            ("LOOP_CONTROLS", "maybe"),
        ]);
        let lines = wrong.unwrap_err();
        let names: Vec<_> = lines.iter().map(|line| line.split([':', '=']).next().unwrap()).collect();
        assert_eq!(
            names,
            ["PORT", "DATABASE_URL", "DATABASE_POOL", "TOKEN_SECRET", "ALLOWED_ORIGINS", "LOOP_CONTROLS"]
        );
        let all = lines.join("\n");
        assert!(all.contains("eighty") && !all.contains("hunter2") && !all.contains("swordfish"), "{all}");
    }

    #[test]
    fn production_wants_a_secret_and_shows_it_nowhere() {
        assert_eq!(read(&[("APP_ENV", "production")]).unwrap_err().len(), 1);
        let secret = "0123456789abcdef0123456789abcdef";
        let config = read(&[("APP_ENV", "production"), ("TOKEN_SECRET", secret)]).unwrap();
        assert!(!config.loop_controls && !format!("{config:?}").contains(secret));
    }

    #[test]
    fn several_workers_share_no_database_in_memory() {
        assert!(read(&[("WORKERS", "2"), ("DATABASE_URL", "sqlite::memory:")]).is_err());
    }
}
