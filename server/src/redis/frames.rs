//! Where replies end: bytes in, whole replies of RESP3 out. Pure.
//!
//! The crate `redis` reads a reply once it is whole; how long and how wide one may be is decided here, before any of it is
//! built. Source: the RESP3 specification.

use std::fmt;

use memchr::memchr;

/// What one reply may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) len_max: usize,
    pub(super) values_max: usize,
}

/// Why the bytes are no reply, or one that is too large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    NoReply(String),
    Count(String),
    LongLine,
    Deep,
    Long(u64, usize),
    Wide(u64, usize),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReply(start) => write!(f, "what came is no reply of redis: it begins with {start:?}"),
            Self::Count(text) => write!(f, "a reply counts {text:?}"),
            Self::LongLine => write!(f, "a line of a reply is longer than {LINE_LEN_MAX} bytes"),
            Self::Deep => write!(f, "a reply is nested deeper than {DEPTH_MAX}"),
            Self::Long(len, max) => {
                write!(f, "a reply of at least {len} bytes is above reply_len_max, {max}")
            }
            Self::Wide(count, max) => {
                write!(f, "a reply of at least {count} values is above reply_values_max, {max}")
            }
        }
    }
}

/// A line that is no bulk string: a status, an error, a number, a length.
const LINE_LEN_MAX: usize = 64 * 1024;
/// The parser's own limit is 100.
const DEPTH_MAX: usize = 64;
/// Of an empty buffer; what a large reply took is given back.
const KEPT_CAPACITY_MAX: usize = 64 * 1024;

/// Gathers bytes until a reply is whole.
#[derive(Debug)]
pub(super) struct Frames {
    bounds: Bounds,
    buf: Vec<u8>,
    /// Where the reply begins that is being gathered.
    start: usize,
    /// What of it was looked at.
    seen: usize,
    /// Bytes of a bulk string that come next, its line end included.
    bulk_left: u64,
    /// Values that are missing, of each aggregate that is open.
    open: Vec<u64>,
    /// Values of this reply.
    values: u64,
}

impl Frames {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, buf: Vec::new(), start: 0, seen: 0, bulk_left: 0, open: Vec::new(), values: 0 }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.buf.len() {
            self.clear();
        } else if self.start > KEPT_CAPACITY_MAX {
            self.buf.drain(..self.start);
            self.seen -= self.start;
            self.start = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    fn clear(&mut self) {
        self.buf.clear();
        self.buf.shrink_to(KEPT_CAPACITY_MAX);
        (self.start, self.seen) = (0, 0);
    }

    /// The next reply that is whole.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Broken> {
        loop {
            let there = self.buf.len() - self.seen;
            if self.bulk_left > 0 {
                let taken = self.bulk_left.min(there as u64);
                self.bulk_left -= taken;
                self.seen += taken as usize;
                if self.bulk_left > 0 {
                    return Ok(None);
                }
            } else {
                let Some(line) = self.line()? else { return Ok(None) };
                if !self.begin(line)? {
                    continue;
                }
            }
            if self.value_ended() {
                let reply = self.start..self.seen;
                self.start = self.seen;
                self.values = 0;
                return Ok(Some(&self.buf[reply]));
            }
        }
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<Option<(u8, Line)>, Broken> {
        let rest = &self.buf[self.seen..];
        let Some(&kind) = rest.first() else { return Ok(None) };
        if !b"+-:_,#($!=*~>%|".contains(&kind) {
            let start = &rest[..rest.len().min(40)];
            return Err(Broken::NoReply(String::from_utf8_lossy(start).into_owned()));
        }
        let Some(end) = memchr(b'\n', &rest[..rest.len().min(LINE_LEN_MAX)]) else {
            return if rest.len() >= LINE_LEN_MAX { Err(Broken::LongLine) } else { Ok(None) };
        };
        let line = Line { start: self.seen + 1, end: self.seen + end };
        self.seen += end + 1;
        Ok(Some((kind, line)))
    }

    /// Begins a value. True if it has ended as well.
    fn begin(&mut self, (kind, line): (u8, Line)) -> Result<bool, Broken> {
        self.values += 1;
        let is_plain = b"+-:_,#(".contains(&kind);
        let count = if is_plain { 0 } else { self.count(line)? };
        self.check(if kind == b'$' || kind == b'!' || kind == b'=' { count } else { 3 * count })?;
        match kind {
            _ if is_plain || count < 0 => Ok(true), // -1 is a value too: none
            b'$' | b'!' | b'=' => {
                self.bulk_left = count as u64 + 2;
                Ok(false)
            }
            _ => {
                let values = match kind {
                    b'%' => 2 * count as u64,
                    b'|' => 2 * count as u64 + 1, // and what they are attributes of
                    _ => count as u64,
                };
                if values == 0 {
                    return Ok(true);
                }
                if self.open.len() >= DEPTH_MAX {
                    return Err(Broken::Deep);
                }
                let least = self.values.saturating_add(values);
                if least > self.bounds.values_max as u64 {
                    return Err(Broken::Wide(least, self.bounds.values_max));
                }
                self.open.push(values);
                Ok(false)
            }
        }
    }

    fn count(&self, line: Line) -> Result<i64, Broken> {
        let text = String::from_utf8_lossy(&self.buf[line.start..line.end]);
        let text = text.trim_end_matches('\r');
        match text.parse::<i64>() {
            Ok(count) if (-1..=1 << 40).contains(&count) => Ok(count),
            _ => Err(Broken::Count(text.chars().take(40).collect())),
        }
    }

    /// The reply so far, and what is sure to come.
    fn check(&self, to_come: i64) -> Result<(), Broken> {
        let len = (self.seen - self.start) as u64 + to_come.max(0) as u64;
        if len > self.bounds.len_max as u64 {
            return Err(Broken::Long(len, self.bounds.len_max));
        }
        Ok(())
    }

    /// True if that was the last of the reply.
    fn value_ended(&mut self) -> bool {
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return false;
            }
            self.open.pop();
        }
        true
    }
}

