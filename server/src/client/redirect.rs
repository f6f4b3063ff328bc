//! Where a redirect leads.

use http::{HeaderMap, Method, StatusCode, Uri, header};

/// The request that follows a redirect.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) uri: Uri,
    pub(super) method: Method,
    pub(super) keeps_body: bool,
}

/// Where an answer leads: RFC 9110, section 15.4. `None` if it leads nowhere.
pub(super) fn next(status: StatusCode, headers: &HeaderMap, uri: &Uri, method: &Method) -> Option<Next> {
    let keeps = match status {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => method != Method::POST,
        StatusCode::SEE_OTHER => false,
        _ => return None,
    };
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let is_safe = method == Method::GET || method == Method::HEAD;
    let method = if keeps || is_safe { method.clone() } else { Method::GET };
    Some(Next { uri: join(uri, location)?, method, keeps_body: keeps })
}

/// Drops what must not be told to another server.
pub(super) fn forget_secrets(headers: &mut HeaderMap) {
    for secret in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
        headers.remove(secret);
    }
}

/// True if both are the same server by the same scheme.
pub(super) fn same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

/// A reference as seen from `base`: RFC 3986, section 5.2.
fn join(base: &Uri, reference: &str) -> Option<Uri> {
    let reference = reference.split('#').next()?;
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let scheme_len = reference.find(':').filter(|colon| !reference[..*colon].contains(['/', '?']));
    let joined = if scheme_len.is_some() {
        reference.to_owned()
    } else if let Some(rest) = reference.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{authority}{}", without_dots(reference))
    } else if reference.starts_with('?') || reference.is_empty() {
        let query = if reference.is_empty() { base.query().map(|query| format!("?{query}")) } else { None };
        format!("{scheme}://{authority}{}{}", base.path(), query.as_deref().unwrap_or(reference))
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{}", without_dots(&format!("{folder}/{reference}")))
    };
    joined.parse().ok()
}

/// A path without `.` and `..`: RFC 3986, section 5.2.4.
fn without_dots(reference: &str) -> String {
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    let (mut kept, mut ends_in_folder) = (Vec::new(), false);
    for segment in path.split('/').skip(1) {
        ends_in_folder = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let end = if ends_in_folder && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

    use super::{join, next};

    #[test]
    fn references_are_joined_as_the_rfc_shows() {
        let base: Uri = "http://a/b/c/d;p?q".parse().unwrap();
        let examples = [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("g#s", "http://a/b/c/g"),
            ("https://x:1/y", "https://x:1/y"),
        ];
        for (reference, expected) in examples {
            assert_eq!(join(&base, reference).unwrap().to_string(), expected, "{reference:?}");
        }
    }

    #[test]
    fn methods_change_where_browsers_change_them() {
        let uri: Uri = "http://a/".parse().unwrap();
        let headers = HeaderMap::from_iter([(http::header::LOCATION, HeaderValue::from_static("/b"))]);
        let after = |status, method: Method| {
            let next = next(StatusCode::from_u16(status).unwrap(), &headers, &uri, &method);
            next.map(|next| (next.method, next.keeps_body))
        };
        assert_eq!(after(302, Method::POST), Some((Method::GET, false)));
        assert_eq!(after(301, Method::PUT), Some((Method::PUT, true)));
        assert_eq!(after(303, Method::PUT), Some((Method::GET, false)));
        assert_eq!(after(303, Method::HEAD), Some((Method::HEAD, false)));
        assert_eq!(after(307, Method::POST), Some((Method::POST, true)));
        assert_eq!(after(200, Method::GET), None);
    }
}
