//! Paths of requests, and the patterns they are compared with. Pure.

use std::borrow::Cow;
use std::rc::Rc;

use percent_encoding::percent_decode_str;

use crate::http::{StatusCode, StatusError};

/// The value of a parameter with its name.
pub(crate) type Param = (Rc<str>, String);

/// A piece of a path without its percent-encoding.
///
/// # Errors
/// 400, if the encoding is broken or not of UTF-8.
pub(crate) fn decode(piece: &str) -> Result<Cow<'_, str>, StatusError> {
    let bad = |why: &str| {
        StatusError::new(StatusCode::BAD_REQUEST, format!("{why} in the path: {:?}", shortened(piece)))
    };
    let mut after = piece.split('%').skip(1);
    let is_hex = |text: &str| text.len() >= 2 && text.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !after.all(is_hex) {
        return Err(bad("a bad percent-encoding"));
    }
    percent_decode_str(piece).decode_utf8().map_err(|_| bad("bytes that are not UTF-8"))
}

fn shortened(piece: &str) -> &str {
    let end = (0..=piece.len().min(80)).rev().find(|&end| piece.is_char_boundary(end));
    &piece[..end.unwrap_or(0)]
}

/// What a path, or its beginning, is compared with: segments, those with a colon for any, and perhaps all that follows.
///
/// Segments are compared without their percent-encoding, on both sides: `/%61dmin` is `/admin` to a guard as it is to whoever
/// reads the path behind it.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: Rc<str>,
    segments: Vec<Segment>,
    /// The name of what follows the segments, at least one byte of it.
    rest: Option<Rc<str>>,
}

#[derive(Clone, Debug)]
enum Segment {
    Fixed(Box<str>),
    Param(Rc<str>),
}

impl Pattern {
    /// # Panics
    /// If there is a `*name` that is not at the end, or a `:` without a name.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let mut pattern = Self { text: text.into(), segments: Vec::new(), rest: None };
        for segment in text.split('/').filter(|segment| !segment.is_empty()) {
            assert!(pattern.rest.is_none(), "the pattern {text:?} has a `*` that is not at its end");
            match (segment.strip_prefix(':'), segment.strip_prefix('*')) {
                (Some(""), _) => panic!("the pattern {text:?} has a `:` without a name"),
                (Some(name), _) => pattern.segments.push(Segment::Param(name.into())),
                (_, Some(name)) => pattern.rest = Some(name.into()),
                _ => pattern.segments.push(Segment::Fixed(plain(segment).into())),
            }
        }
        pattern
    }

    /// A pattern that covers all that begins with it.
    ///
    /// # Panics
    /// As [`parse`](Self::parse), and if there is a `*`.
    #[track_caller]
    pub(crate) fn prefix(text: &str) -> Self {
        let prefix = Self::parse(text);
        assert!(prefix.rest.is_none(), "the prefix {text:?} covers all below it: leave its `*` away");
        prefix
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &Rc<str> {
        &self.text
    }

    /// How many bytes at the beginning of `path` the segments cover, and their parameters; `None` if it begins otherwise.
    ///
    /// # Errors
    /// 400 if a parameter is badly encoded.
    pub(crate) fn fit_start(&self, path: &str) -> Option<Result<(usize, Vec<Param>), StatusError>> {
        let (mut at, mut found) = (0, Vec::new());
        for segment in &self.segments {
            let name =
                path.get(at..)?.strip_prefix('/')?.split('/').next().filter(|name| !name.is_empty())?;
            match segment {
                Segment::Fixed(fixed) if **fixed == *plain(name) => {}
                Segment::Fixed(_) => return None,
                Segment::Param(param) => found.push((Rc::clone(param), name)),
            }
            at += 1 + name.len();
        }
        let decoded = found.into_iter().map(|(param, value)| Ok((param, decode(value)?.into_owned())));
        Some(decoded.collect::<Result<_, _>>().map(|params| (at, params)))
    }

    /// The parameters, if the whole path is this; a slash at its end makes no difference.
    ///
    /// # Errors
    /// As [`fit_start`](Self::fit_start).
    pub(crate) fn fit_whole(&self, path: &str) -> Option<Result<Vec<Param>, StatusError>> {
        let (at, mut params) = match self.fit_start(path)? {
            Ok(start) => start,
            Err(error) => return Some(Err(error)),
        };
        let follows = path.get(at..)?;
        let Some(name) = &self.rest else { return matches!(follows, "" | "/").then_some(Ok(params)) };
        let value = follows.strip_prefix('/').filter(|value| !value.is_empty())?;
        Some(decode(value).map(|value| {
            params.push((Rc::clone(name), value.into_owned()));
            params
        }))
    }

    /// Whether it ends with a `*`.
    pub(crate) fn is_open(&self) -> bool {
        self.rest.is_some()
    }

    /// Whether a path may fit both. Never false where one does.
    pub(crate) fn may_meet(&self, other: &Self) -> bool {
        let may_be = |pair: (&Segment, &Segment)| match pair {
            (Segment::Fixed(one), Segment::Fixed(other)) => one == other,
            _ => true,
        };
        let as_long = self.segments.len() == other.segments.len() || self.is_open() || other.is_open();
        as_long && self.segments.iter().zip(&other.segments).all(may_be)
    }

    /// The segments as matchit wants them, without the names of parameters.
    pub(crate) fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Fixed(fixed) => shape += &fixed.replace('{', "{{").replace('}', "}}"),
                Segment::Param(_) => shape += "{p}",
            }
        }
        if shape.is_empty() { "/".into() } else { shape }
    }
}

