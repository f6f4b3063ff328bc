//! Counting the frames of HTTP/2 that make work and carry nothing.
//!
//! A PING or SETTINGS must be answered, a stream that is opened and reset starts a handler for nothing, and both cost the
//! peer a few bytes. h2 bounds what they take in memory; this bounds what they take in time.

use std::time::{Duration, Instant};

use super::preface::PREFACE;

/// How many frames of each kind a peer may send: so many at once, and so many a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameLimits {
    pub(crate) control: Rate,
    pub(crate) resets: Rate,
}

/// A bucket's size and its inflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) per_s: u32,
}

/// The peer sent too many frames of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    /// PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, CONTINUATION or a kind that nobody knows.
    Control,
    /// RST_STREAM.
    Resets,
}

/// Follows the frames of a connection, in pieces of any size.
pub(crate) struct FrameCounter {
    control: Bucket,
    resets: Bucket,
    received: Frames,
    sent: Frames,
    /// Bytes sent that have not paid for a frame yet.
    sent_len: usize,
    /// The last stream that the peer opened.
    last_stream: u32,
}

/// A client that takes a long answer sends a WINDOW_UPDATE for its stream and one for the connection each time half a
/// window, often 32 KiB, has come. This many bytes pay for one.
const SENT_PER_FRAME: usize = 8 * 1024;

const HEAD_LEN: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;
const ENHANCE_YOUR_CALM: u8 = 0xb;

impl FrameCounter {
    pub(crate) fn new(limits: FrameLimits, now: Instant) -> Self {
        Self {
            control: Bucket::new(limits.control, now),
            resets: Bucket::new(limits.resets, now),
            received: Frames { skip: PREFACE.len(), ..Frames::default() },
            sent: Frames::default(),
            sent_len: 0,
            last_stream: 0,
        }
    }

    /// Looks at bytes from the peer, the preface first.
    ///
    /// # Errors
    /// The kind of frames there were too many of.
    pub(crate) fn received(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        let mut verdict = Ok(());
        while let Some(head) = self.received.next(&mut bytes) {
            verdict = verdict.and(self.count(&head, now)); // all bytes are followed, so that frames stay frames
        }
        verdict
    }

    /// Looks at bytes to the peer, which it will answer with frames of flow control.
    pub(crate) fn sent(&mut self, mut bytes: &[u8]) {
        self.sent_len += bytes.len();
        let frames = self.sent_len / SENT_PER_FRAME;
        self.sent_len %= SENT_PER_FRAME;
        self.control.give_back(u32::try_from(frames).unwrap_or(u32::MAX));
        while self.sent.next(&mut bytes).is_some() {}
    }

    /// What tells the peer why it is cut off: a GOAWAY with ENHANCE_YOUR_CALM. `None` in the middle of a frame, where it
    /// would be taken for a part of that.
    pub(crate) fn last_words(&self) -> Option<[u8; 17]> {
        let [a, b, c, d] = self.last_stream.to_be_bytes();
        let goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, a, b, c, d, 0, 0, 0, ENHANCE_YOUR_CALM];
        self.sent.is_between().then_some(goaway)
    }

    fn count(&mut self, head: &[u8; HEAD_LEN], now: Instant) -> Result<(), Flood> {
        let [_, _, _, kind, flags, a, b, c, d] = *head;
        let carries_something = match kind {
            HEADERS => {
                self.last_stream = u32::from_be_bytes([a & 0x7f, b, c, d]);
                true
            }
            DATA => payload_len(head) > 0 || flags & END_STREAM != 0,
            RST_STREAM => return if self.resets.take(now) { Ok(()) } else { Err(Flood::Resets) },
            _ => false,
        };
        if carries_something {
            // Flow control has a client send a WINDOW_UPDATE or two for what it exchanges.
            self.control.give_back(2);
            return Ok(());
        }
        if self.control.take(now) { Ok(()) } else { Err(Flood::Control) }
    }
}

/// Finds the heads of frames in one direction.
#[derive(Default)]
struct Frames {
    /// Bytes of the running frame's payload that are still to come.
    skip: usize,
    head: [u8; HEAD_LEN],
    head_len: usize,
}

impl Frames {
    /// The next head that is complete, taken off `bytes` with all before it; `None` when `bytes` are used up.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEAD_LEN]> {
        let skipped = self.skip.min(bytes.len());
        (self.skip, *bytes) = (self.skip - skipped, &bytes[skipped..]);
        let len = (HEAD_LEN - self.head_len).min(bytes.len());
        self.head[self.head_len..self.head_len + len].copy_from_slice(&bytes[..len]);
        (self.head_len, *bytes) = (self.head_len + len, &bytes[len..]);
        if self.head_len < HEAD_LEN {
            return None;
        }
        self.head_len = 0;
        self.skip = payload_len(&self.head);
        Some(self.head)
    }

    /// True if a frame may begin with the next byte.
    fn is_between(&self) -> bool {
        self.skip == 0 && self.head_len == 0
    }
}

