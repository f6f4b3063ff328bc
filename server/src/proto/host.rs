//! What may stand in a `Host`: `uri-host [ ":" port ]`. RFC 9110, section 7.2, and RFC 3986, section 3.2.

use std::net::Ipv6Addr;

/// Whether a `Host` is valid. An empty one is: it stands for a target that has none.
pub(crate) fn is_host(value: &[u8]) -> bool {
    if let Some(literal) = value.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|byte| *byte == b']') else { return false };
        return is_ip_literal(&literal[..end]) && is_port(&literal[end + 1..]);
    }
    let mut rest = value;
    loop {
        let len = rest.iter().position(|byte| !IN_NAME[usize::from(*byte)]).unwrap_or(rest.len());
        match &rest[len..] {
            [b'%', high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = behind;
            }
            port => return is_port(port),
        }
    }
}

/// What may follow the host: nothing, or a colon and any number of digits.
fn is_port(bytes: &[u8]) -> bool {
    match bytes {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_ip_literal(literal: &[u8]) -> bool {
    match literal {
        // IPvFuture: a version, a point and anything.
        [b'v' | b'V', rest @ ..] => {
            let version_len = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let (version, rest) = rest.split_at(version_len);
            let is_allowed = |byte: &u8| *byte == b':' || IN_NAME[usize::from(*byte)];
            !version.is_empty()
                && matches!(rest, [b'.', address @ ..] if !address.is_empty() && address.iter().all(is_allowed))
        }
        _ => str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()),
    }
}

/// The bytes of a registered name: `unreserved` and `sub-delims`. An address of IPv4 is made of them as well.
const IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn names_and_addresses_with_and_without_a_port_are_hosts() {
        let good = [
            "",
            "x",
            "example.com",
            "example.com:8080",
            "under_score.example",
            "127.0.0.1:80",
            "x:",
            "b%C3%BCcher.example",
            "[::1]",
            "[::1]:8080",
            "[::ffff:1.2.3.4]",
            "[v1.fe80::a+en1]",
            "xn--bcher-kva.example.",
        ];
        good.iter().for_each(|host| assert!(is_host(host.as_bytes()), "{host:?}"));
    }

    #[test]
    fn anything_else_is_none() {
        let bad = [
            "a b",
            "a, b",
            "a/b",
            "http://a",
            "user@a",
            "a?b",
            "a#b",
            "a\\b",
            "a:b",
            "a:80:80",
            "a:-1",
            "a%",
            "a%4",
            "a%zz",
            "a\"b",
            "<a>",
            "[::1",
            "::1",
            "[::1]x",
            "[1.2.3.4]",
            "[]",
            "[v.a]",
            "[v1.]",
            "[::1%eth0]",
            "bücher.example",
            "a\tb",
        ];
        bad.iter().for_each(|host| assert!(!is_host(host.as_bytes()), "{host:?}"));
    }
}
