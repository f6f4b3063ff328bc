//! A packet on its way out: encoded once, with its attachments behind it.

use bytes::Bytes;
use serde_json::Value;

use super::args::Args;
use crate::engineio::{Frame, Session};
use crate::proto::socketio::{Kind, Packet, RESERVED_EVENTS, encode};

/// Panics if an event may not have this name: clients take it for no packet, and leave.
#[track_caller]
pub(crate) fn check_event(name: &str) {
    assert!(
        !RESERVED_EVENTS.contains(&name),
        "{name:?} stands for something else in Socket.IO: name the event otherwise"
    );
}

/// An encoded packet. Cheap to clone but for its list.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    text: Frame,
    attachments: Vec<Frame>,
}

impl Outgoing {
    pub(crate) fn new(kind: Kind, namespace: &str, data: Option<Value>) -> Self {
        let packet = Packet { kind, namespace: namespace.to_owned(), id: None, data, attachments: 0 };
        Self { text: Frame::encoded(encode(&packet)), attachments: Vec::new() }
    }

    pub(crate) fn event(namespace: &str, name: &str, args: Args, id: Option<u64>) -> Self {
        let (mut values, attachments) = args.into_parts();
        values.insert(0, name.into());
        Self::with_values(Kind::Event, namespace, id, values, attachments)
    }

    pub(crate) fn ack(namespace: &str, id: u64, args: Args) -> Self {
        let (values, attachments) = args.into_parts();
        Self::with_values(Kind::Ack, namespace, Some(id), values, attachments)
    }

    fn with_values(
        kind: Kind,
        namespace: &str,
        id: Option<u64>,
        values: Vec<Value>,
        attachments: Vec<Bytes>,
    ) -> Self {
        let namespace = namespace.to_owned();
        let packet =
            Packet { kind, namespace, id, data: Some(values.into()), attachments: attachments.len() };
        let attachments = attachments.into_iter().map(Frame::binary).collect();
        Self { text: Frame::encoded(encode(&packet)), attachments }
    }

    /// Bytes it holds.
    pub(crate) fn len(&self) -> usize {
        self.text.len() + self.attachments.iter().map(Frame::len).sum::<usize>()
    }

    /// Hands it to a session. One that has ended, or is ended because it takes too little, gets nothing more: its sockets
    /// learn of that by their disconnection.
    pub(crate) fn send(&self, session: &Session, volatile: bool) {
        if volatile && !session.is_writable() {
            return;
        }
        let frames = std::iter::once(&self.text).chain(&self.attachments);
        let _ = frames.cloned().try_for_each(|frame| session.send(frame));
    }
}
