//! The least that some of the work can cost, written by hand for one purpose each. No floor could be a library.

use std::io::{self, Read, Write};
use std::net::TcpListener;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);

/// A connection, and what could not be written yet.
struct Connection {
    stream: TcpStream,
    rest: Vec<u8>,
}

/// Serves echo: edge-triggered, both interests registered once, a short read is the last, one buffer, direct write.
pub(crate) fn echo(listener: TcpListener, buf_len: usize) -> ! {
    listener.set_nonblocking(true).expect("a socket can be non-blocking");
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new().expect("epoll");
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("register");
    let mut events = Events::with_capacity(1024);
    let mut buf = vec![0; buf_len];
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    loop {
        poll.poll(&mut events, None).expect("epoll_wait");
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut connections, &mut free);
                continue;
            }
            let key = event.token().0;
            let Some(connection) = &mut connections[key] else { continue };
            if connection.advance(&mut buf).is_err() {
                connections[key] = None;
                free.push(key);
            }
        }
    }
}

fn accept(
    poll: &Poll,
    listener: &mio::net::TcpListener,
    connections: &mut Vec<Option<Connection>>,
    free: &mut Vec<usize>,
) {
    while let Ok((mut stream, _)) = listener.accept() {
        stream.set_nodelay(true).expect("nodelay");
        let key = free.pop().unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(key), both).expect("register");
        connections[key] = Some(Connection { stream, rest: Vec::new() });
    }
}

impl Connection {
    /// Writes what is left, then reads and writes back until a read comes back short. An error ends the connection.
    fn advance(&mut self, buf: &mut [u8]) -> io::Result<()> {
        if !self.rest.is_empty() {
            let written = or_none(self.stream.write(&self.rest))?;
            self.rest.drain(..written);
        }
        while self.rest.is_empty() {
            let read_len = match self.stream.read(buf) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read_len) => read_len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let written = or_none(self.stream.write(&buf[..read_len]))?;
            if written < read_len {
                self.rest.extend_from_slice(&buf[written..read_len]);
            }
            if read_len < buf.len() {
                break;
            }
        }
        Ok(())
    }
}

/// Takes "would block" as nothing written.
fn or_none(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}

/// A wheel of timers: a slot a tick, each slot a list through one slab. A deadline lies less than a round ahead.
pub(crate) struct Wheel {
    slots: Vec<u32>,
    entries: Vec<Entry>,
}

/// A timer's neighbours in its slot. The neighbour before the first is the slot itself, numbered from the end.
#[derive(Clone, Copy)]
struct Entry {
    next: u32,
    before: u32,
}

const NONE: u32 = u32::MAX;

impl Wheel {
    /// Makes a wheel for `count` timers. `ticks` is a power of two, so that a tick's slot is found by a mask.
    pub(crate) fn new(count: usize, ticks: usize) -> Self {
        assert!(ticks.is_power_of_two(), "{ticks} ticks are no power of two");
        Wheel { slots: vec![NONE; ticks], entries: vec![Entry { next: NONE, before: NONE }; count] }
    }

    /// Puts timer `index` into the slot of `tick`. It must be in none.
    #[inline]
    pub(crate) fn insert(&mut self, index: usize, tick: u64) {
        let slot = self.slot(tick);
        let next = std::mem::replace(&mut self.slots[slot], index as u32);
        if next != NONE {
            self.entries[next as usize].before = index as u32;
        }
        self.entries[index] = Entry { next, before: NONE - 1 - slot as u32 };
    }

    /// Takes timer `index` out of its slot. It must be in one.
    #[inline]
    pub(crate) fn remove(&mut self, index: usize) {
        let Entry { next, before } = self.entries[index];
        match self.entries.get_mut(before as usize) {
            Some(entry) => entry.next = next,
            None => self.slots[(NONE - 1 - before) as usize] = next,
        }
        if next != NONE {
            self.entries[next as usize].before = before;
        }
    }

    /// Whether no timer is due at `tick`.
    pub(crate) fn is_empty_at(&self, tick: u64) -> bool {
        self.slots[self.slot(tick)] == NONE
    }

    /// Takes every timer out of the slot of `tick` and passes its number on.
    pub(crate) fn drain(&mut self, tick: u64, mut on_due: impl FnMut(usize)) {
        let slot = self.slot(tick);
        let mut index = std::mem::replace(&mut self.slots[slot], NONE);
        while index != NONE {
            on_due(index as usize);
            index = self.entries[index as usize].next;
        }
    }

    fn slot(&self, tick: u64) -> usize {
        tick as usize & (self.slots.len() - 1)
    }
}
