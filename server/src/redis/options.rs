//! Where Redis is, and what may be spent on it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use fs_pool::dns::Dns;
use redis::{ConnectionAddr, IntoConnectionInfo};

use super::connect::Encrypt;
use super::error::Error;

/// Where Redis is, and what may be spent on it. Made by [`Options::url`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use phaseloop_server::redis::Options;
///
/// let mut options = Options::url("redis://user:secret@127.0.0.1:6379/2")?;
/// options.command_timeout = Duration::from_millis(500);
/// assert!(!format!("{options:?}").contains("secret"));
/// assert!(Options::url("http://127.0.0.1/").is_err());
/// # Ok::<(), phaseloop_server::redis::Error>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) db: i64,
    /// The connection's name in `CLIENT LIST`; none.
    pub name: Option<String>,
    /// How a host name is looked up. Addresses and `localhost`, which is 127.0.0.1 or else ::1, need none, which is the default.
    pub dns: Option<Dns>,
    /// What encrypts, for `rediss://`: with the feature `tls`, `encrypt_with`. Nothing by default.
    pub encrypt: Option<Encrypt>,
    /// For one attempt to connect and to be let in; 5 s.
    pub connect_timeout: Duration,
    /// For the answer to a command, its wait for a connection included; 5 s. `Duration::MAX` for as long as it takes. A connection that is
    /// later than that is given up, with all that waits for it.
    pub command_timeout: Duration,
    /// The first pause between attempts to connect; 50 ms. It doubles, and half of it is chance.
    pub backoff_min: Duration,
    /// The longest such pause; 5 s.
    pub backoff_max: Duration,
    /// Commands that may wait for answers; 10,000. Those whose caller has given up count until they are answered.
    pub in_flight_max: usize,
    /// Bytes of commands that may wait to be written; 64 MiB.
    pub queue_len_max: usize,
    /// Bytes of a reply; 64 MiB. A longer one costs the connection, since it can not be skipped cheaply.
    pub reply_len_max: usize,
    /// Values in a reply, nested ones included; 1,000,000.
    pub reply_values_max: usize,
    /// Channels and patterns that may be subscribed to; 10,000. Each counts once, however many subscriptions it has.
    pub subscriptions_max: usize,
    /// Messages that wait in one subscription; 1,024. When it is full the oldest are dropped, and counted.
    pub subscription_queue_max: usize,
    /// Bytes of messages that wait in one subscription; 16 MiB.
    pub subscription_len_max: usize,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16, encrypted: bool },
    Unix(PathBuf),
}

impl Options {
    /// From a URL: `redis://[user:password@]host[:port][/db]`, `rediss://` for TLS, or
    /// `unix:///path[?db=1&user=name&pass=secret]`.
    ///
    /// # Errors
    /// [`Error::Invalid`] says what is wrong. Passwords are not in it.
    pub fn url(url: &str) -> Result<Self, Error> {
        let invalid =
            |why: &str| Error::Invalid(format!("{:?} is no URL of redis: {why}", without_password(url)));
        let plain = url.replacen("rediss://", "redis://", 1);
        let encrypted = plain.len() != url.len();
        if redis::parse_redis_url(&plain).is_none() {
            return Err(invalid("it is none, or its scheme is not redis, rediss or unix"));
        }
        let info = plain.as_str().into_connection_info().map_err(|error| invalid(&error.to_string()))?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp { host: host.clone(), port: *port, encrypted },
            ConnectionAddr::Unix(path) => Place::Unix(path.clone()),
            _ => return Err(invalid("neither a host nor a path")),
        };
        let settings = info.redis_settings();
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self {
            user: owned(settings.username()),
            password: owned(settings.password()),
            db: settings.db(),
            ..Self::at(place)
        })
    }

    /// A server at this address, without a password.
    pub fn addr(addr: std::net::SocketAddr) -> Self {
        Self::at(Place::Tcp { host: addr.ip().to_string(), port: addr.port(), encrypted: false })
    }

    fn at(place: Place) -> Self {
        Self {
            place,
            user: None,
            password: None,
            db: 0,
            name: None,
            dns: None,
            encrypt: None,
            connect_timeout: Duration::from_secs(5),
            command_timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(5),
            in_flight_max: 10_000,
            queue_len_max: 64 << 20,
            reply_len_max: 64 << 20,
            reply_values_max: 1_000_000,
            subscriptions_max: 10_000,
            subscription_queue_max: 1024,
            subscription_len_max: 16 << 20,
        }
    }
}

impl fmt::Debug for Options {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Options");
        out.field("place", &self.place).field("user", &self.user).field("db", &self.db);
        out.field("has_password", &self.password.is_some()).finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, encrypted } => {
                write!(f, "redis{}://{host}:{port}", if *encrypted { "s" } else { "" })
            }
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// A URL as it may stand in a message.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    let shown = match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}...@{place}"),
        // A user and a password, perhaps, and the host forgotten.
        None if rest.contains(':') => format!("{scheme}..."),
        None => url.to_owned(),
    };
    match shown.split_once('?') {
        Some((path, _)) => format!("{path}?..."),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        let options = Options::url("rediss://me:p%40ss@[::1]:7000/3").unwrap();
        assert_eq!(options.place, Place::Tcp { host: "::1".into(), port: 7000, encrypted: true });
        assert_eq!(options.password.as_deref(), Some("p@ss"));
        assert_eq!((options.user.as_deref(), options.db), (Some("me"), 3));
        let options = Options::url("unix:///run/redis.sock?db=2&pass=secret").unwrap();
        assert_eq!(options.place, Place::Unix("/run/redis.sock".into()));
        assert_eq!((options.password.as_deref(), options.db), (Some("secret"), 2));
    }

    #[test]
    fn bad_urls_are_shown_without_their_password() {
        let urls = [
            "http://u:secret@h/",
            "redis://u:secret@h/x",
            "redis://u:se?cret@h/secret@h",
            "redis://u:secret?x@h/",
            "redis://u:secret/x@h/",
            "redis://u:secret",
            "redis://:secret",
            "unix:///a?pass=secret&db=x",
            "secret@",
            "",
        ];
        for url in urls {
            let error = Options::url(url).unwrap_err().to_string();
            assert!(!error.contains("secret") && error.contains("is no URL of redis"), "{url}: {error}");
        }
    }
}
