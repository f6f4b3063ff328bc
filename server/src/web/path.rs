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

/// What a path begins with: whole segments, those with a colon for any.
#[derive(Debug)]
pub(crate) struct Prefix(Vec<Segment>);

#[derive(Debug)]
enum Segment {
    Fixed(Box<str>),
    Param(Rc<str>),
}

impl Prefix {
    /// `/` and the empty prefix fit everything, and are none.
    pub(crate) fn parse(prefix: &str) -> Option<Self> {
        let names = prefix.split('/').filter(|name| !name.is_empty());
        let segments: Vec<_> = names
            .map(|name| match name.strip_prefix(':') {
                Some(param) => Segment::Param(param.into()),
                None => Segment::Fixed(name.into()),
            })
            .collect();
        (!segments.is_empty()).then_some(Self(segments))
    }

    /// How many bytes of `path` it covers, and its parameters.
    pub(crate) fn fit(&self, path: &str) -> Option<Result<(usize, Vec<Param>), StatusError>> {
        let (mut at, mut params) = (0, Vec::new());
        for segment in &self.0 {
            let rest = path.get(at..)?.strip_prefix('/')?;
            let name = rest.split('/').next().filter(|name| !name.is_empty())?;
            match segment {
                Segment::Fixed(fixed) if **fixed == *name => {}
                Segment::Fixed(_) => return None,
                Segment::Param(param) => match decode(name) {
                    Ok(value) => params.push((Rc::clone(param), value.into_owned())),
                    Err(error) => return Some(Err(error)),
                },
            }
            at += 1 + name.len();
        }
        Some(Ok((at, params)))
    }
}

/// A pattern as the router's library wants it, with numbers for names, so that two patterns that differ in names alone are the
/// same; and the names.
pub(crate) fn shape(pattern: &str) -> (String, Vec<Rc<str>>) {
    let (mut shape, mut names) = (String::new(), Vec::new());
    for segment in pattern.split('/').filter(|segment| !segment.is_empty()) {
        shape.push('/');
        let (star, name) = match (segment.strip_prefix(':'), segment.strip_prefix('*')) {
            (Some(name), _) => ("", name),
            (_, Some(name)) => ("*", name),
            _ => {
                shape += &segment.replace('{', "{{").replace('}', "}}");
                continue;
            }
        };
        shape += &format!("{{{star}p{}}}", names.len());
        names.push(name.into());
    }
    if shape.is_empty() {
        shape.push('/');
    }
    (shape, names)
}

#[cfg(test)]
mod tests {
    use super::{Prefix, decode, shape};

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
            let (at, params) = Prefix::parse(prefix).unwrap().fit(path)?.unwrap();
            Some((at, params.into_iter().map(|(_, value)| value).collect::<Vec<_>>()))
        };
        assert_eq!(fit("/api", "/api"), Some((4, vec![])));
        assert_eq!(fit("/api/", "/api/x"), Some((4, vec![])));
        assert_eq!(fit("/api", "/apix"), None);
        assert_eq!(fit("/api", "*"), None);
        assert_eq!(fit("/a/:id", "/a/x%20y/z"), Some((8, vec!["x y".to_owned()])));
        assert_eq!(fit("/a/:id", "/a//z"), None);
        assert!(Prefix::parse("/").is_none());
        assert!(Prefix::parse("/:x").unwrap().fit("/%").unwrap().is_err());
    }

    #[test]
    fn patterns_that_differ_in_names_alone_are_one() {
        assert_eq!(shape("/users/:id/posts/:post").0, "/users/{p0}/posts/{p1}");
        assert_eq!(shape("users/:name/").0, "/users/{p0}");
        assert_eq!(shape("/files/*rest").0, "/files/{*p0}");
        assert_eq!(shape("").0, "/");
        assert_eq!(shape("/a:b/{c}").0, "/a:b/{{c}}");
    }
}
