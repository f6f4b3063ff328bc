//! What can be a name, and how one is written for the resolver.

use std::borrow::Cow;

/// The longest name, in bytes without the dot at its end. Source: RFC 1035, section 2.3.4.
const NAME_LEN_MAX: usize = 253;
/// The longest part between two dots, in bytes. Source: RFC 1035, section 2.3.4.
const LABEL_LEN_MAX: usize = 63;

/// A name as the resolver takes it, or the rule that it breaks.
///
/// Less is checked than a host name has to fulfil, since files of hosts and private servers know others, with underscores
/// for one. What is refused here would be cut short or sent in vain.
pub(super) fn for_resolver(name: &str) -> Result<Cow<'_, str>, &'static str> {
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.contains('\0') {
        return Err("the name holds a zero byte, at which the system would cut it");
    }
    if name.chars().any(|it| it.is_control() || it.is_whitespace()) {
        return Err("the name holds a space or a control character");
    }
    let ascii = if name.is_ascii() { Cow::Borrowed(name) } else { Cow::Owned(to_ascii(name)?) };
    let labels = ascii.strip_suffix('.').unwrap_or(&ascii);
    if labels.len() > NAME_LEN_MAX {
        return Err("the name is longer than 253 bytes");
    }
    for label in labels.split('.') {
        if label.is_empty() {
            return Err("the name has an empty part between its dots");
        }
        if label.len() > LABEL_LEN_MAX {
            return Err("a part of the name is longer than 63 bytes");
        }
    }
    Ok(ascii)
}

/// Writes an international name as one of ASCII. Source: UTS 46, as browsers and Node do it.
#[cfg(feature = "idna")]
fn to_ascii(name: &str) -> Result<String, &'static str> {
    // A long name is refused before work is put into it: in ASCII it is longer still.
    if name.len() > 4 * NAME_LEN_MAX {
        return Err("the name is longer than 253 bytes");
    }
    idna::domain_to_ascii(name).map_err(|_| "the name is no valid international name (UTS 46)")
}

#[cfg(not(feature = "idna"))]
fn to_ascii(_: &str) -> Result<String, &'static str> {
    Err("the name is not ASCII: write it in punycode (xn--...), or turn the feature `idna` on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_a_name_is_left_as_it_is() {
        let longest_label = "x".repeat(63);
        let longest = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(61)].join(".");
        assert_eq!(longest.len(), 253);
        let dotted = format!("{longest}.");
        for name in [
            "a",
            "localhost",
            "example.com.",
            "_sip._tcp.x",
            "127.1",
            "fe80::1%lo",
            &longest_label,
            &longest,
            &dotted,
        ] {
            assert_eq!(for_resolver(name).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_can_not_be_a_name_is_refused_with_the_rule() {
        let too_long = "x.".repeat(127);
        let long_label = "x".repeat(64);
        for (name, rule) in [
            ("", "is empty"),
            ("a\0b", "zero byte"),
            ("a b", "space"),
            ("a\nb", "control"),
            ("a..b", "empty part"),
            (".", "empty part"),
            (".a", "empty part"),
            (&long_label, "63 bytes"),
            (&format!("{too_long}x"), "253 bytes"),
        ] {
            let error = for_resolver(name).expect_err("it is no name");
            assert!(error.contains(rule), "{name:?}: {error}");
        }
    }

    #[cfg(feature = "idna")]
    #[test]
    fn an_international_name_is_written_in_punycode() {
        assert_eq!(for_resolver("münchen.example").as_deref(), Ok("xn--mnchen-3ya.example"));
        assert_eq!(for_resolver("MÜNCHEN.example").as_deref(), Ok("xn--mnchen-3ya.example"));
        assert_eq!(for_resolver("faß.de").as_deref(), Ok("xn--fa-hia.de"));
        assert!(for_resolver("xn--\u{fe}").is_err());
        assert!(for_resolver(&"ü".repeat(100_000)).is_err());
    }

    #[cfg(not(feature = "idna"))]
    #[test]
    fn an_international_name_is_refused_with_what_to_do() {
        assert!(for_resolver("münchen.example").expect_err("it is not ASCII").contains("punycode"));
    }
}
