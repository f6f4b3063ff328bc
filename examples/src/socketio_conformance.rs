//! What the example `socketio_conformance` serves: Engine.IO that echoes below `/engine.io/`, Socket.IO below `/socket.io/`.

use std::time::Duration;

use phaseloop_server::engineio::{self, Engine, Message};
use phaseloop_server::http::{Body, Handler, Request, Server};
use phaseloop_server::socketio::{self, Io, Socket};

/// The server, with the settings of the suites.
pub fn server() -> Server<impl Handler> {
    let (io, engine) = (io(), echo());
    Server::new(io.beside(async move |request: Request<Body>| engine.handle(request).await))
}

fn set_pace(options: &mut engineio::Options) {
    options.ping_interval = Duration::from_millis(300);
    options.ping_timeout = Duration::from_millis(200);
    options.max_payload = 1_000_000;
}

/// Engine.IO by itself: what comes goes back.
fn echo() -> Engine {
    let mut options = engineio::Options::default();
    set_pace(&mut options);
    Engine::new(options, |session, _request| {
        let back = session.clone();
        session.on_message(move |message| {
            // A client that has gone needs no answer.
            let _ = match message {
                Message::Text(text) => back.send_text(text),
                Message::Binary(bytes) => back.send_binary(bytes),
            };
        });
    })
}

/// Socket.IO, with the events that the suite knows.
fn io() -> Io {
    let mut options = socketio::Options::default();
    set_pace(&mut options.engine);
    let io = Io::with_options(options);
    io.on_connection(greet);
    io.of("/custom").on_connection(greet);
    io
}

fn greet(socket: &Socket) {
    socket.emit("auth", socket.handshake().auth.clone());
    socket.on("message", |event| event.socket.emit("message-back", event.args.clone()));
    socket.on("message-with-ack", |event| {
        event.ack(event.args.clone());
    });
}
