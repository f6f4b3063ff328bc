//! What must be true of the parsers, whatever the bytes are: one function a parser. Called by `tests/fuzz` and by the tests that
//! replay its seeds. They panic where it is not true.

mod http;
mod socketio;
mod websocket;

pub use http::{cookies, event_stream, http2_frames, paths, preface, ranges};
pub use socketio::{engineio, socketio};
pub use websocket::{deflate, websocket};

/// The text in `data`, if it is one.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}
