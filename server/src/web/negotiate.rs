//! What a client takes: RFC 9110, section 12.4.2. Pure.

use crate::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The fields of `Accept-Encoding`.
pub(crate) fn accepted(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok())
}

/// The weight of a content coding in `Accept-Encoding`, in thousandths; 0 for one that is not taken. Several fields are one list:
/// RFC 9110, section 5.3.
pub(crate) fn quality<'a>(accepted: impl IntoIterator<Item = &'a str>, coding: &str) -> u16 {
    let mut any = 0;
    for entry in accepted.into_iter().flat_map(|field| field.split(',')) {
        let (name, weight) = entry.split_once(';').unwrap_or((entry, ""));
        let weight = weight.trim();
        let weight = match weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q=")) {
            Some(weight) => thousandths(weight.trim()),
            None => 1000,
        };
        let name = name.trim();
        if name.eq_ignore_ascii_case(coding) {
            return weight;
        }
        if name == "*" {
            any = weight;
        }
    }
    any
}

/// The fields of this name as one.
pub(crate) fn joined(headers: &HeaderMap, name: HeaderName) -> Option<HeaderValue> {
    let mut fields = headers.get_all(name).iter();
    let first = fields.next()?.clone();
    let mut all = first.as_bytes().to_vec();
    fields.for_each(|field| all.extend([b", ", field.as_bytes()].concat()));
    // What stands in several fields may stand in one.
    Some(if all.len() == first.len() { first } else { HeaderValue::from_bytes(&all).unwrap_or(first) })
}

/// A weight from 0 to 1 with up to three digits; 0 for what is none.
fn thousandths(weight: &str) -> u16 {
    match weight.parse::<f32>() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => (weight * 1000.0).round() as u16,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::quality;

    #[test]
    fn weights_are_read() {
        for (accepted, gzip, br) in [
            ("", 0, 0),
            ("gzip", 1000, 0),
            ("gzip;q=0.5, br ; q=1.0", 500, 1000),
            ("GZIP, *;q=0", 1000, 0),
            ("*", 1000, 1000),
            ("gzip;q=0, *", 0, 1000),
            ("gzip;q=nan, br;q=-1", 0, 0),
            ("gzip;q=7", 0, 0),
        ] {
            let quality = |coding| quality([accepted], coding);
            assert_eq!((quality("gzip"), quality("br")), (gzip, br), "{accepted}");
        }
        assert_eq!(["br", "gzip"].map(|coding| quality(["gzip;q=0", "*;q=0.1"], coding)), [100, 0]);
    }
}
