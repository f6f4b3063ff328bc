//! What a client asks for: a path and a range, judged before the disk is looked at. Pure.

use std::ops::Range;
use std::path::PathBuf;

use crate::http::{StatusCode, StatusError};
use crate::web::Req;
use crate::web::negotiate::{accepted, quality};
use crate::web::path::decode;

/// A path below the folder that is served: names only, neither `..` nor an absolute one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: PathBuf,
    /// It ends with a slash.
    pub(super) is_folder: bool,
    pub(super) has_dotfile: bool,
}

/// Reads a path; `None` for one that names no file plainly, with an empty segment inside or a `.`: what stands in front and guards
/// a folder by its path would not know it. Each segment is decoded for itself, so that nothing encoded can become a separator.
pub(crate) fn read(path: &str) -> Result<Option<Asked>, StatusError> {
    let bad = |what: &str| Err(StatusError::new(StatusCode::BAD_REQUEST, format!("{what} in the path")));
    let mut asked = Asked { path: PathBuf::new(), is_folder: path.ends_with('/'), has_dotfile: false };
    let mut is_plain = true;
    let names = path.strip_prefix('/').unwrap_or(path);
    for segment in names.strip_suffix('/').unwrap_or(names).split('/') {
        let name = decode(segment)?;
        match &*name {
            "" | "." => is_plain &= names.is_empty(),
            ".." => return Err(StatusError::new(StatusCode::FORBIDDEN, "`..` in the path")),
            name if name.contains('\0') => return bad("a NUL"),
            name if name.contains('\\') => return bad("a backslash"),
            name if name.contains('/') => return bad("an encoded slash"),
            name => {
                asked.has_dotfile |= name.starts_with('.');
                asked.path.push(name);
            }
        }
    }
    Ok(is_plain.then_some(asked))
}

/// The endings of precompressed files that a client takes, with their names, the smallest first.
pub(super) fn encodings(req: &Req) -> Vec<(&'static str, &'static str)> {
    let all = [(".br", "br"), (".zst", "zstd"), (".gz", "gzip")];
    all.into_iter().filter(|(_, coding)| quality(accepted(req.headers()), coding) > 0).collect()
}

/// What a `Range` field asks of a file of `len` bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    Part(Range<u64>),
    /// Nothing that is there: 416.
    Nothing,
}

/// Reads a `Range` field: RFC 9110, section 14.1.2. What is not understood, and more than one range, is for all of it.
pub(crate) fn range(field: &str, len: u64) -> Wanted {
    let Some((unit, range)) = field.split_once('=') else { return Wanted::All };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::All };
    if !unit.trim().eq_ignore_ascii_case("bytes") || range.contains(',') {
        return Wanted::All;
    }
    let number = |digits: &str| match digits.bytes().all(|digit| digit.is_ascii_digit()) {
        true => Some(digits.parse::<u64>().unwrap_or(u64::MAX)), // more digits than fit are behind every end
        false => None,
    };
    let part = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Wanted::All,
        (true, false) => {
            number(last).map(|suffix| len.saturating_sub(suffix)..if suffix == 0 { 0 } else { len })
        }
        (false, true) => number(first).map(|first| first..len),
        (false, false) => match (number(first), number(last)) {
            (Some(first), Some(last)) if last < first => return Wanted::All,
            (Some(first), Some(last)) => Some(first..last.saturating_add(1).min(len)),
            _ => None,
        },
    };
    match part {
        None => Wanted::All,
        Some(part) if part.start >= part.end => Wanted::Nothing,
        Some(part) => Wanted::Part(part),
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, range, read};

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let status =
            |path: &str| read(path).map(|asked| asked.is_some()).map_err(|error| error.status().as_u16());
        for path in ["/..", "/../a", "/a/../../b", "/%2e%2e/a", "/.%2E", "/a/%2e%2e"] {
            assert_eq!(status(path), Err(403), "{path}");
        }
        for path in ["/a%00", "/a%5cb", "/..%5c..", "/..%2f..%2fa", "/a%2fb", "/%", "/%zz", "/%c0%ae", "/\\a"]
        {
            assert_eq!(status(path), Err(400), "{path}");
        }
        for path in ["//etc/x", "/a//b", "/a/./b", "/a/%2E", "/a//", "//", "/."] {
            assert_eq!(status(path), Ok(false), "{path}");
        }
        let asked = |path: &str| read(path).unwrap().unwrap();
        let folder = asked("/etc/x%20y/");
        assert!(folder.path.is_relative() && folder.path.to_str() == Some("etc/x y") && folder.is_folder);
        assert!(asked("/").path.as_os_str().is_empty() && asked("/").is_folder);
        assert!(asked("/a/.git/x").has_dotfile);
        assert!(!asked("/a.b").has_dotfile);
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (field, wanted) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("Bytes = 8-99999999999999999999999", Wanted::Part(8..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=a-", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(range(field, 10), wanted, "{field}");
        }
        assert_eq!(range("bytes=0-", 0), Wanted::Nothing);
    }
}
