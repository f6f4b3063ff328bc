//! The server and the client of the example `ws_echo`: both send back what they get.

use phaseloop_server::client::Client;
use phaseloop_server::http::{Body, Handler, Request, Server};
use phaseloop_server::ws::{
    Acceptor, ConnectError, Connector, DeflateContext, DeflateOptions, Message, WebSocket, WsOptions,
};

/// Bytes of a message; test suites send some of 16 MiB.
const MESSAGE_LEN_MAX: usize = 16 * 1024 * 1024;

/// A server that sends back every message, compressed where the client wants it, with references to what `context` says.
pub fn server(context: DeflateContext) -> Server<impl Handler> {
    let acceptor = Acceptor::new(options()).deflate(deflating(context));
    Server::new(move |request: Request<Body>| {
        let response = acceptor.answer(request, echo);
        async { response }
    })
}

/// Sends back what comes until the connection is closed.
async fn echo(mut socket: WebSocket) {
    while let Some(message) = socket.next().await {
        if socket.send(message).await.is_err() {
            break; // it is being closed
        }
    }
}

fn options() -> WsOptions {
    let mut options = WsOptions::default();
    (options.message_len_max, options.frame_len_max) = (MESSAGE_LEN_MAX, MESSAGE_LEN_MAX);
    options
}

/// Test suites want every message compressed, the smallest too.
fn deflating(context: DeflateContext) -> DeflateOptions {
    let mut deflating = DeflateOptions::default();
    (deflating.len_min, deflating.context) = (0, context);
    deflating
}

/// Has a server of the Autobahn kind run its cases against our client: it says how many there are, and plays each on a
/// connection of its own. Gives how many there were.
///
/// # Errors
/// The server could not be reached.
pub async fn be_tested(client: &Client, server: &str, context: DeflateContext) -> Result<u32, ConnectError> {
    let connector = Connector::new(client, options()).deflate(deflating(context));
    let mut counting = connector.connect(&format!("{server}/getCaseCount")).await?;
    let count =
        counting.next().await.as_ref().and_then(Message::as_text).and_then(|count| count.parse().ok());
    let count = count.unwrap_or(0);
    for case in 1..=count {
        let uri = format!("{server}/runCase?case={case}&agent=phaseloop");
        echo(connector.connect(&uri).await?).await;
    }
    let socket = connector.connect(&format!("{server}/updateReports?agent=phaseloop")).await?;
    socket.closed().await;
    Ok(count)
}
