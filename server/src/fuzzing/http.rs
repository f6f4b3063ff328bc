//! What is ours of HTTP: how versions are told apart, frames that are counted, paths, header fields, event streams.

use std::path::Component;
use std::time::Instant;

use super::text;
use crate::proto::http2_frames::{Flood, FrameCounter, FrameLimits, Rate};
use crate::proto::preface::{Guess, PREFACE, guess};
use crate::sse::Event;
use crate::web::Cookie;
use crate::web::files::asked::{Wanted, range, read};
use crate::web::negotiate::quality;
use crate::web::{cookie, path};

/// The versions are told apart at the first byte that differs, and HTTP/2 by its whole preface alone.
pub fn preface(data: &[u8]) {
    for len in 0..data.len().min(40) {
        let begins = PREFACE.starts_with(&data[..len]) && len < PREFACE.len();
        assert_eq!(guess(&data[..len]) == Guess::Unclear, begins);
        assert_eq!(guess(&data[..len]) == Guess::Http2, data[..len].starts_with(PREFACE));
    }
}

/// The count is the same however the bytes are cut. The first byte chooses the cut.
pub fn http2_frames(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let bytes = [&PREFACE[..], bytes].concat();
    assert_eq!(count(&bytes, bytes.len()), count(&bytes, usize::from(*size) + 1));
}

fn count(bytes: &[u8], size: usize) -> Result<(), Flood> {
    let now = Instant::now();
    let limits = FrameLimits { control: Rate { burst: 8, per_s: 1 }, resets: Rate { burst: 3, per_s: 1 } };
    let mut counter = FrameCounter::new(limits, now);
    bytes.chunks(size).try_for_each(|piece| counter.received(piece, now))
}

/// No path leads out of a folder, no prefix covers more than there is, and what fits a path as a whole fits its beginning. The text
/// has a pattern, a line end, and a path.
pub fn paths(data: &[u8]) {
    let Some((prefix, asked)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    if let Ok(Some(found)) = read(asked) {
        assert!(found.path.components().all(|part| matches!(part, Component::Normal(_))), "{:?}", found.path);
        assert!(!found.path.to_string_lossy().contains(['\\', '\0']), "{:?}", found.path);
    }
    if let Ok(decoded) = path::decode(asked) {
        assert!(decoded.len() <= asked.len());
    }
    assert_eq!(path::plain(asked).matches('/').count(), asked.matches('/').count());
    // A pattern that is none is a mistake of the program's, and panics.
    let names = || prefix.split('/').filter(|name| !name.is_empty());
    if names().any(|name| name == ":") || names().rev().skip(1).any(|name| name.starts_with('*')) {
        return;
    }
    let pattern = path::Pattern::parse(prefix);
    let start = pattern.fit_start(asked);
    if let Some(Ok((covered, _))) = &start {
        assert!(asked.is_char_boundary(*covered), "{covered} of {asked:?}");
    }
    assert!(start.is_some() || pattern.fit_whole(asked).is_none());
}

/// A range is inside of the file, and a weight is one. The first eight bytes are the file's length.
pub fn ranges(data: &[u8]) {
    let Some((len, field)) = data.split_first_chunk::<8>() else { return };
    let (len, Some(field)) = (u64::from_le_bytes(*len), text(field)) else { return };
    if let Wanted::Part(part) = range(field, len) {
        assert!(part.start < part.end && part.end <= len, "{part:?} of {len}");
    }
    assert!(quality([field], "gzip") <= 1000);
}

/// What a cookie is set to is found again, and nothing gets out of its field. The text has a name, a line end, and a value.
pub fn cookies(data: &[u8]) {
    let Some((name, value)) = text(data).and_then(|text| text.split_once('\n')) else { return };
    cookie::find(value, name);
    let set = Cookie::new(name, value);
    if set.problem().is_some() {
        return;
    }
    let field = set.to_string();
    assert!(field.bytes().all(|byte| (b' '..0x7f).contains(&byte)), "{field:?}");
    let (pair, _) = field.split_once("; ").expect("a path follows");
    assert_eq!(cookie::find(pair, name).as_deref(), Some(value), "{field:?}");
}

/// A browser reads from an event what was put in. The text has data, name, id and comment, with a bell between them.
pub fn event_stream(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let mut parts = text.split('\x07');
    let mut next = || parts.next().unwrap_or_default();
    let (data, name, id, comment) = (next(), next(), next(), next());
    for event in [Event::comment(comment), Event::new(data).name(name).id(id)] {
        let bytes = event.encode();
        let text = std::str::from_utf8(&bytes).expect("an event is text");
        let lines = text.strip_suffix("\n").unwrap_or_else(|| panic!("{text:?} has no end"));
        assert!(!text.contains('\r') && !lines.starts_with('\n') && !lines.contains("\n\n"), "{text:?}");
    }
    let bytes = Event::new(data).name(name).id(id).encode();
    let read = |field: &str| -> Vec<&str> {
        let lines = std::str::from_utf8(&bytes).expect("an event is text").lines();
        lines.filter_map(|line| line.strip_prefix(field)?.strip_prefix(": ")).collect()
    };
    assert_eq!(read("data").join("\n"), data.replace("\r\n", "\n").replace('\r', "\n"));
    assert_eq!(read("event"), [name.replace(['\r', '\n', '\0'], "")]);
    assert_eq!(read("id"), [id.replace(['\r', '\n', '\0'], "")]);
}
