//! Finding out to which worker a client belongs, from the first bytes it sends. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::dispatch::Wish;

/// Bytes of the first line that are looked at. Longer ones say nothing.
pub(super) const FIRST_LINE_MAX: usize = 8 * 1024;

/// Between a worker's number and the rest of a session's.
pub(super) const MARK: char = '~';

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FirstBytes {
    /// Not enough of them are there.
    Unclear,
    Says(Wish),
}

/// Looks at the first bytes of a connection.
pub(super) fn look(bytes: &[u8]) -> FirstBytes {
    // Encrypted, or something else that is no HTTP: a method is of upper case letters.
    if !bytes.iter().take(3).all(u8::is_ascii_uppercase) || bytes.len() > FIRST_LINE_MAX {
        return FirstBytes::Says(Wish::Anyone);
    }
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return FirstBytes::Unclear };
    let target = bytes[..end].split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let worker = session_of(target).and_then(worker_of);
    FirstBytes::Says(worker.map_or(Wish::Anyone, Wish::Worker))
}

/// Always the same wish for the same address.
pub(super) fn by_address(address: IpAddr) -> Wish {
    // The keys of this hasher are constants. A client that knows them chooses a worker, which it may.
    let mut hasher = DefaultHasher::new();
    address.to_canonical().hash(&mut hasher);
    Wish::Hash(hasher.finish())
}

/// The value of `sid` in a target's query.
fn session_of(target: &[u8]) -> Option<&[u8]> {
    let query = target.split(|byte| *byte == b'?').nth(1)?;
    query.split(|byte| *byte == b'&').find_map(|pair| pair.strip_prefix(b"sid="))
}

/// The worker's number at the start of a session's.
fn worker_of(session: &[u8]) -> Option<u32> {
    let session = std::str::from_utf8(session).ok()?.replace("%7E", "~").replace("%7e", "~");
    session.split_once(MARK)?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANYONE: FirstBytes = FirstBytes::Says(Wish::Anyone);

    #[test]
    fn a_session_names_its_worker() {
        let worker = FirstBytes::Says(Wish::Worker(12));
        for target in ["/socket.io/?EIO=4&transport=polling&sid=12~abc", "/?sid=12~", "/x?sid=12%7Eabc&t=1"] {
            assert_eq!(look(format!("POST {target} HTTP/1.1\r\n").as_bytes()), worker, "{target}");
        }
    }

    #[test]
    fn what_names_no_worker_is_for_anyone() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "GET /?sid=abc HTTP/1.1\r\n",
            "GET /?sid=x~abc HTTP/1.1\r\n",
            "GET /?sid=99999999999~abc HTTP/1.1\r\n",
            "GET /?sid=-1~abc HTTP/1.1\r\n",
            "GET /sid=1~a HTTP/1.1\r\n",
            "GET /?asid=1~a HTTP/1.1\r\n",
            "GET\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "\x16\x03\x01",
            "get /?sid=1~a",
            "GET /?sid=\u{ff}~ HTTP/1.1\r\n",
        ] {
            assert_eq!(look(line.as_bytes()), ANYONE, "{line:?}");
        }
    }

    #[test]
    fn half_a_line_is_unclear_and_a_long_one_is_for_anyone() {
        assert_eq!(look(b""), FirstBytes::Unclear);
        let line = b"GET /?sid=3~a HTTP/1.1\r\n";
        for len in 0..line.len() {
            assert_eq!(look(&line[..len]), FirstBytes::Unclear, "{len} bytes");
        }
        assert_eq!(look(line), FirstBytes::Says(Wish::Worker(3)));
        let long = [b"GET /".as_slice(), &[b'a'; FIRST_LINE_MAX]].concat();
        assert_eq!(look(&long[..FIRST_LINE_MAX]), FirstBytes::Unclear);
        assert_eq!(look(&long), ANYONE);
    }

    #[test]
    fn an_address_always_has_the_same_wish() {
        let address = |text: &str| by_address(text.parse().unwrap());
        assert_eq!(address("10.0.0.1"), address("::ffff:10.0.0.1"));
        assert_ne!(address("10.0.0.1"), address("10.0.0.2"));
    }
}
