//! A forwarder: what comes to one place goes to another, both ways, over TCP or Unix sockets.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use phaseloop::LoopHandle;
use phaseloop::net::{
    ByteStream, ConnectOptions, Listener, StreamFamily, TcpListener, UnixAddr, UnixListenOptions,
    UnixListener, UnixStream, copy_bidirectional,
};

use crate::page::Page;

/// How long the other place may take to answer a connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where to listen, or to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// An address with a port.
    Tcp(SocketAddr),
    /// A Unix socket, by its path or its abstract name.
    Unix(UnixAddr),
}

impl Place {
    /// Reads `127.0.0.1:80`, `unix:PATH` or `unix:@NAME`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match (text.strip_prefix("unix:@"), text.strip_prefix("unix:")) {
            (Some(name), _) => Ok(Self::Unix(UnixAddr::abstract_name(name))),
            (None, Some(path)) => Ok(Self::Unix(UnixAddr::from(path))),
            (None, None) => text.parse().map(Self::Tcp).map_err(|_| {
                format!("{text:?} is neither an address with a port nor unix:PATH nor unix:@NAME")
            }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(address) => write!(f, "unix:{address}"),
        }
    }
}

/// Listens at `from`, and forwards each connection to `to` until the loop ends. Gives the place where it listens, with the
/// port that was chosen.
///
/// # Errors
/// The system's, when it can not listen there.
pub fn serve(lp: &LoopHandle, from: &Place, to: Place, page: &Page) -> io::Result<Place> {
    match from {
        Place::Tcp(address) => {
            let listener = TcpListener::bind(lp, *address)?;
            let place = Place::Tcp(listener.local_addr()?);
            accept(lp, listener, to, page.clone());
            Ok(place)
        }
        Place::Unix(address) => {
            let mut options = UnixListenOptions::default();
            options.replace_stale = true; // of a forwarder that was killed
            let listener = UnixListener::bind_with(lp, address, &options)?;
            accept(lp, listener, to, page.clone());
            Ok(from.clone())
        }
    }
}

/// Has a task accept, and one more for each connection.
fn accept<K: StreamFamily>(lp: &LoopHandle, listener: Listener<K>, to: Place, page: Page) {
    let accepting = lp.spawn(async move {
        loop {
            let (lp, to, page) = (listener.lp().clone(), to.clone(), page.clone());
            match listener.accept().await {
                Ok((stream, _)) => {
                    lp.clone().spawn(async move { forward(&lp, stream, &to, &page).await }).detach()
                }
                Err(error) => page.line(format!("accepting failed: {error}")),
            }
        }
    });
    accepting.detach();
}

async fn forward<K: StreamFamily>(lp: &LoopHandle, stream: ByteStream<K>, to: &Place, page: &Page) {
    let copied = match to {
        Place::Tcp(address) => {
            let mut options = ConnectOptions::default();
            options.timeout = Some(CONNECT_TIMEOUT);
            match options.connect(lp, *address).await {
                Ok(other) => copy_bidirectional(&stream, &other).await,
                Err(error) => return page.line(format!("{to}: {error}")),
            }
        }
        Place::Unix(address) => match UnixStream::connect(lp, address).await {
            Ok(other) => copy_bidirectional(&stream, &other).await,
            Err(error) => return page.line(format!("{to}: {error}")),
        },
    };
    match copied {
        Ok(copied) => page.line(format!("{} bytes forth, {} back", copied.forth, copied.back)),
        Err(failed) => page.line(failed),
    }
}
