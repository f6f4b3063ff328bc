//! A packet on its way out, encoded once for however many clients get it.

use std::cell::OnceCell;
use std::rc::Rc;

use bytes::Bytes;
use tungstenite::Utf8Bytes;

use crate::proto::engineio;

/// An encoded packet. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// With the digit of its kind: the same by polling and by WebSocket.
    Text(Utf8Bytes),
    Binary(Rc<Binary>),
}

#[derive(Debug)]
pub(crate) struct Binary {
    raw: Bytes,
    /// Made when the first client that polls needs it.
    base64: OnceCell<String>,
}

impl Frame {
    pub(crate) fn packet(text: &'static str) -> Self {
        Self::Text(Utf8Bytes::from_static(text))
    }

    /// A text that begins with the digit already.
    pub(crate) fn encoded(text: String) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn text(message: &str) -> Self {
        let mut text = String::with_capacity(message.len() + 1);
        text.push('4');
        text.push_str(message);
        Self::encoded(text)
    }

    pub(crate) fn binary(raw: Bytes) -> Self {
        Self::Binary(Rc::new(Binary { raw, base64: OnceCell::new() }))
    }

    /// Bytes it holds, for the limit of what may wait.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(binary) => binary.raw.len(),
        }
    }

    /// Appends it to a payload of polling.
    pub(crate) fn push_polled(&self, payload: &mut String) {
        payload.push_str(match self {
            Self::Text(text) => text.as_str(),
            Self::Binary(binary) => binary.base64.get_or_init(|| engineio::encode_binary(&binary.raw)),
        });
    }

    pub(crate) fn into_websocket(self) -> tungstenite::Message {
        match self {
            Self::Text(text) => tungstenite::Message::Text(text),
            Self::Binary(binary) => tungstenite::Message::Binary(binary.raw.clone()),
        }
    }
}
