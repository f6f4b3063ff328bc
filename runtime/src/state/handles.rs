//! The table of handles: timers, watchers, wakeups and ports. Users hold keys into it.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::HandleCallback;
use super::liveness::Flags;
use crate::time::clock::Nanos;
use crate::time::table::TimerKey;

/// A handle of one loop: index and generation. A key that outlives its handle finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HandleKey {
    index: u32,
    generation: u32,
}

impl HandleKey {
    /// A key that finds nothing.
    pub(crate) const NEVER_USED: Self = Self { index: u32::MAX, generation: 0 };
}

/// What a handle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandleKind {
    /// A [`Timer`](crate::Timer).
    Timer,
    /// An [`Idle`](crate::Idle) handle.
    Idle,
    /// A [`Prepare`](crate::Prepare) handle.
    Prepare,
    /// A [`Check`](crate::Check) handle.
    Check,
    /// A [`Wakeup`](crate::Wakeup).
    Wakeup,
    /// A [`Port`](crate::request::Port) for completions.
    Port,
    /// A [`TcpListener`](crate::net::TcpListener).
    TcpListener,
    /// A [`TcpStream`](crate::net::TcpStream).
    TcpStream,
    /// A [`UnixListener`](crate::net::UnixListener).
    UnixListener,
    /// A [`UnixStream`](crate::net::UnixStream).
    UnixStream,
    /// A [`UnixDatagram`](crate::net::UnixDatagram).
    UnixDatagram,
    /// A [`UdpSocket`](crate::net::UdpSocket).
    UdpSocket,
    /// A [`PollFd`](crate::PollFd).
    PollFd,
    /// A [`SignalWatcher`](crate::signal::SignalWatcher).
    Signal,
    /// What brings a loop its signals. There is one while it watches any, and it never holds the loop.
    SignalHub,
    /// A [`PipeStream`](crate::net::pipe::PipeStream).
    Pipe,
    /// A [`Child`](crate::process::Child) process.
    Process,
    /// A source that a test scripts.
    Scripted,
}

/// A handle, whatever its kind.
pub(crate) struct Handle {
    pub(crate) kind: HandleKind,
    pub(crate) flags: Flags,
    pub(crate) site: &'static Location<'static>,
    /// Out of its place while it runs.
    pub(crate) callback: Option<HandleCallback>,
    pub(crate) body: Body,
}

/// What only some kinds have.
pub(crate) enum Body {
    Timer {
        timer: TimerKey,
        repeat: Option<Nanos>,
        missed: MissedTicks,
    },
    /// `started` counts starts, so that a restart in the running phase is told from the start before it.
    Watcher {
        started: u64,
    },
    /// True while a signal is under way, so that the next one need not be sent.
    Signalled(Arc<AtomicBool>),
}

impl Handle {
    /// True if the callback is to be kept after it ran. A watcher that stopped itself needs it no more.
    pub(crate) fn keeps_callback(&self) -> bool {
        !self.flags.closing && (self.flags.active || !matches!(self.body, Body::Watcher { .. }))
    }
}

/// What a repeating timer does about ticks that a late loop missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissedTicks {
    /// The next tick comes a full period after the one that was late: the timer drifts. libuv's rule.
    #[default]
    Delay,
    /// Ticks that were missed are left out; the next one comes at a multiple of the period.
    Skip,
    /// Every tick is made up for, one in each timers phase.
    Burst,
}

/// All handles of a loop.
pub(crate) struct HandleTable {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

struct Slot {
    generation: u32,
    handle: Option<Handle>,
}

impl HandleTable {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn insert(&mut self, handle: Handle) -> HandleKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, handle: None });
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 handles in one loop")
        });
        let slot = &mut self.slots[index as usize];
        slot.handle = Some(handle);
        HandleKey { index, generation: slot.generation }
    }

    pub(crate) fn get(&self, key: HandleKey) -> Option<&Handle> {
        self.slots
            .get(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.handle.as_ref())
    }

    pub(crate) fn get_mut(&mut self, key: HandleKey) -> Option<&mut Handle> {
        self.slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)
            .and_then(|slot| slot.handle.as_mut())
    }

    pub(crate) fn remove(&mut self, key: HandleKey) -> Option<Handle> {
        let slot = self.slots.get_mut(key.index as usize).filter(|slot| slot.generation == key.generation)?;
        let handle = slot.handle.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(handle)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Handle> {
        self.slots.iter().filter_map(|slot| slot.handle.as_ref())
    }

    /// Takes all handles out, to be dropped by the caller.
    pub(crate) fn take_all(&mut self) -> Vec<Handle> {
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.handle).collect()
    }
}