#[derive(Clone, Copy)]
struct Line {
    start: usize,
    end: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { len_max: 1000, values_max: 100 };

    fn all(bytes: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Broken> {
        let mut frames = Frames::new(BOUNDS);
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            frames.feed(piece);
            while let Some(reply) = frames.next()? {
                found.push(reply.to_vec());
            }
        }
        Ok(found)
    }

    const REPLIES: &[&str] = &[
        "+OK\r\n",
        "-ERR no\r\n",
        "$0\r\n\r\n",
        "$-1\r\n",
        "$7\r\na\r\n*1\r\n\r\n",
        "_\r\n",
        "*0\r\n",
        "*3\r\n:1\r\n*2\r\n#t\r\n,1.5\r\n%1\r\n+k\r\n~1\r\n+v\r\n",
        ">3\r\n+message\r\n$1\r\nc\r\n$2\r\nhi\r\n",
        "|1\r\n+ttl\r\n:3600\r\n*1\r\n+x\r\n",
        "=8\r\ntxt:text\r\n",
    ];

    #[test]
    fn replies_are_told_apart_however_they_are_cut() {
        let together = REPLIES.concat();
        for piece in [1, 2, 3, 7, 1000] {
            let found = all(together.as_bytes(), piece).unwrap();
            assert_eq!(found, REPLIES.iter().map(|reply| reply.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_found_is_what_the_parser_takes() {
        for reply in REPLIES {
            redis::parse_redis_value(reply.as_bytes()).unwrap_or_else(|error| panic!("{reply:?}: {error}"));
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_comes() {
        let cases: [(&str, Broken); 9] = [
            ("HTTP/1.1 400 Bad Request\r\n", Broken::NoReply("HTTP/1.1 400 Bad Request\r\n".into())),
            ("$1001\r\n", Broken::Long(1008, 1000)),
            ("*99999999999\r\n", Broken::Long(299_999_999_997 + 14, 1000)),
            ("*101\r\n", Broken::Wide(102, 100)),
            ("*60\r\n%60\r\n", Broken::Wide(122, 100)),
            ("%-2\r\n", Broken::Count("-2".into())),
            ("$99999999999999999999\r\n", Broken::Count("99999999999999999999".into())),
            ("$1a\r\n", Broken::Count("1a".into())),
            ("$?\r\n", Broken::Count("?".into())),
        ];
        for (bytes, why) in cases {
            assert_eq!(all(bytes.as_bytes(), 1000), Err(why), "{bytes}");
        }
        assert_eq!(all("*1\r\n".repeat(65).as_bytes(), 1000), Err(Broken::Deep));
        assert_eq!(all(&[b"+".to_vec(), vec![b'a'; LINE_LEN_MAX]].concat(), 4096), Err(Broken::LongLine));
    }

    #[test]
    fn many_small_values_are_bounded_together() {
        let nested = "*50\r\n".to_owned() + &"*2\r\n_\r\n_\r\n".repeat(50);
        assert!(matches!(all(nested.as_bytes(), 1000), Err(Broken::Wide(..))));
    }

    #[test]
    fn spoiled_replies_never_panic() {
        let mut random = 0x5eed_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        for round in 0..20_000 {
            let mut bytes = REPLIES[round % REPLIES.len()].as_bytes().to_vec();
            for _ in 0..=next(3) {
                let at = next(bytes.len());
                match next(3) {
                    0 => bytes[at] = next(256) as u8,
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b"0123456789-+$*%~>|\r\n"[next(20)]),
                }
            }
            if let Ok(found) = all(&bytes, 1 + next(20)) {
                for reply in found {
                    let _ = redis::parse_redis_value(&reply); // an error is as good; a panic is not
                }
            }
        }
    }
}
