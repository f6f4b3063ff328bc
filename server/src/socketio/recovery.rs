//! Clients that come back: who they were, and what they missed.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::adapter::Target;
use super::outgoing::Outgoing;

/// How clients that lost their connection are taken back: with their id, their rooms and what they missed.
///
/// Every event that is sent without an acknowledgement carries one more argument, by which a client says what it has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// How long they may be away; 2 minutes.
    pub disconnected_max: Duration,
    /// Whether middleware is skipped for them; it is.
    pub skip_middlewares: bool,
    /// Events that are kept for each namespace; 10,000. Whoever missed more is not taken back.
    pub packets_max: usize,
    /// Clients that are waited for in each namespace; 10,000. The one that is away longest is given up first.
    pub sessions_max: usize,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            disconnected_max: Duration::from_secs(120),
            skip_middlewares: true,
            packets_max: 10_000,
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

struct Kept {
    id: String,
    sent: Instant,
    target: Target,
    packet: Outgoing,
}

/// Who is away, and what was sent lately.
pub(crate) struct Memory {
    limits: Recovery,
    away: HashMap<String, Away>,
    /// Who left, in order. A client that came back is no longer in `away`.
    left: VecDeque<(Instant, String)>,
    kept: VecDeque<Kept>,
}

impl Memory {
    pub(crate) fn new(limits: Recovery) -> Self {
        Self { limits, away: HashMap::new(), left: VecDeque::new(), kept: VecDeque::new() }
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.limits.skip_middlewares
    }

    pub(crate) fn remember(&mut self, secret: String, away: Away, now: Instant) {
        self.expire(now);
        if self.left.len() >= self.limits.sessions_max
            && let Some((_, oldest)) = self.left.pop_front()
        {
            self.away.remove(&oldest);
        }
        self.left.push_back((now, secret.clone()));
        self.away.insert(secret, away);
    }

    pub(crate) fn keep(&mut self, id: String, target: Target, packet: Outgoing, now: Instant) {
        self.expire(now);
        if self.kept.len() >= self.limits.packets_max {
            self.kept.pop_front();
        }
        self.kept.push_back(Kept { id, sent: now, target, packet });
    }

    /// Who left with this secret, and what it missed since the packet it saw last.
    pub(crate) fn restore(
        &mut self,
        secret: &str,
        seen: &str,
        now: Instant,
    ) -> Option<(Away, Vec<Outgoing>)> {
        self.expire(now);
        let last = self.kept.iter().position(|kept| kept.id == seen)?;
        let away = self.away.remove(secret)?;
        let concerns = |kept: &&Kept| kept.target.includes(&away.id, &away.rooms);
        let missed =
            self.kept.iter().skip(last + 1).filter(concerns).map(|kept| kept.packet.clone()).collect();
        Some((away, missed))
    }

    fn expire(&mut self, now: Instant) {
        let is_old = |then: Instant| now.saturating_duration_since(then) > self.limits.disconnected_max;
        while self.left.front().is_some_and(|(then, _)| is_old(*then)) {
            let gone = self.left.pop_front().map(|(_, secret)| self.away.remove(&secret));
            drop(gone);
        }
        while self.kept.front().is_some_and(|kept| is_old(kept.sent)) {
            self.kept.pop_front();
        }
    }
}
