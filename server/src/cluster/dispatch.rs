//! Which worker gets a connection that the primary accepted: decisions, without sockets.
//!
//! Connections are numbers here. One waits until a worker has room, is **handed** to it, and is the worker's once it confirms; a
//! worker that is gone, or does not want it, gives it back, and another gets it.

use std::collections::{BTreeSet, VecDeque};

/// How often one connection may be refused before it is closed.
const REFUSALS_MAX: u32 = 8;

/// What is to be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Hand {
        worker: u32,
        connection: u64,
    },
    /// Nobody wants it.
    Close(u64),
}

/// Whom a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Anyone,
    /// This worker, as long as it is there.
    Worker(u32),
    /// Always the same slot for the same number, as long as the same slots have workers.
    Hash(u64),
}

#[derive(Default)]
pub(super) struct Dispatch {
    seats: Vec<Seat>,
    /// Where the next round begins.
    next: usize,
    waiting: VecDeque<Waiting>,
    unconfirmed_max: usize,
    waiting_max: usize,
    /// No worker will come any more, nor take more later.
    is_last: bool,
}

/// Why a worker that takes part gets nothing for now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// It said so.
    pub(super) paused: bool,
    /// Its channel has no room.
    pub(super) full: bool,
}

/// A worker that can be handed connections.
struct Seat {
    worker: u32,
    slot: usize,
    handed: BTreeSet<u64>,
    /// It said that it wants none for now.
    paused: bool,
    /// Its channel has no room. Not the same as `paused`: either may end while the other lasts.
    full: bool,
    /// It ends: what it confirms is its own, what it does not comes back.
    leaving: bool,
}

#[derive(Clone, Copy)]
struct Waiting {
    connection: u64,
    wish: Wish,
}

impl Dispatch {
    pub(super) fn new(unconfirmed_max: usize, waiting_max: usize) -> Self {
        Self { unconfirmed_max: unconfirmed_max.max(1), waiting_max: waiting_max.max(1), ..Self::default() }
    }

