//! Asking a server for a WebSocket.

use std::error::Error;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use phaseloop::LoopHandle;

use super::deflate;
use super::handshake;
use super::link::{Link, Stream};
use super::opening::{Shared, Terms};
use super::options::WsOptions;
use super::sender::WsSender;
use super::socket::{WebSocket, WsCallbacks};
use crate::client::{Client, ClientError};
use crate::proto::websocket::Role;

/// Bytes of the answer's head that are read at most.
const HEAD_LEN_MAX: usize = 16 * 1024;

/// Fields of it.
const HEADERS_MAX: usize = 100;

/// Opens a WebSocket with the default options: `ws://` or `wss://`.
///
/// # Errors
/// As [`Connector::connect`].
///
/// # Cancel safety
/// Dropping the future closes what there is of a connection.
///
/// # Examples
/// ```no_run
/// use phaseloop::EventLoop;
/// use phaseloop_server::client::Client;
/// use phaseloop_server::ws;
///
/// let lp = EventLoop::new()?;
/// let said = lp.block_on(async {
///     let mut socket = ws::connect(&Client::new(&lp), "ws://localhost:8080/chat").await?;
///     socket.send("hello").await?;
///     Ok::<_, Box<dyn std::error::Error>>(socket.next().await)
/// })??;
/// println!("{said:?}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn connect(client: &Client, uri: &str) -> Result<WebSocket, ConnectError> {
    Connector::new(client, WsOptions::default()).connect(uri).await
}

/// Opens WebSockets, each on a connection of its own that `client` knows how to make: it looks up the name and encrypts.
#[derive(Clone)]
pub struct Connector {
    client: Client,
    shared: Shared,
    protocols: Vec<Box<str>>,
    headers: HeaderMap,
}

impl Connector {
    /// Opens connections with these limits and times.
    pub fn new(client: &Client, options: WsOptions) -> Self {
        let (client, shared) = (client.clone(), Shared::new(options));
        Self { client, shared, protocols: Vec::new(), headers: HeaderMap::new() }
    }

    /// Offers these subprotocols, the best first.
    pub fn protocols<P: Into<Box<str>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Sends this header with the request, such as `Origin` or `Authorization`.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Offers to compress messages: permessage-deflate, RFC 7692.
    #[cfg(feature = "ws-deflate")]
    pub fn deflate(mut self, options: super::DeflateOptions) -> Self {
        self.shared = self.shared.deflate(options);
        self
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Cancel safety
    /// Dropping the future closes what there is of a connection.
    pub async fn connect(&self, uri: &str) -> Result<WebSocket, ConnectError> {
        let (link, first, terms) = self.open(uri).await?;
        Ok(WebSocket::start(self.shared.open(self.lp(), link, first, terms)))
    }

    /// Opens a connection that calls `callbacks`.
    ///
    /// # Errors
    /// As [`connect`](Self::connect). Nothing is called then.
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect). Nothing is called then.
    pub async fn callbacks(&self, uri: &str, callbacks: WsCallbacks) -> Result<WsSender, ConnectError> {
        let (link, first, terms) = self.open(uri).await?;
        Ok(callbacks.start(self.shared.open(self.lp(), link, first, terms)))
    }

    fn lp(&self) -> &LoopHandle {
        self.client.lp()
    }

