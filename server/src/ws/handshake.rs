//! The opening of RFC 6455, section 4: headers in, headers out.

use http::header::{CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName};
use sha1::{Digest, Sha1};

/// What a server appends to a client's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The answer to a key.
pub(crate) fn accept(key: &[u8]) -> String {
    base64(&Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// A key that nobody used before.
pub(crate) fn key() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    base64(&bytes)
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * at)) as usize & 63];
            text.push(if at > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

/// True if a key has the form that is asked for: sixteen bytes in base64.
pub(crate) fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_last_chunk::<2>().map(|(digits, end)| (digits, &end[..])) else {
        return false;
    };
    digits.len() == 22 && digits.iter().all(|digit| BASE64.contains(digit))
}

/// True if the list in these headers has `token`.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    list(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// The entries of a list, from as many headers as it has.
pub(crate) fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|entry| !entry.is_empty())
}

/// True if a request, or an answer, wants to change to WebSocket in the manner of HTTP/1.1.
pub(crate) fn switches(headers: &HeaderMap) -> bool {
    has_token(headers, &CONNECTION, "upgrade") && has_token(headers, &UPGRADE, "websocket")
}

/// The first protocol of the client's list that the server speaks, too.
pub(crate) fn choose_protocol<'a>(headers: &HeaderMap, spoken: &'a [Box<str>]) -> Option<&'a str> {
    list(headers, &SEC_WEBSOCKET_PROTOCOL)
        .find_map(|offered| spoken.iter().find(|protocol| ***protocol == *offered))
        .map(|protocol| &**protocol)
}

#[cfg(test)]
mod tests {
    use super::{accept, base64, is_key, key};

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // section 1.3
    }

    #[test]
    fn keys_have_the_form_that_is_asked_for() {
        assert!(is_key(key().as_bytes()));
        for wrong in
            ["", "==", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25j!Q==", "dGhlIHNhbXBsZSBub25jZQAA=="]
        {
            assert!(!is_key(wrong.as_bytes()), "{wrong:?}");
        }
    }

    #[test]
    fn base64_is_padded() {
        assert_eq!(
            [&b""[..], b"f", b"fo", b"foo", b"foob"].map(base64),
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]
        );
    }
}