    /// True if nothing more should be accepted for now.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= self.waiting_max
    }

    /// A worker takes connections from now on, or again after it left.
    pub(super) fn join(&mut self, worker: u32, slot: usize, state: State, out: &mut Vec<Order>) {
        let State { paused, full } = state;
        match self.seat(worker) {
            Some(seat) => (seat.paused, seat.full, seat.leaving) = (paused, full, false),
            None => {
                let handed = BTreeSet::new();
                self.seats.push(Seat { worker, slot, handed, paused, full, leaving: false });
            }
        }
        self.hand_out(out);
    }

    /// A worker is to get no more.
    pub(super) fn leave(&mut self, worker: u32, out: &mut Vec<Order>) {
        if let Some(seat) = self.seat(worker) {
            seat.leaving = true;
            self.hand_out(out); // what waited for it is for others now
        }
    }

    /// A worker is gone: others get what it had not confirmed.
    pub(super) fn gone(&mut self, worker: u32, out: &mut Vec<Order>) {
        let Some(at) = self.seats.iter().position(|seat| seat.worker == worker) else { return };
        let seat = self.seats.remove(at);
        if at < self.next {
            self.next -= 1;
        }
        for connection in seat.handed.into_iter().rev() {
            self.waiting.push_front(Waiting { connection, wish: Wish::Anyone });
        }
        self.hand_out(out);
    }

    /// A worker wants none for now, or some again.
    pub(super) fn pause(&mut self, worker: u32, paused: bool, out: &mut Vec<Order>) {
        if let Some(seat) = self.seat(worker) {
            seat.paused = paused;
            self.hand_out(out);
        }
    }

    /// A worker's channel has no room, or has some again.
    pub(super) fn full(&mut self, worker: u32, full: bool, out: &mut Vec<Order>) {
        if let Some(seat) = self.seat(worker) {
            seat.full = full;
            self.hand_out(out);
        }
    }

    /// All is to end: what waits, and what comes yet, goes to the workers that are there, however much they have not confirmed and if
    /// they pause too. It waits for nothing but room in a channel; what no worker is left for is closed.
    pub(super) fn last_round(&mut self, out: &mut Vec<Order>) {
        self.is_last = true;
        self.hand_out(out);
    }

    /// Closes what waits.
    pub(super) fn close_waiting(&mut self, out: &mut Vec<Order>) {
        out.extend(self.waiting.drain(..).map(|waiting| Order::Close(waiting.connection)));
    }

    /// True if something waits for a worker.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// True if nothing waits for a worker, or for a worker's word.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.seats.iter().all(|seat| seat.handed.is_empty())
    }

    /// A connection is there.
    pub(super) fn connection(&mut self, connection: u64, wish: Wish, out: &mut Vec<Order>) {
        self.waiting.push_back(Waiting { connection, wish });
        self.hand_out(out);
    }

    /// A worker has taken what it was handed. False if it was not handed that.
    pub(super) fn confirmed(&mut self, worker: u32, connection: u64, out: &mut Vec<Order>) -> bool {
        let known = self.seat(worker).is_some_and(|seat| seat.handed.remove(&connection));
        self.hand_out(out);
        known
    }

    /// A worker does not want what it was handed, which so many did not want by now. False if it was not handed that.
    pub(super) fn refused(
        &mut self,
        worker: u32,
        connection: u64,
        refusals: u32,
        out: &mut Vec<Order>,
    ) -> bool {
        let known = self.seat(worker).is_some_and(|seat| seat.handed.remove(&connection));
        if known {
            if refusals >= REFUSALS_MAX {
                out.push(Order::Close(connection));
            } else {
                self.waiting.push_front(Waiting { connection, wish: Wish::Anyone });
            }
            self.hand_out(out);
        }
        known
    }

    /// Connections that wait for a worker, or for a worker's word.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.waiting.len() + self.seats.iter().map(|seat| seat.handed.len()).sum::<usize>()
    }

    fn seat(&mut self, worker: u32) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.worker == worker)
    }

    fn has_room(&self, seat: &Seat) -> bool {
        self.is_open(seat) && !seat.full && (self.is_last || seat.handed.len() < self.unconfirmed_max)
    }

    /// One that pauses may do so for ever: what is for it goes to others meanwhile. Full it is for moments only.
    fn is_open(&self, seat: &Seat) -> bool {
        !seat.leaving && (self.is_last || !seat.paused)
    }

    /// Hands out what waits, as far as workers have room, in the order of waiting.
    fn hand_out(&mut self, out: &mut Vec<Order>) {
        if self.is_last && !self.seats.iter().any(|seat| self.is_open(seat)) {
            return self.close_waiting(out);
        }
        let mut at = 0;
        while at < self.waiting.len() {
            if !self.seats.iter().any(|seat| self.has_room(seat)) {
                return;
            }
            let waiting = self.waiting[at];
            match self.choose(waiting.wish) {
                None => at += 1, // it waits for one that has no room
                Some(chosen) => {
                    self.waiting.remove(at);
                    let seat = &mut self.seats[chosen];
                    seat.handed.insert(waiting.connection);
                    out.push(Order::Hand { worker: seat.worker, connection: waiting.connection });
                }
            }
        }
    }

    fn choose(&mut self, wish: Wish) -> Option<usize> {
        match wish {
            Wish::Worker(worker) => {
                let is_it = |seat: &Seat| seat.worker == worker && self.is_open(seat);
                if let Some(at) = self.seats.iter().position(is_it) {
                    return self.has_room(&self.seats[at]).then_some(at);
                }
                self.choose_next()
            }
            Wish::Hash(hash) => {
                let weight = |seat: &Seat| mix(hash ^ (seat.slot as u64 + 1).wrapping_mul(GOLDEN));
                let seats = self.seats.iter().enumerate().filter(|(_, seat)| self.is_open(seat));
                // The youngest of a slot: the other one ends.
                let (at, _) = seats.max_by_key(|(_, seat)| (weight(seat), seat.worker))?;
                self.has_room(&self.seats[at]).then_some(at)
            }
            Wish::Anyone => self.choose_next(),
        }
    }

    fn choose_next(&mut self) -> Option<usize> {
        let count = self.seats.len();
        let at =
            (0..count).map(|step| (self.next + step) % count).find(|at| self.has_room(&self.seats[*at]))?;
        self.next = (at + 1) % count;
        Some(at)
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads the bits of a number. Source: splitmix64.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(workers: &[u32], unconfirmed_max: usize) -> (Dispatch, Vec<Order>) {
        let (mut dispatch, mut out) = (Dispatch::new(unconfirmed_max, 4), Vec::new());
        for worker in workers {
            dispatch.join(*worker, *worker as usize - 1, State::default(), &mut out);
        }
        (dispatch, out)
    }

    fn hands(out: &mut Vec<Order>) -> Vec<(u32, u64)> {
        let hand = |order| match order {
            Order::Hand { worker, connection } => (worker, connection),
            Order::Close(connection) => (0, connection),
        };
        out.drain(..).map(hand).collect()
    }

    #[test]
    fn connections_go_round() {
        let (mut dispatch, mut out) = with(&[1, 2, 3], 9);
        (0..6).for_each(|connection| dispatch.connection(connection, Wish::Anyone, &mut out));
        assert_eq!(hands(&mut out), [(1, 0), (2, 1), (3, 2), (1, 3), (2, 4), (3, 5)]);
    }

    #[test]
    fn who_confirms_nothing_is_passed_over_and_the_rest_waits() {
        let (mut dispatch, mut out) = with(&[1, 2], 1);
        (0..7).for_each(|connection| dispatch.connection(connection, Wish::Anyone, &mut out));
        assert_eq!(hands(&mut out), [(1, 0), (2, 1)]);
        assert!(dispatch.is_full());
        assert!(dispatch.confirmed(2, 1, &mut out));
        assert!(dispatch.confirmed(2, 2, &mut out));
        assert_eq!(hands(&mut out), [(2, 2), (2, 3)]);
        assert!(!dispatch.is_full());
        assert!(!dispatch.confirmed(1, 3, &mut out), "it was handed to another");
    }

    #[test]
    fn what_a_worker_had_not_confirmed_when_it_died_goes_to_others_in_order() {
        let (mut dispatch, mut out) = with(&[1, 2], 3);
        (0..6).for_each(|connection| dispatch.connection(connection, Wish::Anyone, &mut out));
        out.clear();
        dispatch.confirmed(1, 0, &mut out);
        dispatch.gone(1, &mut out);
        assert_eq!(hands(&mut out), []);
        (1..=5).step_by(2).for_each(|connection| assert!(dispatch.confirmed(2, connection, &mut out)));
        assert_eq!(hands(&mut out), [(2, 2), (2, 4)]);
        assert_eq!(dispatch.len(), 2);
    }

    #[test]
    fn one_that_leaves_gets_nothing_more_and_may_still_confirm() {
        let (mut dispatch, mut out) = with(&[1, 2], 9);
        dispatch.connection(0, Wish::Anyone, &mut out);
        dispatch.leave(1, &mut out);
        dispatch.connection(1, Wish::Anyone, &mut out);
        dispatch.connection(2, Wish::Worker(1), &mut out);
        assert_eq!(hands(&mut out), [(1, 0), (2, 1), (2, 2)]);
        assert!(dispatch.confirmed(1, 0, &mut out));
    }

    #[test]
    fn one_that_pauses_is_passed_over_until_it_resumes() {
        let (mut dispatch, mut out) = with(&[1], 9);
        dispatch.pause(1, true, &mut out);
        dispatch.connection(0, Wish::Anyone, &mut out);
        assert_eq!(hands(&mut out), []);
        dispatch.pause(1, false, &mut out);
        assert_eq!(hands(&mut out), [(1, 0)]);
    }

    #[test]
    fn one_whose_channel_is_full_gets_nothing_by_resuming() {
        let (mut dispatch, mut out) = with(&[1], 9);
        dispatch.connection(0, Wish::Anyone, &mut out);
        dispatch.full(1, true, &mut out);
        dispatch.refused(1, 0, 0, &mut out); // it could not be sent
        dispatch.pause(1, true, &mut out);
        dispatch.pause(1, false, &mut out);
        assert_eq!(hands(&mut out), [(1, 0)], "once, not again while it is full");
        dispatch.pause(1, true, &mut out);
        dispatch.full(1, false, &mut out);
        assert_eq!(hands(&mut out), [], "room does not resume one that pauses");
        dispatch.pause(1, false, &mut out);
        assert_eq!(hands(&mut out), [(1, 0)]);
    }

    #[test]
    fn one_that_joins_paused_or_full_gets_nothing_until_that_ends() {
        let (mut dispatch, mut out) = with(&[], 9);
        dispatch.connection(0, Wish::Anyone, &mut out);
        dispatch.connection(1, Wish::Anyone, &mut out);
        dispatch.join(1, 0, State { paused: true, full: false }, &mut out);
        dispatch.join(2, 1, State { paused: false, full: true }, &mut out);
        assert_eq!(hands(&mut out), []);
        dispatch.full(2, false, &mut out);
        assert_eq!(hands(&mut out), [(2, 0), (2, 1)]);
    }

    #[test]
    fn one_that_left_and_joins_again_gets_connections_again() {
        let (mut dispatch, mut out) = with(&[1], 9);
        dispatch.connection(0, Wish::Anyone, &mut out);
        dispatch.leave(1, &mut out);
        dispatch.connection(1, Wish::Anyone, &mut out);
        assert_eq!(hands(&mut out), [(1, 0)]);
        dispatch.join(1, 0, State::default(), &mut out);
        assert_eq!(hands(&mut out), [(1, 1)]);
        assert!(dispatch.confirmed(1, 0, &mut out), "what it was handed before is still its own");
    }

    #[test]
    fn what_is_for_one_that_pauses_goes_to_others() {
        let (mut dispatch, mut out) = with(&[1, 2], 9);
        dispatch.pause(1, true, &mut out);
        dispatch.connection(0, Wish::Worker(1), &mut out);
        (1..40).for_each(|hash| dispatch.connection(hash, Wish::Hash(hash), &mut out));
        (0..9).for_each(|connection| assert!(dispatch.confirmed(2, connection, &mut out)));
        let handed = hands(&mut out);
        assert_eq!(handed.len(), 18);
        assert!(handed.iter().all(|(worker, _)| *worker == 2));
        dispatch.pause(2, true, &mut out);
        dispatch.pause(1, false, &mut out);
        assert_eq!(hands(&mut out).iter().filter(|(worker, _)| *worker == 1).count(), 9);
    }

    #[test]
    fn who_waits_for_one_worker_holds_nobody_up() {
        let (mut dispatch, mut out) = with(&[1, 2], 1);
        dispatch.connection(0, Wish::Worker(1), &mut out);
        dispatch.connection(1, Wish::Worker(1), &mut out);
        dispatch.connection(2, Wish::Anyone, &mut out);
        assert_eq!(hands(&mut out), [(1, 0), (2, 2)]);
        dispatch.confirmed(1, 0, &mut out);
        assert_eq!(hands(&mut out), [(1, 1)]);
        dispatch.connection(3, Wish::Worker(77), &mut out);
        dispatch.confirmed(2, 2, &mut out);
        assert_eq!(hands(&mut out), [(2, 3)], "a worker that is not there is anyone");
    }

    #[test]
    fn a_hash_keeps_its_slot_when_its_worker_is_replaced_and_when_others_go() {
        let (mut dispatch, mut out) = with(&[1, 2, 3], 999);
        let chosen = |dispatch: &mut Dispatch, hash: u64| {
            let mut out = Vec::new();
            dispatch.connection(hash, Wish::Hash(hash), &mut out);
            hands(&mut out)[0].0
        };
        let before: Vec<u32> = (0..60).map(|hash| chosen(&mut dispatch, hash)).collect();
        for worker in 1..=3 {
            let count = before.iter().filter(|chosen| **chosen == worker).count();
            assert!((10..=30).contains(&count), "{worker} has {count} of 60");
        }
        dispatch.leave(2, &mut out);
        dispatch.gone(2, &mut out);
        let without: Vec<u32> = (0..60).map(|hash| chosen(&mut dispatch, hash)).collect();
        let moved = before.iter().zip(&without).filter(|(before, without)| before != without);
        assert!(moved.clone().all(|(before, _)| *before == 2), "only those of the one that went");
        dispatch.join(9, 1, State::default(), &mut out);
        let after: Vec<u32> = (0..60).map(|hash| chosen(&mut dispatch, hash)).collect();
        assert!(
            before.iter().zip(&after).all(|(before, after)| before == after || (*before, *after) == (2, 9))
        );
    }

    #[test]
    fn at_the_end_all_that_waits_is_handed_out_and_what_nobody_is_left_for_is_closed() {
        let (mut dispatch, mut out) = with(&[1, 2], 1);
        (0..5).for_each(|connection| dispatch.connection(connection, Wish::Anyone, &mut out));
        assert_eq!(hands(&mut out), [(1, 0), (2, 1)]);
        dispatch.pause(1, true, &mut out);
        dispatch.full(2, true, &mut out);
        dispatch.last_round(&mut out);
        assert_eq!(hands(&mut out), [(1, 2), (1, 3), (1, 4)], "beyond what it may have unconfirmed");
        dispatch.full(1, true, &mut out);
        dispatch.connection(5, Wish::Worker(7), &mut out);
        assert_eq!(hands(&mut out), []);
        assert!(dispatch.has_waiting(), "for room in a channel");
        dispatch.full(2, false, &mut out);
        assert_eq!(hands(&mut out), [(2, 5)]);
        dispatch.leave(1, &mut out);
        assert!(dispatch.refused(1, 3, 1, &mut out));
        assert_eq!(hands(&mut out), [(2, 3)]);
        dispatch.leave(2, &mut out);
        dispatch.gone(2, &mut out);
        dispatch.connection(6, Wish::Anyone, &mut out);
        assert_eq!(hands(&mut out), [(0, 1), (0, 3), (0, 5), (0, 6)], "closed");
        (0..5).filter(|at| ![1, 3].contains(at)).for_each(|at| assert!(dispatch.confirmed(1, at, &mut out)));
        assert!(dispatch.is_idle());
    }

    #[test]
    fn what_waits_for_room_at_the_end_is_closed_when_the_time_is_up() {
        let (mut dispatch, mut out) = with(&[1], 9);
        dispatch.full(1, true, &mut out);
        dispatch.connection(0, Wish::Anyone, &mut out);
        dispatch.last_round(&mut out);
        assert_eq!(hands(&mut out), []);
        dispatch.close_waiting(&mut out);
        assert_eq!(out, [Order::Close(0)]);
        assert!(dispatch.is_idle());
    }

    #[test]
    fn what_all_refuse_is_closed() {
        let (mut dispatch, mut out) = with(&[1, 2], 9);
        dispatch.connection(5, Wish::Anyone, &mut out);
        for refusals in 1..REFUSALS_MAX {
            let (worker, _) = hands(&mut out)[0];
            assert!(dispatch.refused(worker, 5, refusals, &mut out));
        }
        let (worker, _) = hands(&mut out)[0];
        assert!(dispatch.refused(worker, 5, REFUSALS_MAX, &mut out));
        assert_eq!(out, [Order::Close(5)]);
        assert_eq!(dispatch.len(), 0);
    }
}
