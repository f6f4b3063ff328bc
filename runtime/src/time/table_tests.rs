//! The table against a sorted list, on random loads in steps of virtual time.

use super::clock::{NEVER, Nanos};
use super::table::{Batch, TimerKey, TimerTable};

const MS: Nanos = 1_000_000;

fn due(table: &mut TimerTable<u32>, now: Nanos) -> Vec<u32> {
    let batch = Batch { now, limit: table.starts() };
    let mut names = Vec::new();
    while let Some(key) = table.next_due(batch) {
        names.push(table.remove(key).unwrap());
    }
    names
}

fn start(table: &mut TimerTable<u32>, name: u32, deadline: Nanos) -> TimerKey {
    let key = table.insert(Some(name));
    table.start(key, deadline);
    key
}

#[test]
fn equal_deadlines_come_out_in_the_order_of_starting() {
    let mut table = TimerTable::new(7);
    for name in 0..100 {
        start(&mut table, name, 5 * MS);
    }
    assert_eq!(due(&mut table, 5 * MS), (0..100).collect::<Vec<_>>());
}

#[test]
fn nothing_is_due_early_and_the_bound_says_when() {
    let mut table = TimerTable::new(7);
    start(&mut table, 1, 5 * MS + 1);
    assert!(due(&mut table, 5 * MS).is_empty());
    assert_eq!(table.next_bound(), Some(5 * MS + 1));
    assert_eq!(table.next_deadline(), Some(5 * MS + 1));
    assert_eq!(due(&mut table, 5 * MS + 1), [1]);
    assert_eq!(table.next_bound(), None);
}

#[test]
fn the_ends_of_the_range_do_not_overflow() {
    let mut table = TimerTable::new(7);
    start(&mut table, 1, NEVER);
    start(&mut table, 2, NEVER - 1);
    start(&mut table, 0, 0);
    assert_eq!(due(&mut table, NEVER - 2), [0]);
    assert_eq!(table.next_deadline(), Some(NEVER - 1));
    assert_eq!(due(&mut table, NEVER - 1), [2]);
}

#[test]
fn a_stopped_timer_leaves_no_trace_and_its_key_finds_nothing() {
    let mut table = TimerTable::new(7);
    let key = start(&mut table, 1, MS);
    assert!(table.stop(key));
    assert!(!table.stop(key));
    assert_eq!(table.next_bound(), None);
    assert_eq!(table.remove(key), Some(1));
    let reused = start(&mut table, 2, MS);
    assert_eq!(table.remove(key), None);
    assert_eq!(table.deadline(reused), Some(MS));
}

#[test]
fn restarting_a_near_timer_for_ever_uses_bounded_memory() {
    let mut table = TimerTable::new(7);
    let key = start(&mut table, 1, 0);
    for _ in 0..1_000_000 {
        table.start(key, 1);
    }
    assert_eq!(due(&mut table, 1), [1]);
}

#[test]
fn a_lazily_restarted_timer_does_not_hide_an_earlier_one() {
    let mut table = TimerTable::new(7);
    let moved = start(&mut table, 1, 300 * MS);
    start(&mut table, 2, 2_000 * MS);
    table.start(moved, 10_000 * MS);
    assert_eq!(table.next_deadline(), Some(2_000 * MS));
    let mut now = 0;
    while now < 2_000 * MS {
        assert!(due(&mut table, now).is_empty());
        let bound = table.next_bound().unwrap();
        assert!(bound > now && bound <= 2_000 * MS, "{bound} after {now}");
        now = bound;
    }
    assert_eq!(due(&mut table, now), [2]);
    assert!(due(&mut table, 9_999 * MS).is_empty());
    assert_eq!(due(&mut table, 10_000 * MS), [1]);
}

/// Small, fast and good enough to choose test cases.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn a_random_load_comes_out_as_from_a_sorted_list() {
    for seed in 1..17 {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let mut table = TimerTable::new(7);
        let mut model: Vec<(Nanos, u64, u32, TimerKey)> = Vec::new();
        let (mut now, mut order, mut name) = (0, 0, 0);
        let span = [3 * MS, 400 * MS, 100_000 * MS, 1 << 45][seed as usize % 4];
        for _ in 0..1_500 {
            order += 1;
            match random.below(10) {
                0..=4 => {
                    name += 1;
                    let deadline = now + random.below(span);
                    model.push((deadline, order, name, start(&mut table, name, deadline)));
                }
                5 if !model.is_empty() => {
                    let at = random.below(model.len() as u64) as usize;
                    let (_, _, removed, key) = model.swap_remove(at);
                    assert_eq!(table.remove(key), Some(removed));
                }
                6 | 7 if !model.is_empty() => {
                    let at = random.below(model.len() as u64) as usize;
                    (model[at].0, model[at].1) = (now + random.below(span), order);
                    table.start(model[at].3, model[at].0);
                }
                _ => {
                    now += random.below(span / 20 + 1);
                    model.sort_unstable_by_key(|timer| (timer.0, timer.1));
                    let ready = model.iter().take_while(|timer| timer.0 <= now).count();
                    let expected: Vec<u32> = model.drain(..ready).map(|timer| timer.2).collect();
                    assert_eq!(due(&mut table, now), expected, "seed {seed} at {now}");
                }
            }
            let first = model.iter().map(|timer| timer.0).min();
            assert_eq!(table.next_deadline(), first, "seed {seed} at {now}");
            assert!(table.next_bound() <= first.or(Some(NEVER)), "seed {seed} at {now}");
        }
    }
}