fn payload_len(head: &[u8; HEAD_LEN]) -> usize {
    usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])
}

struct Bucket {
    rate: Rate,
    left: u32,
    filled: Instant,
}

impl Bucket {
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.burst, filled: now }
    }

    /// False if nothing is left.
    fn take(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            self.fill(now);
        }
        let taken = self.left > 0;
        self.left -= u32::from(taken);
        taken
    }

    fn give_back(&mut self, frames: u32) {
        self.left = self.rate.burst.min(self.left.saturating_add(frames));
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled);
        let inflow = elapsed.as_millis() * u128::from(self.rate.per_s) / 1000;
        let Ok(inflow) = u32::try_from(inflow) else {
            (self.left, self.filled) = (self.rate.burst, now);
            return;
        };
        self.left = self.rate.burst.min(inflow);
        if inflow > 0 {
            // What is over of a started frame's time is kept by moving on by whole frames only.
            let used = Duration::from_millis(u64::from(inflow) * 1000 / u64::from(self.rate.per_s));
            self.filled = if self.left == self.rate.burst { now } else { self.filled + used };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Flood, FrameCounter, FrameLimits, PREFACE, Rate};

    const LIMITS: FrameLimits =
        FrameLimits { control: Rate { burst: 10, per_s: 5 }, resets: Rate { burst: 3, per_s: 1 } };
    const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const RESET: [u8; 13] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    const END: [u8; 9] = [0, 0, 0, 0, 1, 0, 0, 0, 1];
    const NOTHING: [u8; 9] = [0, 0, 0, 0, 0, 0, 0, 0, 1];

    fn counter(now: Instant) -> FrameCounter {
        let mut counter = FrameCounter::new(LIMITS, now);
        assert_eq!(counter.received(PREFACE, now), Ok(()));
        counter
    }

    /// How many of `frame` pass before the flood is seen, of at most 100.
    fn passes(counter: &mut FrameCounter, frame: &[u8], now: Instant) -> usize {
        (0..100).take_while(|_| counter.received(frame, now).is_ok()).count()
    }

    #[test]
    fn pings_beyond_the_burst_are_a_flood() {
        let now = Instant::now();
        let mut counter = counter(now);
        assert_eq!(passes(&mut counter, &PING, now), 10);
        assert_eq!(counter.received(&PING, now), Err(Flood::Control));
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let now = Instant::now();
        let mut counter = counter(now);
        let bytes = PING.repeat(10);
        assert!(bytes.chunks(1).all(|byte| counter.received(byte, now).is_ok()));
        assert!(PING.iter().any(|byte| counter.received(&[*byte], now) == Err(Flood::Control)));
    }

    #[test]
    fn time_gives_frames_back() {
        let start = Instant::now();
        let mut counter = counter(start);
        assert_eq!(passes(&mut counter, &PING, start), 10);
        assert_eq!(passes(&mut counter, &PING, start + Duration::from_secs(1)), 5);
        assert_eq!(passes(&mut counter, &PING, start + Duration::from_secs(100)), 10);
    }

    #[test]
    fn resets_have_a_bucket_of_their_own() {
        let now = Instant::now();
        let mut counter = counter(now);
        assert_eq!(passes(&mut counter, &RESET, now), 3);
        assert_eq!(passes(&mut counter, &PING, now), 10);
    }

    #[test]
    fn empty_data_is_counted_unless_it_ends_a_stream() {
        let now = Instant::now();
        assert_eq!(passes(&mut counter(now), &NOTHING, now), 10);
        assert_eq!(passes(&mut counter(now), &END, now), 100);
    }

    #[test]
    fn answers_pay_for_the_flow_control_of_who_takes_them() {
        let now = Instant::now();
        let mut counter = counter(now);
        let mut data = vec![0; 9 + 32 * 1024];
        data[1] = 0x80; // a frame of 32 KiB
        for _ in 0..100 {
            counter.sent(&data);
            assert_eq!(counter.received(&PING.repeat(2), now), Ok(()));
        }
    }

    #[test]
    fn last_words_name_the_last_stream_and_never_cut_a_frame() {
        let now = Instant::now();
        let mut counter = counter(now);
        let headers = [0, 0, 0, 1, 5, 0, 0, 0, 7];
        assert_eq!(counter.received(&headers, now), Ok(()));
        assert_eq!(counter.last_words(), Some([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0xb]));
        counter.sent(&PING[..12]);
        assert_eq!(counter.last_words(), None);
        counter.sent(&PING[12..]);
        assert!(counter.last_words().is_some());
    }

    #[test]
    fn requests_pay_for_the_frames_around_them() {
        let now = Instant::now();
        let mut counter = counter(now);
        assert!(
            (0..100).all(|_| counter.received(&PING, now).is_ok() && counter.received(&END, now).is_ok())
        );
    }
}
