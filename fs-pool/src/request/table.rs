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
#[derive(Default)]
pub(super) enum Then {
    /// Nobody waits: the token is not in use, or its job is only about to be given.
    #[default]
    Nothing,
    Call(OnEnded),
    /// A future waits; it has left a waker if it was polled.
    Wake(Option<Waker>),
    /// It has ended, and the future will fetch it.
    Ended(Ended),
}

/// One job that was given and whose end was not yet taken.
///
/// Filled and emptied in place, field by field: an entry that is moved as a whole is read in larger pieces than it was
/// just written in, for which the processor waits.
#[derive(Default)]
pub(super) struct Entry {
    generation: u32,
    pub(super) then: Then,
    /// Set once the pool has accepted the job.
    pub(super) ticket: Option<Ticket>,
    /// Given up when the job has ended.
    pub(super) request: Option<Request>,
    pub(super) timer: Option<TimerId>,
}

impl Entry {
    /// Takes out what the job held while it was under way.
    pub(super) fn take_hold(&mut self) -> Hold {
        Hold { request: self.request.take(), timer: self.timer.take() }
    }
}

/// What a job holds while it is under way: the loop's life, and the timer of its timeout.
pub(super) struct Hold {
    pub(super) request: Option<Request>,
    pub(super) timer: Option<TimerId>,
}

/// Entries by index and generation: the token of a job that was given up finds nothing.
#[derive(Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

impl Table {
    /// A token that finds nothing: no table has so many entries.
    pub(super) const NOBODY: u64 = u64::MAX;

    /// Takes an empty entry into use. It has to be released.
    pub(super) fn reserve(&mut self) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 jobs of one loop are under way")
        });
        u64::from(self.entries[index as usize].generation) << 32 | u64::from(index)
    }

    /// The entry of a token that is in use.
    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut Entry> {
        let (index, generation) = (token as u32, (token >> 32) as u32);
        self.entries.get_mut(index as usize).filter(|entry| entry.generation == generation)
    }

    /// Ends the use of a token, whose entry was emptied.
    pub(super) fn release(&mut self, token: u64) {
        if let Some(entry) = self.get_mut(token) {
            debug_assert!(matches!(entry.then, Then::Nothing), "what waits would be called for another job");
            entry.ticket = None;
            entry.generation = entry.generation.wrapping_add(1);
            self.free.push(token as u32); // the lower half is the index
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Takes all entries out, to be dropped by the caller. Nothing is reserved afterwards, so generations may start anew.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        self.free.clear();
        std::mem::take(&mut self.entries)
    }
}
