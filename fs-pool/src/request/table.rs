//! Who waits for which job: a table whose keys travel with the jobs as their tokens.

use std::task::Waker;

use phaseloop::request::Request;
use phaseloop::{LoopHandle, TimerId};

use crate::pool::{Completed, Ticket};

use super::RequestError;

/// What came of a job.
pub(super) enum Ended {
    Completed(Completed),
    TimedOut,
}

impl Ended {
    pub(super) fn into_result<T: 'static>(self) -> Result<T, RequestError> {
        match self {
            Self::Completed(completed) => completed.into_result().map_err(RequestError::from),
            Self::TimedOut => Err(RequestError::TimedOut),
        }
    }
}

pub(super) type OnEnded = Box<dyn FnOnce(&LoopHandle, Ended)>;

/// What happens when the job has ended.
pub(super) enum Then {
    Call(OnEnded),
    /// A future waits; it has left a waker if it was polled.
    Wake(Option<Waker>),
    /// It has ended, and the future will fetch it.
    Ended(Ended),
}

/// One job that was given and whose end was not yet taken.
pub(super) struct Entry {
    pub(super) then: Then,
    /// Set once the pool has accepted the job.
    pub(super) ticket: Option<Ticket>,
    /// Given up when the job has ended.
    pub(super) request: Option<Request>,
    pub(super) timer: Option<TimerId>,
}

/// Entries by index and generation: the token of a job that was given up finds nothing.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

impl Table {
    /// A token that finds nothing: no table has so many slots.
    pub(super) const NOBODY: u64 = u64::MAX;

    pub(super) fn insert(&mut self, entry: Entry) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 jobs of one loop are under way")
        });
        let slot = &mut self.slots[index as usize];
        slot.entry = Some(entry);
        u64::from(slot.generation) << 32 | u64::from(index)
    }

    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut Entry> {
        self.slot(token)?.entry.as_mut()
    }

    pub(super) fn remove(&mut self, token: u64) -> Option<Entry> {
        let slot = self.slot(token)?;
        let entry = slot.entry.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(token as u32); // the lower half is the index
        Some(entry)
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes all entries out, to be dropped by the caller. Nothing is inserted afterwards, so generations may start anew.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.entry).collect()
    }

    fn slot(&mut self, token: u64) -> Option<&mut Slot> {
        let (index, generation) = (token as u32, (token >> 32) as u32);
        self.slots.get_mut(index as usize).filter(|slot| slot.generation == generation)
    }
}