    async fn open(&self, uri: &str) -> Result<(Link, Vec<u8>, Terms), ConnectError> {
        let parsed = parse(uri).ok_or_else(|| ConnectError::BadUri(uri.to_owned()))?;
        let mut stream = self.client.open(&parsed).await.map_err(ConnectError::Client)?;
        let key = handshake::key();
        let request = self.request(&parsed, &key);
        let asking = ask(&mut stream, &request);
        let answered = self.lp().timeout(self.client.options().head, asking).await;
        let (head, first) = answered.map_err(|_| ConnectError::Client(ClientError::SlowAnswer(parsed)))??;
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ConnectError::Refused(head.status));
        }
        let accepted = head
            .headers
            .get(SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|value| *value == *handshake::accept(key.as_bytes()));
        if !accepted || !handshake::switches(&head.headers) {
            return Err(ConnectError::BadAnswer("it does not switch to WebSocket"));
        }
        let protocol = handshake::choose_protocol(&head.headers, &self.protocols);
        if protocol.is_none() && head.headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return Err(ConnectError::BadAnswer("it chose a subprotocol that was not offered"));
        }
        let protocol = protocol.map(Box::from);
        let agreed = deflate::agreed(&self.shared, &head.headers).map_err(ConnectError::BadAnswer)?;
        Ok((Link::Other(stream), first, Terms { role: Role::Client, protocol, agreed }))
    }

    fn request(&self, uri: &Uri, key: &str) -> Vec<u8> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        )
        .into_bytes();
        let mut add =
            |name: &str, value: &[u8]| request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        if !self.protocols.is_empty() {
            add("Sec-WebSocket-Protocol", self.protocols.join(", ").as_bytes());
        }
        if let Some(offer) = deflate::offer(&self.shared) {
            add("Sec-WebSocket-Extensions", offer.as_bytes());
        }
        self.headers.iter().for_each(|(name, value)| add(name.as_str(), value.as_bytes()));
        request.extend(b"\r\n");
        request
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("protocols", &self.protocols).finish_non_exhaustive()
    }
}

/// The URI as HTTP has it.
fn parse(uri: &str) -> Option<Uri> {
    let (scheme, rest) = uri.split_once("://")?;
    let scheme = match scheme {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        _ => return None,
    };
    format!("{scheme}://{rest}").parse().ok()
}

struct Head {
    status: StatusCode,
    headers: HeaderMap,
}

/// Sends a request and reads the head of its answer; what was read behind it is given as well.
async fn ask(stream: &mut Pin<Box<dyn Stream>>, request: &[u8]) -> Result<(Head, Vec<u8>), ConnectError> {
    let (mut sent, mut read, mut buf) = (0, Vec::new(), [0; 1024]);
    std::future::poll_fn(|cx| {
        while sent < request.len() {
            sent += std::task::ready!(stream.as_mut().poll_write(cx, &request[sent..]))?;
        }
        stream.as_mut().poll_flush(cx)
    })
    .await?;
    loop {
        let len = std::future::poll_fn(|cx| match stream.as_mut().poll_read(cx, &mut buf) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            read => read,
        });
        let len = len.await?;
        read.extend_from_slice(&buf[..len]);
        if let Some((head, head_len)) = parse_head(&read)? {
            return Ok((head, read.split_off(head_len)));
        }
        if read.len() > HEAD_LEN_MAX {
            return Err(ConnectError::BadAnswer("its head is too long"));
        }
    }
}

/// The head and its length, once it is there.
fn parse_head(bytes: &[u8]) -> Result<Option<(Head, usize)>, ConnectError> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let malformed = ConnectError::BadAnswer("it is not HTTP/1.1");
    let head_len = match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(malformed),
    };
    let Some(status) = response.code.and_then(|code| StatusCode::from_u16(code).ok()) else {
        return Err(malformed);
    };
    let mut headers = HeaderMap::new();
    for field in response.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(field.name), HeaderValue::from_bytes(field.value))
        {
            headers.append(name, value);
        }
    }
    Ok(Some((Head { status, headers }, head_len)))
}

/// Why there is no WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URI is not one, or its scheme is neither `ws` nor `wss`.
    BadUri(String),
    /// There is no connection, or no answer.
    Client(ClientError),
    /// The server answered with this status instead.
    Refused(StatusCode),
    /// The server's answer is wrong: how.
    BadAnswer(&'static str),
    /// The connection broke.
    Io(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUri(uri) => write!(f, "{uri:?} is no absolute ws or wss URI"),
            Self::Client(error) => fmt::Display::fmt(error, f),
            Self::Refused(status) => write!(f, "the server answered with {status}"),
            Self::BadAnswer(why) => write!(f, "the answer is wrong: {why}"),
            Self::Io(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Client(error) => Some(error),
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
