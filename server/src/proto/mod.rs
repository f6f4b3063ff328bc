//! Protocol rules without sockets, clocks or tasks: bytes and an instant in, verdicts out.

#[cfg(feature = "socketio")]
pub(crate) mod engineio;
pub(crate) mod host;
pub(crate) mod http2_frames;
#[cfg(any(feature = "socketio", feature = "web"))]
pub(crate) mod json;
pub(crate) mod preface;
#[cfg(feature = "socketio")]
pub(crate) mod socketio;
#[cfg(feature = "ws")]
pub(crate) mod websocket;
