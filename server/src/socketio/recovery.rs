//! Clients that come back: who they were, and what they missed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::adapter::Target;
use super::outgoing::Outgoing;

/// How clients that lost their connection are taken back: with their id, their rooms and what they missed.
///
/// Every event that is sent without an acknowledgement carries one more argument, by which a client says what it has seen. One whose
/// last event is no longer kept, or that missed more than [`send_queue_len_max`](crate::engineio::Options::send_queue_len_max),
/// starts anew.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How long they may be away, and events are kept; 2 minutes.
    pub disconnected_max: Duration,
    /// Whether middleware is skipped for them; it is.
    pub skip_middlewares: bool,
    /// Events that are kept for each namespace, whomever they were for; 10,000. The oldest go first.
    pub packets_max: usize,
    /// And their bytes; 4 MiB.
    pub packets_len_max: usize,
    /// Clients that are waited for in each namespace; 10,000. The one that is away longest is given up first.
    pub sessions_max: usize,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            disconnected_max: Duration::from_secs(120),
            skip_middlewares: true,
            packets_max: 10_000,
            packets_len_max: 4 * 1024 * 1024,
            sessions_max: 10_000,
        }
    }
}

/// A client that is away.
#[derive(Clone, Debug)]
pub(crate) struct Away {
    pub(crate) id: String,
    pub(crate) rooms: Vec<String>,
    pub(crate) data: Map<String, Value>,
}

/// How a client that comes back shows who it is, and what it has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof<'a> {
    pub(crate) secret: &'a str,
    pub(crate) seen: &'a str,
}

impl<'a> Proof<'a> {
    /// What a client says about itself, if that is a proof.
    pub(crate) fn of(auth: &'a Value) -> Option<Self> {
        let said = |key: &str| auth.get(key).and_then(Value::as_str);
        Some(Self { secret: said("pid")?, seen: said("offset")? })
    }
}

struct Kept {
    id: String,
    sent: Instant,
    target: Target,
    packet: Outgoing,
}

/// Who is away, and what was sent lately.
pub(crate) struct Memory {
    limits: Recovery,
    /// By their secrets, with the numbers of their absences.
    away: HashMap<String, (u64, Away)>,
    /// INVARIANT left: since when who in `away` is away, in order.
    left: BTreeMap<u64, (Instant, String)>,
    next: u64,
    kept: VecDeque<Kept>,
    /// INVARIANT kept-len: the sum of the lengths in `kept`.
    kept_len: usize,
}

impl Memory {
    pub(crate) fn new(limits: Recovery) -> Self {
        let (away, left, kept) = (HashMap::new(), BTreeMap::new(), VecDeque::new());
        Self { limits, away, left, next: 0, kept, kept_len: 0 }
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.limits.skip_middlewares
    }

    /// True if nobody is waited for.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        self.expire(now);
        self.away.is_empty()
    }

    pub(crate) fn remember(&mut self, secret: String, away: Away, now: Instant) {
        self.expire(now);
        self.forget(&secret);
        self.next += 1;
        self.left.insert(self.next, (now, secret.clone()));
        self.away.insert(secret, (self.next, away));
        if self.left.len() > self.limits.sessions_max {
            self.forget_oldest();
        }
    }

    pub(crate) fn keep(&mut self, id: String, target: Target, packet: Outgoing, now: Instant) {
        self.expire(now);
        self.kept_len += packet.len();
        self.kept.push_back(Kept { id, sent: now, target, packet });
        while self.kept.len() > self.limits.packets_max || self.kept_len > self.limits.packets_len_max {
            self.drop_oldest();
        }
    }

    /// Who left with this secret, if what it missed is known and no longer than `len_max`.
    pub(crate) fn find(&mut self, proof: Proof<'_>, len_max: usize, now: Instant) -> Option<Away> {
        self.expire(now);
        let (_, away) = self.away.get(proof.secret)?;
        let missed_len: usize = self.missed(away, proof.seen)?.map(Outgoing::len).sum();
        (missed_len <= len_max).then(|| away.clone())
    }

    /// As [`find`](Self::find), with what it missed. It is away no longer.
    pub(crate) fn restore(
        &mut self,
        proof: Proof<'_>,
        len_max: usize,
        now: Instant,
    ) -> Option<(Away, Vec<Outgoing>)> {
        let away = self.find(proof, len_max, now);
        self.forget(proof.secret);
        let away = away?;
        let missed = self.missed(&away, proof.seen)?.cloned().collect();
        Some((away, missed))
    }

    /// What was sent since a packet that is still kept.
    fn missed<'a>(&'a self, away: &'a Away, seen: &str) -> Option<impl Iterator<Item = &'a Outgoing>> {
        let last = self.kept.iter().position(|kept| kept.id == seen)?;
        let later = self.kept.iter().skip(last + 1);
        Some(later.filter(move |kept| kept.target.includes(&away.id, &away.rooms)).map(|kept| &kept.packet))
    }

    fn forget(&mut self, secret: &str) {
        if let Some((number, _)) = self.away.remove(secret) {
            self.left.remove(&number);
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, (_, secret))) = self.left.pop_first() {
            self.away.remove(&secret);
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.kept.pop_front() {
            self.kept_len -= kept.packet.len();
        }
    }

    fn expire(&mut self, now: Instant) {
        let is_old = |then: Instant| now.saturating_duration_since(then) > self.limits.disconnected_max;
        let gone = self.left.values().take_while(|(then, _)| is_old(*then)).count();
        let dropped = self.kept.iter().take_while(|kept| is_old(kept.sent)).count();
        (0..gone).for_each(|_| self.forget_oldest());
        (0..dropped).for_each(|_| self.drop_oldest());
    }
}
