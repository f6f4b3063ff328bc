//! `phaseloop-server`: plain answers, WebSockets with a task each and with callbacks, event streams, and Socket.IO.

use std::net::TcpListener;

use phaseloop::RunMode;
use phaseloop_server::http::{Body, Handler, HeaderValue, Request, Response, Server, StatusCode, header};
use phaseloop_server::socketio::Io;
use phaseloop_server::sse::{Channel, ChannelOptions, Event};
use phaseloop_server::ws::{Acceptor, WsCallbacks, WsOptions};

/// Sends back what comes, with a task a connection.
pub(crate) fn ws_echo(listener: TcpListener, _buf_len: usize) -> ! {
    let acceptor = Acceptor::new(WsOptions::default());
    serve(listener, move |request: Request<Body>| {
        let response = acceptor.answer(request, async |mut socket| {
            while let Some(message) = socket.next().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        });
        async { response }
    })
}

/// Sends back what comes, by callbacks.
pub(crate) fn ws_echo_callbacks(listener: TcpListener, _buf_len: usize) -> ! {
    let acceptor = Acceptor::new(WsOptions::default());
    serve(listener, move |mut request: Request<Body>| {
        let accepted = acceptor.accept(&mut request);
        async {
            let (response, opening) = accepted?;
            phaseloop::spawn(async {
                let echo = WsCallbacks::new(|sender, message| {
                    // One message is in flight: a connection that is full, or closed, has nobody who waits for it.
                    let _ = sender.try_send(message);
                });
                // A client that is gone already is called nothing.
                let _ = Box::pin(opening.callbacks(echo)).await;
            })
            .detach();
            Ok::<_, phaseloop_server::ws::Refused>(response)
        }
    })
}

/// Tells each client one event, and then nothing.
pub(crate) fn event_streams(listener: TcpListener, _buf_len: usize) -> ! {
    let mut options = ChannelOptions::default();
    options.heartbeat = std::time::Duration::ZERO;
    let channel = Channel::new(options);
    channel.send(Event::new("0").id("0"));
    serve(listener, move |mut request: Request<Body>| {
        // Whoever comes is told the one event that is kept.
        request.headers_mut().insert("last-event-id", HeaderValue::from_static("none"));
        let response = channel.subscribe(&request);
        async { response }
    })
}

/// Answers every request in a few words.
pub(crate) fn plaintext(listener: TcpListener, _buf_len: usize) -> ! {
    serve(listener, async |_: Request<Body>| {
        let mut response = Response::new(Body::from("Hello, World!"));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response.headers_mut().insert(header::SERVER, HeaderValue::from_static("bench"));
        response
    })
}

/// Has an event from one client be an event to all.
pub(crate) fn socketio(listener: TcpListener, _buf_len: usize) -> ! {
    let io = Io::new();
    let all = io.clone();
    io.on_connection(move |socket| {
        let all = all.clone();
        socket.on("go", move |_| all.emit("news", "x".repeat(64)));
    });
    serve(listener, io.beside(async |_: Request<Body>| StatusCode::NOT_FOUND))
}

fn serve(listener: TcpListener, handler: impl Handler) -> ! {
    let lp = super::phaseloop::new_loop();
    let listener =
        phaseloop::net::TcpListener::from_std(&lp, listener).expect("phaseloop takes the listener");
    let mut limits = phaseloop_server::http::Limits::default();
    (limits.connections_max, limits.connections_per_address_max) = (100_000, 100_000);
    let _serving = Server::new(handler).limits(limits).serve(listener);
    lp.run(RunMode::Default).expect("the driver waits");
    unreachable!("the listener keeps the loop alive")
}
