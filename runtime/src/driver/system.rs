//! The driver on mio: epoll on Linux, kqueue on the BSDs and macOS.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;

use super::{Event, Readiness, Token};

/// The token of the alarm; a slot that no source gets.
const ALARM: mio::Token = mio::Token(usize::MAX);

/// What a stream of bytes is watched for. Only Linux's selector tells of urgent data too.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STREAM: mio::Interest =
    mio::Interest::READABLE.add(mio::Interest::WRITABLE).add(mio::Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STREAM: mio::Interest = mio::Interest::READABLE.add(mio::Interest::WRITABLE);

/// Whether the selector tells of urgent data.
pub(crate) const TELLS_URGENT: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(crate) struct System {
    poll: mio::Poll,
    events: mio::Events,
    events_len: usize,
    alarm: Option<Arc<Alarm>>,
}

/// Wakes a driver that waits. Can be rung from any thread.
pub(crate) struct Alarm(Option<mio::Waker>);

impl Alarm {
    /// An alarm for a driver that never waits.
    #[cfg(any(loom, test, feature = "test-util"))]
    pub(crate) fn silent() -> Self {
        Self(None)
    }

    /// Ends the wait that is under way, or else the next one.
    pub(crate) fn ring(&self) {
        if let Some(waker) = &self.0 {
            // It fails only when the loop's descriptor is gone, and then nobody waits.
            let _ = waker.wake();
        }
    }
}

impl System {
    pub(crate) fn new(events_len: usize) -> io::Result<Self> {
        // The buffer grows to its size at the first wait: a loop that never waits needs none.
        Ok(Self { poll: mio::Poll::new()?, events: mio::Events::with_capacity(0), events_len, alarm: None })
    }

    pub(crate) fn register(&mut self, fd: RawFd, token: Token, interest: Readiness) -> io::Result<()> {
        self.poll.registry().register(&mut SourceFd(&fd), mio_token(token), mio_interest(interest))
    }

    pub(crate) fn reregister(&mut self, fd: RawFd, token: Token, interest: Readiness) -> io::Result<()> {
        self.poll.registry().reregister(&mut SourceFd(&fd), mio_token(token), mio_interest(interest))
    }

    pub(crate) fn deregister(&mut self, fd: RawFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&fd))
    }

    pub(crate) fn wait(&mut self, timeout: Option<Duration>, events: &mut VecDeque<Event>) -> io::Result<()> {
        if self.events.capacity() == 0 {
            self.events = mio::Events::with_capacity(self.events_len);
        }
        let deadline =
            timeout.filter(|timeout| !timeout.is_zero()).and_then(|t| Instant::now().checked_add(t));
        let mut remaining = timeout;
        // A signal ends the system call early; the wait goes on for what is left of it. Source: libuv, `uv__io_poll`.
        while let Err(error) = self.poll.poll(&mut self.events, remaining) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
            remaining =
                deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())).or(timeout);
        }
        events.extend(
            self.events
                .iter()
                .filter(|event| event.token() != ALARM)
                .map(|event| Event { token: token_of(event.token()), readiness: readiness_of(event) }),
        );
        Ok(())
    }

    pub(crate) fn alarm(&mut self) -> io::Result<Arc<Alarm>> {
        if let Some(alarm) = &self.alarm {
            return Ok(Arc::clone(alarm));
        }
        let alarm = Arc::new(Alarm(Some(mio::Waker::new(self.poll.registry(), ALARM)?)));
        self.alarm = Some(Arc::clone(&alarm));
        Ok(alarm)
    }

    pub(crate) fn after_fork_child(&mut self) -> io::Result<()> {
        self.poll = mio::Poll::new()?;
        self.alarm = None;
        Ok(())
    }
}

impl AsFd for System {
    fn as_fd(&self) -> BorrowedFd<'_> {
        super::sys::borrow_for(self, self.poll.as_raw_fd())
    }
}

/// Slot below, generation above: a `usize` has the room of both on 64-bit machines. On smaller ones the generation
/// loses its upper half, which shortens how long a stale event is recognised.
fn mio_token(token: Token) -> mio::Token {
    let half = usize::BITS / 2;
    mio::Token(token.slot as usize & ((1 << half) - 1) | (token.generation as usize) << half)
}

fn token_of(token: mio::Token) -> Token {
    let half = usize::BITS / 2;
    Token { slot: (token.0 & ((1 << half) - 1)) as u32, generation: (token.0 >> half) as u32 }
}

fn mio_interest(interest: Readiness) -> mio::Interest {
    let urgent = interest.has(Readiness::URGENT);
    match (interest.has(Readiness::READABLE), interest.has(Readiness::WRITABLE)) {
        (true, false) if urgent => with_urgent(mio::Interest::READABLE),
        (true, false) => mio::Interest::READABLE,
        (false, true) if urgent => with_urgent(mio::Interest::WRITABLE),
        (false, true) => mio::Interest::WRITABLE,
        (false, false) if urgent => only_urgent(),
        _ => STREAM,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn with_urgent(interest: mio::Interest) -> mio::Interest {
    interest.add(mio::Interest::PRIORITY)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn only_urgent() -> mio::Interest {
    mio::Interest::PRIORITY
}

/// Elsewhere nobody asks for urgent data alone: see `TELLS_URGENT`.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn with_urgent(interest: mio::Interest) -> mio::Interest {
    interest
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn only_urgent() -> mio::Interest {
    mio::Interest::READABLE
}

fn readiness_of(event: &mio::event::Event) -> Readiness {
    let failed = event.is_error();
    Readiness::READABLE
        .only_if(event.is_readable())
        .with(Readiness::WRITABLE.only_if(event.is_writable()))
        .with(Readiness::READ_CLOSED.only_if(event.is_read_closed() | failed))
        .with(Readiness::WRITE_CLOSED.only_if(event.is_write_closed() | failed))
        .with(Readiness::URGENT.only_if(event.is_priority()))
}
