//! JSON as JavaScript writes it.

/// `json` with U+FFFD for each half of a surrogate pair; `None` if there is none.
///
/// Text that was cut in the middle of a character has one, and `JSON.stringify` writes it as an escape. JavaScript reads it
/// back; serde_json refuses it, since no Rust string can hold it. For what could not be read as it is.
pub(crate) fn without_half_pairs(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended = json.to_vec();
    let (mut at, mut found) = (0, false);
    while let Some(next) = json.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += next;
        at += match (unit(json, at), unit(json, at + ESCAPE_LEN)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 2 * ESCAPE_LEN,
            (Some(0xd800..=0xdfff), _) => {
                mended[at..at + ESCAPE_LEN].copy_from_slice(br"\ufffd");
                found = true;
                ESCAPE_LEN
            }
            _ => 2,
        };
    }
    found.then_some(mended)
}

/// The UTF-16 unit that is escaped at a place.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + ESCAPE_LEN)?.strip_prefix(br"\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u16::from_str_radix(digits, 16).ok()
}

const ESCAPE_LEN: usize = br"\uXXXX".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_are_replaced_and_nothing_else() {
        let cases = [
            (r#""\ud83d""#, Some(r#""\ufffd""#)),
            (r#""\uDE00\ud83d\ude00\uD83D""#, Some(r#""\ufffd\ud83d\ude00\ufffd""#)),
            (r#""\ud83d\ud83d\ude00""#, Some(r#""\ufffd\ud83d\ude00""#)),
            (r#""\\ud83d\\\ud83d""#, Some(r#""\\ud83d\\\ufffd""#)),
            (r#""\ud83d\ude00\n\u00e4\\ud83d""#, None),
            (r#""\ud83"#, None),
            (r#""\u+d83d"#, None),
            ("\\", None),
            ("", None),
        ];
        for (json, mended) in cases {
            let found = without_half_pairs(json.as_bytes()).map(|found| String::from_utf8(found).unwrap());
            assert_eq!(found.as_deref(), mended, "{json}");
        }
    }
}
