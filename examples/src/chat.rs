//! The handlers of the example `chat`: rooms of people who talk, over Socket.IO.

use std::rc::Rc;

use phaseloop_server::http::{Body, Handler, Request, Response, StatusCode, header};
use phaseloop_server::socketio::{Event, Io, Socket};

/// Characters of a name, a room and a text that are taken; the rest is cut off.
const NAME_LEN_MAX: usize = 40;
const TEXT_LEN_MAX: usize = 2000;

const PAGE: &str = include_str!("chat.html");

/// The page, and the chat behind it.
pub fn handler() -> impl Handler {
    let io = Io::new();
    set_up(&io);
    io.beside(async |request: Request<Body>| match request.uri().path() {
        "/" => Response::builder()
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .body(Body::from(PAGE)),
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(Body::from("not found\n")),
    })
}

fn set_up(io: &Io) {
    let io = Rc::new(io.clone());
    let whole = Rc::clone(&io);
    io.on_connection(move |socket| {
        let io = Rc::clone(&whole);
        socket.on("enter", move |event| enter(&io, &event));
        socket.on("say", say);
        let io = Rc::clone(&whole);
        socket.on_disconnect(move |socket, _| leave(&io, socket));
    });
}

/// `enter(name, room)`: the answer is who is there.
fn enter(io: &Io, event: &Event) {
    let socket = &event.socket;
    leave(io, socket);
    let (name, room) = (cut(event, 0, NAME_LEN_MAX), cut(event, 1, NAME_LEN_MAX));
    if name.is_empty() || room.is_empty() {
        return;
    }
    socket.set_data("name", name.as_str());
    socket.set_data("room", room.as_str());
    socket.join(&prefixed(&room));
    socket.to(prefixed(&room)).emit("entered", name);
    event.ack(names(io, &room));
}

/// `say(text)`: to all in the room, with the name of who says it.
fn say(event: Event) {
    let (Some(name), Some(room)) = (noted(&event.socket, "name"), noted(&event.socket, "room")) else {
        return;
    };
    let text = cut(&event, 0, TEXT_LEN_MAX);
    event.socket.to(prefixed(&room)).emit("said", (name, text.as_str()));
    event.ack(text);
}

fn leave(io: &Io, socket: &Socket) {
    let (Some(name), Some(room)) = (noted(socket, "name"), noted(socket, "room")) else { return };
    socket.leave(&prefixed(&room));
    io.to(prefixed(&room)).emit("left", name);
}

fn names(io: &Io, room: &str) -> serde_json::Value {
    io.in_(prefixed(room)).sockets().iter().filter_map(|socket| socket.data("name")).collect()
}

/// Ids are rooms too: nobody may name one and listen in.
fn prefixed(room: &str) -> String {
    format!("room {room}")
}

fn noted(socket: &Socket, key: &str) -> Option<String> {
    socket.data(key)?.as_str().map(str::to_owned)
}

/// An argument as text, cut; what is no text is none.
fn cut(event: &Event, number: usize, len_max: usize) -> String {
    let text: String = event.args.get(number).unwrap_or_default();
    text.trim().chars().take(len_max).collect()
}
