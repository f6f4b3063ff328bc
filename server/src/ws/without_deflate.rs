//! Without the feature `ws-deflate`: offers of compression are not taken up.

use std::fmt;

use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use super::opening::{Shared, Terms};
use crate::proto::websocket::deflate::Deflater;
use crate::proto::websocket::reader::Reader;

/// How messages are compressed: not at all.
#[derive(Clone, Default)]
pub(crate) struct Packing {}

/// What was agreed upon: there is no such value.
pub(crate) enum Agreed {}

impl fmt::Display for Agreed {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

pub(crate) fn agree(_: &Shared, _: &HeaderMap) -> Option<Agreed> {
    None
}

/// What a client offers.
pub(crate) fn offer(_: &Shared) -> Option<String> {
    None
}

/// What a server's answer agreed to.
pub(crate) fn agreed(_: &Shared, headers: &HeaderMap) -> Result<Option<Agreed>, &'static str> {
    match headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
        true => Err("it chose an extension that was not offered"),
        false => Ok(None),
    }
}

pub(crate) fn equip(_: &Packing, reader: Reader, terms: &Terms) -> (Reader, Option<Box<Deflater>>) {
    match &terms.agreed {
        Some(agreed) => match *agreed {},
        None => (reader, None),
    }
}
