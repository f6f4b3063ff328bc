//! What a client takes: RFC 9110, section 12.4.2. Pure.

/// The weight of a content coding in an `Accept-Encoding` field, in thousandths; 0 for one that is not taken.
pub(crate) fn quality(accepted: &str, coding: &str) -> u16 {
    let mut any = 0;
    for entry in accepted.split(',') {
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
            assert_eq!((quality(accepted, "gzip"), quality(accepted, "br")), (gzip, br), "{accepted}");
        }
    }
}
