//! Telling HTTP/2 from HTTP/1.1 by the first bytes of a connection.

/// What a client of HTTP/2 sends first. RFC 9113, section 3.4.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guess {
    Http1,
    Http2,
    /// Neither: the third word of the line names no version of HTTP.
    Neither,
    /// They begin like HTTP/2's preface; more are needed.
    Unclear,
}

/// Looks at the bytes received so far.
pub(crate) fn guess(received: &[u8]) -> Guess {
    let len = received.len().min(PREFACE.len());
    match received[..len] == PREFACE[..len] {
        false if names_another_protocol(received) => Guess::Neither,
        false => Guess::Http1,
        true if len == PREFACE.len() => Guess::Http2,
        true => Guess::Unclear,
    }
}

/// Whether a first line can be no request of HTTP/1, as far as it is there: METHOD TARGET HTTP/1.1.
fn names_another_protocol(received: &[u8]) -> bool {
    let line = received.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.splitn(3, |byte| *byte == b' ').skip(1);
    let target = words.next().unwrap_or_default();
    let version = words.next().unwrap_or_default();
    // Two spaces in a row are a bad request, and have an answer.
    !target.is_empty() && version.iter().zip(b"HTTP/").any(|(is, wanted)| is != wanted)
}

#[cfg(test)]
mod tests {
    use super::{Guess, PREFACE, guess};

    #[test]
    fn each_beginning_of_the_preface_is_unclear() {
        assert!((0..PREFACE.len()).all(|len| guess(&PREFACE[..len]) == Guess::Unclear));
        assert_eq!(guess(PREFACE), Guess::Http2);
        assert_eq!(guess(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand frames"), Guess::Http2);
    }

    #[test]
    fn anything_else_is_http1() {
        assert_eq!(guess(b"G"), Guess::Http1);
        assert_eq!(guess(b"PRI * HTTP/1.1\r\n"), Guess::Http1);
        assert_eq!(guess(b"\r\nGET / HTTP/1.1\r\n"), Guess::Http1);
        assert_eq!(guess(b"GET /\r\n"), Guess::Http1, "it may be answered");
        assert_eq!(guess(b"GET / HT"), Guess::Http1);
        assert_eq!(guess(b"GET  / HTTP/1.1"), Guess::Http1, "it is answered with 400");
    }

    #[test]
    fn a_line_without_a_version_of_http_is_neither() {
        assert_eq!(guess(b"INVALID CONNECTION PREFACE\r\n\r\n"), Guess::Neither);
        assert_eq!(guess(b"MAIL FROM: somebody"), Guess::Neither);
        assert_eq!(guess(b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"), Guess::Http1, "its version is one of HTTP");
    }
}
