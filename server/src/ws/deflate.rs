//! Agreeing on permessage-deflate: RFC 7692, section 7.1.

use std::fmt;

use flate2::{Compress, Decompress};
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use super::handshake;
use super::opening::{Shared, Terms};
use crate::proto::websocket::Role;
use crate::proto::websocket::deflate::{
    Deflater, Inflater, Packer, Spares, WINDOW_BITS_MAX, WINDOW_BITS_MIN,
};
use crate::proto::websocket::reader::Reader;

/// How messages are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateOptions {
    /// How hard to try, 1 to 9; 3.
    pub level: u32,
    /// Shorter messages, in bytes, leave as they are; 256. So does what would not become shorter, but with zero, which packs every
    /// message: some peers expect nothing else.
    pub len_min: usize,
    /// What messages may refer to.
    pub context: DeflateContext,
}

/// What a compressed message may refer to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeflateContext {
    /// Nothing but itself. Connections borrow what packs: an idle one owns nothing.
    #[default]
    Message,
    /// Earlier messages of the connection, if the peer wants it, too: similar messages become smaller. A connection on which
    /// something was compressed owns about 300 KiB.
    Connection,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self { level: 3, len_min: 256, context: DeflateContext::default() }
    }
}

/// How connections compress, and what they borrow for it.
#[derive(Clone, Default)]
pub(crate) struct Packing {
    options: Option<DeflateOptions>,
    packers: Spares<Compress>,
    unpackers: Spares<Decompress>,
}

impl Packing {
    pub(crate) fn new(options: DeflateOptions) -> Self {
        Self { options: Some(options), ..Self::default() }
    }
}

/// What was agreed upon. Shown as the header of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// Of what the server sends.
    server_keeps: bool,
    server_bits: u8,
    /// Of what the client sends.
    client_keeps: bool,
    client_bits: u8,
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if !self.server_keeps {
            f.write_str("; server_no_context_takeover")?;
        }
        if !self.client_keeps {
            f.write_str("; client_no_context_takeover")?;
        }
        if self.server_bits < WINDOW_BITS_MAX {
            write!(f, "; server_max_window_bits={}", self.server_bits)?;
        }
        Ok(())
    }
}

const NAME: &str = "permessage-deflate";

/// The first offer of a client that can be taken up.
pub(crate) fn agree(shared: &Shared, headers: &HeaderMap) -> Option<Agreed> {
    let options = shared.packing.options.as_ref()?;
    let may_keep = options.context == DeflateContext::Connection;
    handshake::list(headers, &SEC_WEBSOCKET_EXTENSIONS).find_map(|offer| {
        let offered = Parameters::parse(offer)?;
        let server_bits = offered.server_bits.unwrap_or(WINDOW_BITS_MAX);
        (server_bits >= WINDOW_BITS_MIN).then_some(Agreed {
            server_keeps: may_keep && !offered.server_forgets,
            server_bits,
            client_keeps: may_keep && !offered.client_forgets,
            // Whatever the client's window is, ours takes it.
            client_bits: WINDOW_BITS_MAX,
        })
    })
}

/// What a client offers.
pub(crate) fn offer(shared: &Shared) -> Option<String> {
    let options = shared.packing.options.as_ref()?;
    let forgets = match options.context {
        DeflateContext::Message => "; server_no_context_takeover; client_no_context_takeover",
        DeflateContext::Connection => "",
    };
    Some(format!("{NAME}; client_max_window_bits{forgets}"))
}

/// What a server's answer agreed to.
pub(crate) fn agreed(shared: &Shared, headers: &HeaderMap) -> Result<Option<Agreed>, &'static str> {
    let mut list = handshake::list(headers, &SEC_WEBSOCKET_EXTENSIONS);
    let Some(answer) = list.next() else { return Ok(None) };
    let not_offered = "it chose an extension that was not offered";
    let options = shared.packing.options.as_ref().ok_or(not_offered)?;
    let answered = Parameters::parse(answer).filter(|_| list.next().is_none()).ok_or(not_offered)?;
    Ok(Some(Agreed {
        server_keeps: !answered.server_forgets,
        server_bits: answered.server_bits.unwrap_or(WINDOW_BITS_MAX),
        client_keeps: !answered.client_forgets && options.context == DeflateContext::Connection,
        client_bits: answered.client_bits.unwrap_or(WINDOW_BITS_MAX),
    }))
}

/// The parameters of one offer, or of one answer.
#[derive(Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_forgets: bool,
    client_forgets: bool,
    server_bits: Option<u8>,
    client_bits: Option<u8>,
}

impl Parameters {
    /// `None` for another extension, and for parameters that are unknown, doubled or out of range: section 7.1.
    fn parse(extension: &str) -> Option<Self> {
        let mut parts = extension.split(';').map(str::trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let (mut found, mut seen) = (Self::default(), Vec::new());
        for part in parts {
            let (name, value) =
                part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
            let (name, value) = (name.trim_end(), value.map(|value| value.trim().trim_matches('"')));
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
            let bits = || value?.parse().ok().filter(|bits| (8..=15).contains(bits));
            match (name, value) {
                ("server_no_context_takeover", None) => found.server_forgets = true,
                ("client_no_context_takeover", None) => found.client_forgets = true,
                ("server_max_window_bits", Some(_)) => found.server_bits = Some(bits()?),
                ("client_max_window_bits", None) => {}
                ("client_max_window_bits", Some(_)) => found.client_bits = Some(bits()?),
                _ => return None,
            }
        }
        Some(found)
    }
}

/// Has a connection pack and unpack as was agreed.
pub(crate) fn equip(packing: &Packing, reader: Reader, terms: &Terms) -> (Reader, Option<Box<Deflater>>) {
    let (Some(agreed), Some(options)) = (terms.agreed, &packing.options) else { return (reader, None) };
    let (own_keeps, own_bits, peer_keeps) = match terms.role {
        Role::Server => (agreed.server_keeps, agreed.server_bits, agreed.client_keeps),
        Role::Client => (agreed.client_keeps, agreed.client_bits, agreed.server_keeps),
    };
    let reader = reader.inflating(Inflater::new((!peer_keeps).then(|| packing.unpackers.clone())));
    if own_bits < WINDOW_BITS_MIN {
        return (reader, None); // what leaves unpacked is right with every window
    }
    let packer = Packer { level: options.level.clamp(1, 9), len_min: options.len_min, window_bits: own_bits };
    // Spares have the largest window.
    let spares = match own_bits {
        _ if own_keeps => None,
        WINDOW_BITS_MAX => Some(packing.packers.clone()),
        _ => Some(Spares::default()),
    };
    (reader, Some(Box::new(Deflater::new(packer, spares))))
}

#[cfg(test)]
mod tests {
    use super::Parameters;

    #[test]
    fn parameters_are_taken_or_the_offer_is_not() {
        let taken =
            Parameters::parse("permessage-deflate; client_max_window_bits ; server_max_window_bits=\"10\"");
        assert_eq!(taken, Some(Parameters { server_bits: Some(10), ..Parameters::default() }));
        for wrong in [
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08x",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; level=9",
        ] {
            assert_eq!(Parameters::parse(wrong), None, "{wrong}");
        }
    }
}