/// A path as patterns are compared with it: without percent-encoding, but for what is broken or would become a slash.
pub(crate) fn plain(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return path.into();
    }
    let plain =
        |segment| decode(segment).ok().filter(|plain| !plain.contains('/')).unwrap_or(Cow::Borrowed(segment));
    path.split('/').map(plain).collect::<Vec<_>>().join("/").into()
}

#[cfg(test)]
mod tests {
    use super::{Pattern, decode, plain};

    #[test]
    fn broken_encodings_are_refused() {
        assert_eq!(decode("a%20b%C3%A4").unwrap(), "a bä");
        for bad in ["%", "%2", "a%zzb", "%C3", "%%41", "%€"] {
            assert!(decode(bad).is_err(), "{bad}");
        }
        let long = decode(&"%ä".repeat(1000)).unwrap_err();
        assert!(long.message().len() < 150, "{long}");
    }

    #[test]
    fn a_prefix_covers_whole_segments() {
        let fit = |prefix: &str, path: &str| {
            let (at, params) = Pattern::prefix(prefix).fit_start(path)?.unwrap();
            Some((at, params.into_iter().map(|(_, value)| value).collect::<Vec<_>>()))
        };
        assert_eq!(fit("/api", "/api"), Some((4, vec![])));
        assert_eq!(fit("/api/", "/api/x"), Some((4, vec![])));
        assert_eq!(fit("/api", "/apix"), None);
        assert_eq!(fit("/api", "*"), None);
        assert_eq!(fit("/", "*"), Some((0, vec![])));
        assert_eq!(fit("/a/:id", "/a/x%20y/z"), Some((8, vec!["x y".to_owned()])));
        assert_eq!(fit("/a/:id", "/a//z"), None);
        assert_eq!(fit("/private", "/%70rivat%65/x"), Some((12, vec![])));
        assert_eq!(fit("/a b", "/a%20b"), Some((6, vec![])));
        assert_eq!(fit("/a%20b", "/%61%20b"), Some((8, vec![])));
        assert!(Pattern::prefix("/:x").fit_start("/%").unwrap().is_err());
        assert!(Pattern::prefix("/:x/y").fit_start("/%/z").is_none());
    }

    #[test]
    fn a_route_is_for_the_whole_path() {
        let fit = |pattern: &str, path: &str| {
            let params = Pattern::parse(pattern).fit_whole(path)?.unwrap();
            Some(
                params
                    .into_iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect::<Vec<_>>()
                    .join(" "),
            )
        };
        for (pattern, path, expected) in [
            ("/", "/", Some("")),
            ("", "/", Some("")),
            ("/", "*", None),
            ("/a", "/a/", Some("")),
            ("a/", "/a", Some("")),
            ("/a", "/a//", None),
            ("/a", "//a", None),
            ("/:x/b/:y", "/1%2F/b/%C3%A4", Some("x=1/ y=ä")),
            ("/f/*p", "/f/a/b", Some("p=a/b")),
            ("/f/*p", "/f/a/", Some("p=a/")),
            ("/f/*p", "/f/", None),
            ("/f/*p", "/f", None),
            ("*", "/f", Some("=f")),
        ] {
            assert_eq!(fit(pattern, path).as_deref(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_slash_never_comes_out_of_an_encoding() {
        for (path, expected) in [("/%61%2f/%62", "/%61%2f/b"), ("/%zz/%41", "/%zz/A"), ("/a", "/a")] {
            assert_eq!(plain(path), expected);
        }
    }

    #[test]
    fn patterns_meet_where_a_path_fits_both() {
        for (one, other, expected) in [
            ("/a/:x", "/a/b", true),
            ("/a/:x", "/:y/b", true),
            ("/a/:x", "/b/:x", false),
            ("/a/b", "/a/b/c", false),
            ("/a/*rest", "/:x/b/c", true),
            ("/a/*rest", "/b/*rest", false),
            ("/*rest", "/a", true),
        ] {
            let (one, other) = (Pattern::parse(one), Pattern::parse(other));
            assert_eq!([one.may_meet(&other), other.may_meet(&one)], [expected; 2], "{one:?} {other:?}");
        }
        assert_eq!(Pattern::parse("/a:b/{c}/:d").shape(), "/a:b/{{c}}/{p}");
    }
}
