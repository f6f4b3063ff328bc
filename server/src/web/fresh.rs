//! Whether a client's copy is still good: RFC 9110, section 13. Pure.

use std::time::{Duration, SystemTime};

use crate::http::{HeaderMap, header};

/// Whether what the client has is what it would get: 304 for GET and HEAD.
///
/// `If-None-Match` decides where it is given, by weak comparison; `If-Modified-Since` else.
pub(super) fn is_fresh(asked: &HeaderMap, etag: Option<&str>, modified: Option<SystemTime>) -> bool {
    if asked.contains_key(header::IF_NONE_MATCH) {
        let fields = asked.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|field| field.to_str().ok());
        let mut tags = fields.flat_map(|field| field.split(',')).map(str::trim);
        return etag.is_some_and(|etag| tags.any(|tag| tag == "*" || opaque(tag) == opaque(etag)));
    }
    let since = asked.get(header::IF_MODIFIED_SINCE).and_then(|field| date(field.to_str().ok()?));
    matches!((modified, since), (Some(modified), Some(since)) if whole_seconds(modified) <= since)
}

/// Whether the client asks for another state than the one that is there: 412.
pub(super) fn was_changed(asked: &HeaderMap, etag: &str, modified: SystemTime) -> bool {
    if asked.contains_key(header::IF_MATCH) {
        let fields = asked.get_all(header::IF_MATCH).into_iter().filter_map(|field| field.to_str().ok());
        return !fields
            .flat_map(|field| field.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag == etag);
    }
    let since = asked.get(header::IF_UNMODIFIED_SINCE).and_then(|field| date(field.to_str().ok()?));
    since.is_some_and(|since| whole_seconds(modified) > since)
}

/// Whether a range is of what the client has: without `If-Range`, or with one that fits, by strong comparison.
pub(super) fn fits_range(asked: &HeaderMap, etag: &str, modified: SystemTime) -> bool {
    let Some(field) = asked.get(header::IF_RANGE) else { return true };
    let Ok(field) = field.to_str() else { return false };
    if field.contains('"') {
        return field == etag && !etag.starts_with("W/");
    }
    date(field).is_some_and(|date| date == whole_seconds(modified))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

pub(super) fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// HTTP's dates have no parts of a second.
fn whole_seconds(time: SystemTime) -> SystemTime {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs()),
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{fits_range, is_fresh};
    use crate::http::{HeaderMap, HeaderName, HeaderValue};

    const DAY: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn asked(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    fn day(millis: u64) -> SystemTime {
        httpdate::parse_http_date(DAY).unwrap() + Duration::from_millis(millis)
    }

    #[test]
    fn tags_are_compared_weakly_and_come_before_dates() {
        for (tags, fresh) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("", false),
        ] {
            let mut asked = asked("if-none-match", tags);
            asked.insert("if-modified-since", HeaderValue::from_static(DAY));
            assert_eq!(is_fresh(&asked, Some("\"a\""), Some(day(0))), fresh, "{tags}");
        }
    }

    #[test]
    fn dates_are_compared_by_seconds() {
        let asked = asked("if-modified-since", DAY);
        assert!(is_fresh(&asked, None, Some(day(900))));
        assert!(!is_fresh(&asked, None, Some(day(1000))));
        assert!(!is_fresh(&HeaderMap::new(), Some("\"a\""), Some(day(0))));
    }

    #[test]
    fn a_range_needs_the_very_same() {
        for (condition, fits) in
            [("\"a\"", true), ("W/\"a\"", false), ("\"b\"", false), (DAY, true), ("no date", false)]
        {
            assert_eq!(fits_range(&asked("if-range", condition), "\"a\"", day(5)), fits, "{condition}");
        }
        assert!(!fits_range(&asked("if-range", "W/\"a\""), "W/\"a\"", day(0)));
    }
}
