//! The driver asks the operating system which sources are ready. A leaf: it knows neither the loop nor who waits.
//!
//! `system` asks through mio; `scripted` is told by a test. Nothing outside this folder names mio.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "test-util")]
pub(crate) mod scripted;
mod sys;
mod system;

pub(crate) use system::Alarm;
use system::System;
pub(crate) use system::TELLS_URGENT;

/// What a source is registered for, or reported as: a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness(u8);

impl Readiness {
    pub(crate) const READABLE: Self = Self(1);
    pub(crate) const WRITABLE: Self = Self(2);
    /// The peer will send no more, or the source failed: a read returns at once.
    pub(crate) const READ_CLOSED: Self = Self(4);
    /// Nothing can be written any more: a write returns at once.
    pub(crate) const WRITE_CLOSED: Self = Self(8);
    /// Urgent data came. A read stops at its mark, so a short one no longer tells that nothing is left.
    pub(crate) const URGENT: Self = Self(16);
    /// All bits.
    pub(crate) const ALL: Self = Self(1 | 2 | 4 | 8 | 16);
    /// All that lets a read proceed.
    pub(crate) const ANY_READ: Self = Self(1 | 4);
    /// All that lets a write proceed.
    pub(crate) const ANY_WRITE: Self = Self(2 | 8);

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// These bits, or none: without a branch, for a dispatch looks at every bit of every event.
    fn only_if(self, set: bool) -> Self {
        Self(self.0 * u8::from(set))
    }

    /// True if any bit of `other` is set.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The number a source is known by: its slot and the slot's generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// One source that became ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) token: Token,
    pub(crate) readiness: Readiness,
}

/// Where readiness comes from.
pub(crate) enum Driver {
    System(System),
    #[cfg(feature = "test-util")]
    Scripted(scripted::Scripted),
}

impl Driver {
    /// Opens the system's selector.
    ///
    /// # Errors
    /// The system's, when no descriptor or memory is left.
    pub(crate) fn system(events_len: usize) -> io::Result<Self> {
        Ok(Self::System(System::new(events_len)?))
    }

    /// Starts to report `fd` under `token`, edge by edge.
    pub(crate) fn register(&mut self, fd: RawFd, token: Token, interest: Readiness) -> io::Result<()> {
        match self {
            Self::System(system) => system.register(fd, token, interest),
            #[cfg(feature = "test-util")]
            Self::Scripted(scripted) => scripted.register(token),
        }
    }

    /// Reports `fd` anew, for another interest or for the same one: what is ready now is reported once more.
    pub(crate) fn reregister(&mut self, fd: RawFd, token: Token, interest: Readiness) -> io::Result<()> {
        match self {
            Self::System(system) => system.reregister(fd, token, interest),
            #[cfg(feature = "test-util")]
            Self::Scripted(scripted) => scripted.register(token),
        }
    }

    /// Stops to report `fd`.
    pub(crate) fn deregister(&mut self, fd: RawFd) -> io::Result<()> {
        match self {
            Self::System(system) => system.deregister(fd),
            #[cfg(feature = "test-util")]
            Self::Scripted(_) => Ok(()),
        }
    }

    /// Waits for readiness for at most `timeout`, or for ever, and appends what became ready to `events`.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, events: &mut VecDeque<Event>) -> io::Result<()> {
        match self {
            Self::System(system) => system.wait(timeout, events),
            #[cfg(feature = "test-util")]
            Self::Scripted(scripted) => scripted.wait(timeout, events),
        }
    }

    /// What wakes a wait from another thread. Made when it is first asked for.
    pub(crate) fn alarm(&mut self) -> io::Result<Arc<Alarm>> {
        match self {
            Self::System(system) => system.alarm(),
            #[cfg(feature = "test-util")]
            Self::Scripted(scripted) => scripted.alarm(),
        }
    }

    /// The descriptor that is readable when a wait would return at once.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::System(system) => Some(system.as_fd()),
            #[cfg(feature = "test-util")]
            Self::Scripted(_) => None,
        }
    }

    /// Opens a fresh selector in a process that was forked; the old one is shared with the parent. The caller
    /// registers its sources again.
    pub(crate) fn after_fork_child(&mut self) -> io::Result<()> {
        match self {
            Self::System(system) => system.after_fork_child(),
            #[cfg(feature = "test-util")]
            Self::Scripted(_) => Ok(()),
        }
    }
}
