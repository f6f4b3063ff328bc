//! From options to a connection that was let in.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use fs_pool::dns::ConnectOptions;
use futures_io::{AsyncRead, AsyncWrite};
use phaseloop::LoopHandle;
use phaseloop::net::{TcpStream, UnixStream};
use redis::{Cmd, Value};

use super::error::Error;
use super::link::{Link, OnPush};
use super::options::{Options, Place};
use crate::reach;

/// What bytes travel by.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Any stream.
pub type BoxStream = Box<dyn Stream>;

/// Encrypts a connection to a host.
pub type Encrypt = Rc<dyn Fn(TcpStream, String) -> Pin<Box<dyn Future<Output = io::Result<BoxStream>>>>>;

/// Ends with the connection.
pub(super) type Driver = Pin<Box<dyn Future<Output = Error>>>;

/// A connection that is in, with what drives it. It is driven by whoever gets it.
pub(super) async fn connect(
    lp: &LoopHandle,
    options: &Options,
    on_push: OnPush,
) -> Result<(Link, Driver), Error> {
    let limit = options.connect_timeout;
    let connecting = async {
        let stream = reach(lp, options).await?;
        let (link, driver) = Link::new(lp, stream, options, on_push);
        let mut driver: Driver = Box::pin(driver);
        greeted(&link, options, &mut driver).await?;
        Ok((link, driver))
    };
    match lp.timeout(limit, connecting).await {
        // Whichever clock was first: that of all, or that of the greeting.
        Err(_) | Ok(Err(Error::Timeout(_))) => {
            Err(Error::Unavailable(format!("{} let nobody in within {limit:?}", options.place)))
        }
        Ok(connected) => connected,
    }
}

async fn reach(lp: &LoopHandle, options: &Options) -> Result<BoxStream, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Unavailable(format!("{}: {error}", options.place));
    let (host, port, encrypted) = match &options.place {
        Place::Unix(path) => {
            let stream = UnixStream::connect(lp, path.as_path()).await.map_err(|error| failed(&error))?;
            return Ok(Box::new(stream));
        }
        Place::Tcp { host, port, encrypted } => (host, *port, *encrypted),
    };
    let encrypt = options.encrypt.as_ref().filter(|_| encrypted);
    if encrypted && encrypt.is_none() {
        let why = format!("{} asks for TLS, and Options::encrypt was not set", options.place);
        return Err(Error::Invalid(why));
    }
    let stream = match (reach::literal(host, port), &options.dns) {
        (Some(addresses), _) => {
            let until = lp.now().checked_add(options.connect_timeout);
            reach::connect(lp, host, &addresses, until).await.map_err(|error| failed(&error))?
        }
        (None, Some(dns)) => {
            dns.connect(host, port, &ConnectOptions::default()).await.map_err(|error| failed(&error))?
        }
        (None, None) => {
            let why = format!("{host:?} is no address, and Options::dns was not set to look names up");
            return Err(Error::Invalid(why));
        }
    };
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    match encrypt {
        Some(encrypt) => encrypt(stream, host.clone()).await.map_err(|error| failed(&error)),
        None => Ok(Box::new(stream)),
    }
}

/// Drives a connection until it is in.
async fn greeted(link: &Link, options: &Options, driver: &mut Driver) -> Result<(), Error> {
    let mut greeting = std::pin::pin!(greet(link, options));
    poll_fn(|cx| {
        if let Poll::Ready(greeted) = greeting.as_mut().poll(cx) {
            return Poll::Ready(greeted);
        }
        driver.as_mut().poll(cx).map(Err)
    })
    .await
}

/// Says which protocol is spoken, who asks and for which database.
async fn greet(link: &Link, options: &Options) -> Result<(), Error> {
    let mut hello = Cmd::new();
    hello.arg("HELLO").arg(3);
    if let Some(password) = &options.password {
        hello.arg("AUTH").arg(options.user.as_deref().unwrap_or("default")).arg(password);
    }
    if let Some(name) = &options.name {
        hello.arg("SETNAME").arg(name);
    }
    let mut commands = hello.get_packed_command();
    if options.db != 0 {
        let mut select = Cmd::new();
        select.arg("SELECT").arg(options.db).write_packed_command(&mut commands);
    }
    let count = if options.db == 0 { 1 } else { 2 };
    let replies = link.send(&commands, count, options.connect_timeout)?.await;
    let replies = replies.map_err(|_| Error::Unavailable("the client was closed".into()))??;
    for reply in replies {
        if let Value::ServerError(error) = &reply {
            return Err(Error::refused(error));
        }
    }
    Ok(())
}
