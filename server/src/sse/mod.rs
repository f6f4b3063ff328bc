//! Server-sent events: an answer that goes on, one event after the other, which a browser's `EventSource` reads and, when it
//! breaks off, asks for again.
//!
//! [`Channel`] tells many clients the same, encodes it once, and tells a client that comes back what it missed. [`stream`] is an
//! answer for one client. [`Event`] is what is told.

mod channel;
mod event;
mod stream;

pub use channel::{Channel, ChannelOptions, WhenSlow};
pub use event::Event;
pub use stream::{EventSender, last_event_id, stream};
