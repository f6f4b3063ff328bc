//! Protocol rules without sockets, clocks or tasks: bytes and an instant in, verdicts out.

pub(crate) mod http2_frames;
pub(crate) mod preface;
#[cfg(feature = "ws")]
pub(crate) mod websocket;
